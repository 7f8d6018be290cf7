// The suite, with notifications and with polling alone, and what the tests share.
package filestore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/storetest"
)

// helperEnv makes the test binary another process that uses the same file.
const helperEnv = "TUNNELFORM_FILESTORE_HELPER"

func TestMain(m *testing.M) {
	if role := os.Getenv(helperEnv); role != "" {
		if err := help(role, os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long something may take that must happen.
const patience = time.Minute

// modes are the ways of watching. The first does not poll, which would hide a missed
// notification.
var modes = []struct {
	name string
	opts Options
}{
	{"notified", Options{Settle: 5 * time.Millisecond, Poll: -1}},
	{"polled", Options{Settle: 5 * time.Millisecond, Poll: 10 * time.Millisecond, NoNotify: true}},
}

func TestStore(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Document {
				path := filepath.Join(t.TempDir(), "routes.yaml")
				return storetest.Document{
					Open:   func(t *testing.T) store.Store { return open(t, path, mode.opts) },
					Remove: func(t *testing.T) { must(t, os.Remove(path)) },
				}
			})
		})
	}
}

// The suite also passes through two links, one of them to a directory.
func TestStoreThroughLinks(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Document {
		dir := t.TempDir()
		mkdir(t, dir, "real")
		must(t, os.Symlink("real", filepath.Join(dir, "dir")))
		must(t, os.Symlink("dir/target.yaml", filepath.Join(dir, "routes.yaml")))
		return storetest.Document{
			Open: func(t *testing.T) store.Store {
				return open(t, filepath.Join(dir, "routes.yaml"), modes[0].opts)
			},
			Remove: func(t *testing.T) { must(t, os.Remove(filepath.Join(dir, "real", "target.yaml"))) },
		}
	})
}

func open(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	must(t, err)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

func get(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func mkdir(t *testing.T, elem ...string) string {
	t.Helper()
	dir := filepath.Join(elem...)
	must(t, os.MkdirAll(dir, 0o755))
	return dir
}

// process starts the test binary in a helper's role.
func process(t *testing.T, role, path, arg string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], path, arg)
	cmd.Env = append(os.Environ(), helperEnv+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// help runs a helper.
func help(role, path, arg string) error {
	s, err := Open(path, Options{Settle: time.Millisecond})
	if err != nil {
		return err
	}
	ctx := context.Background()
	switch role {
	case "append": // add arg lines
		n, err := strconv.Atoi(arg)
		for i := 0; err == nil && i < n; i++ {
			err = storetest.Append(ctx, s, fmt.Sprintf("process %d line %d\n", os.Getpid(), i))
		}
		return err
	case "hold": // take the lock, leave half a temporary file, and wait to be killed
		target, err := resolve(path)
		if err != nil {
			return err
		}
		if _, err := lock(ctx, target); err != nil {
			return err
		}
		if _, err := s.writeTemp(target, []byte(arg), nil); err != nil {
			return err
		}
		fmt.Println("held")
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	case "die": // begin a write and be killed at a step
		return dieWriting(ctx, s, arg)
	}
	return fmt.Errorf("role %q: want append, hold or die", role)
}

// firstLine waits for a process's first line of output.
func firstLine(t *testing.T, r io.Reader) string {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	must(t, err)
	return line
}
