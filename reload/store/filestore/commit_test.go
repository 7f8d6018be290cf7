// Writers that are killed, and writers that do not take the lock.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tunnelform/tunnelform/reload/store"
)

// dieWriting is a helper that is killed at a step of its write.
func dieWriting(ctx context.Context, s *Store, step string) error {
	s.opts.atStep = func(now string) {
		if now == step {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	prev := ""
	switch doc, err := s.Read(ctx); {
	case err == nil:
		prev = doc.Revision
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	_, err := s.Write(ctx, []byte("new"), prev)
	return fmt.Errorf("step %q was never reached: %v", step, err)
}

// Whenever a writer is killed, the file is the old one or the new one, and the next writer
// works and removes what it left.
func TestKilledAtEveryStep(t *testing.T) {
	const none = "none"
	for _, old := range []string{"old", none} {
		for _, test := range []struct{ step, want string }{
			{"remove", old}, {"fill", old}, {"copy owner", old}, {"sync", old}, {"swap", old},
			{"compare", "new"}, {"clear", "new"}, {"sync directory", "new"},
		} {
			if old == none && test.step == "compare" {
				continue // nothing is replaced, so nothing is compared
			}
			t.Run(old+" "+test.step, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "routes.yaml")
				if old != none {
					needExchange(t, filepath.Dir(path)) // without, nothing is compared
					put(t, path, old)
				}
				err := process(t, "die", path, test.step).Run()
				if err == nil || err.Error() != "signal: killed" {
					t.Fatalf("the writer ended with %v, want it killed", err)
				}
				got, prev := none, ""
				if data, err := os.ReadFile(path); err == nil {
					got, prev = string(data), store.RevisionOf(data)
				}
				if got != test.want {
					t.Errorf("the file holds %q, want %q", got, test.want)
				}
				_, err = open(t, path, quick).Write(t.Context(), []byte("next"), prev)
				must(t, err)
				if held := names(t, filepath.Dir(path)); get(t, path) != "next" || held != ".routes.yaml.lock routes.yaml" {
					t.Errorf("after the next write the file holds %q, the directory %s", get(t, path), held)
				}
			})
		}
	}
}

// needExchange skips where files cannot be exchanged.
func needExchange(t *testing.T, dir string) {
	t.Helper()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	put(t, a, "a")
	put(t, b, "b")
	if err := exchange(a, b); err != nil {
		t.Skipf("files cannot be exchanged here: %v", err)
	}
	must(t, errors.Join(os.Remove(a), os.Remove(b)))
}

// An editor saves between the last comparison and the exchange, and again before the first
// save has been put back. What was saved last stays.
func TestSaveWhileReplacing(t *testing.T) {
	save := map[string]func(t *testing.T, path, content string){
		"in place": put,
		"by rename": func(t *testing.T, path, content string) {
			put(t, path+"~", content)
			must(t, os.Rename(path+"~", path))
		},
	}
	for how, save := range save {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, again %t", how, again), func(t *testing.T) {
				dir := t.TempDir()
				needExchange(t, dir)
				path, want := filepath.Join(dir, "routes.yaml"), "by hand"
				put(t, path, "old")
				s := open(t, path, quick)
				s.opts.atStep = func(step string) {
					switch {
					case step == "swap":
						save(t, path, "by hand")
					case step == "compare" && again:
						want = "by hand again"
						save(t, path, want)
					}
				}
				_, err := s.Write(t.Context(), []byte("new"), store.RevisionOf([]byte("old")))
				if !errors.Is(err, store.ErrConflict) {
					t.Errorf("error %v, want a conflict", err)
				}
				if got := get(t, path); got != want {
					t.Errorf("the file holds %q, want %q", got, want)
				}
				if got := names(t, dir); got != ".routes.yaml.lock routes.yaml" {
					t.Errorf("the directory holds %s", got)
				}
			})
		}
	}
}

// What cannot be put back is kept, and the next writer does not remove it.
func TestKeepAside(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "routes.yaml")
	temp := filepath.Join(dir, tempPrefix(target)+"x")
	put(t, temp, "theirs")
	err := putBack(temp, target, store.RevisionOf([]byte("ours"))) // there is no target to exchange with
	var kept *keptError
	if !errors.As(err, &kept) || !isKept(err) {
		t.Fatalf("error %v, want one that says where the content is", err)
	}
	removeTemps(target)
	if got := get(t, kept.kept); got != "theirs" {
		t.Errorf("kept is %q, want what they wrote", got)
	}
}
