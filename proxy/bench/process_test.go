package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startShell runs a script behind a listener of the test's, so that it counts as ready.
func startShell(t *testing.T, script string) *running {
	t.Helper()
	p := startTestBackend(t)
	s := site{dir: t.TempDir(), port: portOf(p.addr)}
	r, err := spawn(t.Context(), s, "/bin/sh", []string{"-c", script})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func gone(pid int) bool { return syscall.Kill(pid, 0) != nil }

// All processes of a proxy are counted, and all of them end with it.
func TestStopEndsDescendants(t *testing.T) {
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	r := startShell(t, "sleep 100 & sh -c 'sleep 100 & echo > "+ready+"; wait' & wait")
	waitFor(t, func() bool { _, err := os.Stat(ready); return err == nil })
	pids := r.pids()
	if len(pids) < 3 {
		t.Errorf("processes %v, want the shell and its descendants", pids)
	}
	r.stop()
	for _, pid := range pids {
		waitFor(t, func() bool { return gone(pid) || zombie(pid) }) // init may take its time to wait for it
	}
	r.kill() // of nobody: harmless
}

func zombie(pid int) bool {
	fields, err := statFields("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || fields[0] == "Z"
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestSpawnSaysWhyItEnded(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	_, err = spawn(t.Context(), site{dir: t.TempDir(), port: port}, "/bin/sh", []string{"-c", "echo no such luck; exit 1"})
	if err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("%v, want what the process said", err)
	}
}

func TestSpawnEndsWithItsContext(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := spawn(ctx, site{dir: t.TempDir(), port: port}, "/bin/sleep", []string{"100"}); err == nil {
		t.Error("a process that never accepts is ready")
	}
}

func TestMemoryAndDescriptors(t *testing.T) {
	p := startTestBackend(t)
	dir := t.TempDir()
	r, err := spawn(t.Context(), site{dir: dir, port: portOf(p.addr), descriptors: 77, env: []string{"WORD=heard"}},
		"/bin/sh", []string{"-c", "ulimit -n; echo $WORD; sleep 100"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	waitFor(t, func() bool { return r.output() == "77\nheard\n" })
	if kib := r.memory("Rss"); kib <= 0 {
		t.Errorf("%d KiB resident", kib)
	}
}
