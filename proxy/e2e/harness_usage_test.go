package e2e

// What the proxy uses, seen from outside: Linux's /proc, and at the end its own
// list of goroutines.

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// usage is what a process has at one moment.
type usage struct {
	kilobytes   int // resident
	descriptors int
	processor   time.Duration // of its life
}

// usage reads /proc.
func (p *proxy) usage(t testing.TB) usage {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("what a process uses is read from Linux's /proc")
	}
	proc := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	open, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	stat := procFields(t, filepath.Join(proc, "stat"))
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
	ticks := number(t, stat[11]) + number(t, stat[12])
	pages := number(t, procFields(t, filepath.Join(proc, "statm"))[1])
	return usage{
		kilobytes:   pages * os.Getpagesize() / 1024,
		descriptors: len(open),
		processor:   time.Duration(ticks) * tick,
	}
}

// procFields are a file's words; those of stat begin behind the command's name.
func procFields(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.LastIndexByte(data, ')'); i >= 0 {
		data = data[i+1:]
	}
	return strings.Fields(string(data))
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// goroutines ends the proxy, which lists them as it goes.
func (p *proxy) goroutines() int {
	p.t.Helper()
	p.signal(syscall.SIGABRT)
	p.exit()
	n := 0
	for _, line := range p.log.other() {
		if strings.HasPrefix(line, "goroutine ") && strings.HasSuffix(line, ":") {
			n++
		}
	}
	p.log.allowNoise()
	return n
}

// maxResident is the most memory in KiB that a process which has ended ever had.
func maxResident(ended *os.ProcessState) int64 {
	used, ok := ended.SysUsage().(*syscall.Rusage)
	if !ok || runtime.GOOS != "linux" { // elsewhere it is in other units
		return 0
	}
	return int64(used.Maxrss)
}
