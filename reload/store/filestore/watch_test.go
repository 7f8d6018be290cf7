// All kinds of changes of files, followed by wake-ups alone.
package filestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

// follower reads a source only when it is woken.
type follower struct {
	t      *testing.T
	dir    string
	source *Source
	wake   <-chan struct{}
}

// newFollower watches until the test ends.
func newFollower(t *testing.T, o Options, dir string, paths ...string) *follower {
	t.Helper()
	f := &follower{t: t, dir: dir, source: newSource(t, o, paths...)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	wake, err := f.source.Watch(ctx)
	must(t, err)
	f.wake = wake
	t.Cleanup(func() {
		cancel()
		for range wake { // until it is closed
		}
	})
	return f
}

// expect waits for a wake-up after which the set is as wanted: "name=content
// ...", or "!" and a part of the error's text.
func (f *follower) expect(want string) {
	f.t.Helper()
	deadline, got := time.After(patience), "nothing"
	for {
		select {
		case _, open := <-f.wake:
			if !open {
				f.t.Fatal("the watch has ended before its context")
			}
			if got = f.read(); got == want || strings.HasPrefix(want, "!") && strings.Contains(got, want[1:]) {
				return
			}
		case <-deadline:
			f.t.Fatalf("the last wake-up led to %q, want %q", got, want)
		}
	}
}

func (f *follower) read() string {
	snap, err := f.source.Read(f.t.Context())
	if err != nil {
		return "!" + err.Error()
	}
	return contents(f.dir, snap)
}

// replace writes a temporary file and renames it.
func replace(t *testing.T, path, content string) {
	t.Helper()
	put(t, path+"~", content)
	must(t, os.Rename(path+"~", path))
}

// relink changes a link atomically.
func relink(t *testing.T, to, path string) {
	t.Helper()
	must(t, os.Symlink(to, path+"~"))
	must(t, os.Rename(path+"~", path))
}

// timelines are run against one file, d/routes.yaml, which holds "start".
var timelines = []struct {
	name string
	run  func(t *testing.T, f *follower, path string)
}{
	{"written in place", func(t *testing.T, f *follower, path string) {
		for i := range 3 {
			put(t, path, fmt.Sprint(i))
			f.expect(fmt.Sprintf("d/routes.yaml=%d", i))
		}
	}},
	{"replaced", func(t *testing.T, f *follower, path string) {
		for i := range 3 {
			replace(t, path, fmt.Sprint(i))
			f.expect(fmt.Sprintf("d/routes.yaml=%d", i))
		}
	}},
	{"moved aside and written anew, as editors do", func(t *testing.T, f *follower, path string) {
		for i := range 3 {
			must(t, os.Rename(path, path+"~"))
			put(t, path, fmt.Sprint(i))
			f.expect(fmt.Sprintf("d/routes.yaml=%d", i))
		}
	}},
	{"truncated, then written", func(t *testing.T, f *follower, path string) {
		must(t, os.Truncate(path, 0))
		f.expect("d/routes.yaml=")
		put(t, path, "again")
		f.expect("d/routes.yaml=again")
	}},
	{"removed and created", func(t *testing.T, f *follower, path string) {
		for i := range 3 {
			must(t, os.Remove(path))
			f.expect("!no such file")
			put(t, path, fmt.Sprint(i))
			f.expect(fmt.Sprintf("d/routes.yaml=%d", i))
		}
	}},
	{"a named pipe in its place", func(t *testing.T, f *follower, path string) {
		must(t, os.Remove(path))
		must(t, syscall.Mkfifo(path, 0o644))
		f.expect("!named pipe")
		replace(t, path, "back")
		f.expect("d/routes.yaml=back")
	}},
	{"a directory in its place", func(t *testing.T, f *follower, path string) {
		must(t, os.Remove(path))
		mkdir(t, path)
		f.expect("")
		put(t, filepath.Join(path, "a.yaml"), "inside")
		f.expect("d/routes.yaml/a.yaml=inside")
		must(t, os.RemoveAll(path))
		f.expect("!no such file")
		put(t, path, "back")
		f.expect("d/routes.yaml=back")
	}},
	{"an endless device in its place", func(t *testing.T, f *follower, path string) {
		relink(t, "/dev/zero", path)
		f.expect("!is a device")
		replace(t, path, "back")
		f.expect("d/routes.yaml=back")
	}},
	{"a link to nothing, whose target then comes", func(t *testing.T, f *follower, path string) {
		relink(t, "../far/away/target", path)
		f.expect("!leads nowhere")
		put(t, filepath.Join(mkdir(t, f.dir, "far", "away"), "target"), "come")
		f.expect("d/routes.yaml=come")
		replace(t, filepath.Join(f.dir, "far", "away", "target"), "changed")
		f.expect("d/routes.yaml=changed")
	}},
	{"links in a ring", func(t *testing.T, f *follower, path string) {
		must(t, os.Symlink(path, path+".other"))
		relink(t, path+".other", path)
		f.expect("!too many levels")
		replace(t, path+".other", "no ring")
		f.expect("d/routes.yaml=no ring")
	}},
	{"older time, same size", func(t *testing.T, f *follower, path string) { rewriteAt(t, f, path, time.Unix(1, 0)) }},
	{"future time, same size", func(t *testing.T, f *follower, path string) {
		rewriteAt(t, f, path, time.Now().Add(1000*time.Hour))
	}},
	{"a hundred writes", func(t *testing.T, f *follower, path string) {
		for i := range 100 {
			put(t, path, fmt.Sprint(i))
		}
		f.expect("d/routes.yaml=99")
		put(t, path, "after")
		f.expect("d/routes.yaml=after")
	}},
	{"its directory replaced", func(t *testing.T, f *follower, path string) {
		for i := range 3 {
			next := mkdir(t, f.dir, "next")
			put(t, filepath.Join(next, "routes.yaml"), fmt.Sprint(i))
			must(t, os.Rename(filepath.Dir(path), filepath.Join(f.dir, fmt.Sprint("old", i))))
			must(t, os.Rename(next, filepath.Dir(path)))
			f.expect(fmt.Sprintf("d/routes.yaml=%d", i))
			replace(t, path, "in the new one")
			f.expect("d/routes.yaml=in the new one")
		}
	}},
	{"its directory removed and made", func(t *testing.T, f *follower, path string) {
		for i := range 3 {
			must(t, os.RemoveAll(filepath.Dir(path)))
			f.expect("!no such file")
			mkdir(t, filepath.Dir(path))
			put(t, path, fmt.Sprint(i))
			f.expect(fmt.Sprintf("d/routes.yaml=%d", i))
		}
	}},
	{"its directory becomes a link", func(t *testing.T, f *follower, path string) {
		put(t, filepath.Join(mkdir(t, f.dir, "v1"), "routes.yaml"), "one")
		put(t, filepath.Join(mkdir(t, f.dir, "v2"), "routes.yaml"), "two")
		must(t, os.RemoveAll(filepath.Dir(path)))
		must(t, os.Symlink("v1", filepath.Dir(path)))
		f.expect("d/routes.yaml=one")
		relink(t, "v2", filepath.Dir(path))
		f.expect("d/routes.yaml=two")
		replace(t, filepath.Join(f.dir, "v2", "routes.yaml"), "three")
		f.expect("d/routes.yaml=three")
	}},
	{"a link re-pointed, with nothing removed", func(t *testing.T, f *follower, path string) {
		for i := range 3 {
			put(t, filepath.Join(mkdir(t, f.dir, fmt.Sprint("v", i)), "target"), fmt.Sprint(i))
		}
		relink(t, "../link", path)
		for i := range 3 {
			relink(t, fmt.Sprintf("v%d/target", i), filepath.Join(f.dir, "link"))
			f.expect(fmt.Sprintf("d/routes.yaml=%d", i))
		}
	}},
	{"an extra file", func(t *testing.T, f *follower, path string) {
		cert := filepath.Join(f.dir, "tls", "site.crt")
		f.source.Also([]string{cert})
		for _, change := range []func(){
			func() { put(t, filepath.Join(mkdir(t, f.dir, "tls"), "site.crt"), "certificate") },
			func() { replace(t, cert, "renewed") },
			func() { must(t, os.Remove(cert)) },
		} {
			before, err := f.source.Read(t.Context())
			must(t, err)
			change()
			f.expectInputsOtherThan(before.Inputs)
		}
	}},
}

// rewriteAt writes other content of the same size and sets the time.
func rewriteAt(t *testing.T, f *follower, path string, when time.Time) {
	t.Helper()
	put(t, path, "first")
	must(t, os.Chtimes(path, when, when))
	f.expect("d/routes.yaml=first")
	put(t, path, "other")
	must(t, os.Chtimes(path, when, when))
	f.expect("d/routes.yaml=other")
}

func (f *follower) expectInputsOtherThan(before string) {
	f.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case <-f.wake:
			if snap, err := f.source.Read(f.t.Context()); err == nil && snap.Inputs != before {
				return
			}
		case <-deadline:
			f.t.Fatal("no wake-up led to other inputs")
		}
	}
}

func TestTimelines(t *testing.T) {
	for _, mode := range modes {
		for _, line := range timelines {
			t.Run(mode.name+"/"+line.name, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(mkdir(t, dir, "d"), "routes.yaml")
				put(t, path, "start")
				line.run(t, newFollower(t, mode.opts, dir, path), path)
			})
		}
	}
}

func TestDirectoryTimeline(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			dir := t.TempDir()
			routes := mkdir(t, dir, "d")
			f := newFollower(t, mode.opts, dir, routes)
			put(t, filepath.Join(routes, "b.yaml"), "b")
			f.expect("d/b.yaml=b")
			put(t, filepath.Join(routes, "a.yml"), "a")
			f.expect("d/a.yml=a d/b.yaml=b")
			must(t, os.Rename(filepath.Join(routes, "b.yaml"), filepath.Join(routes, "c.yaml")))
			f.expect("d/a.yml=a d/c.yaml=b")
			must(t, os.Remove(filepath.Join(routes, "a.yml")))
			f.expect("d/c.yaml=b")
			must(t, os.Symlink("../away", filepath.Join(routes, "link.yaml")))
			f.expect("!leads nowhere")
			put(t, filepath.Join(dir, "away"), "linked")
			f.expect("d/c.yaml=b d/link.yaml=linked")
			replace(t, filepath.Join(dir, "away"), "changed")
			f.expect("d/c.yaml=b d/link.yaml=changed")
			must(t, os.RemoveAll(routes))
			f.expect("!no such file")
			mkdir(t, routes)
			f.expect("")
		})
	}
}

// A mounted ConfigMap: the kubelet writes a new directory, swaps the link
// "..data" and removes the old directory. Nothing else changes.
func TestConfigMap(t *testing.T) {
	for _, mode := range modes {
		for _, directory := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/directory=%v", mode.name, directory), func(t *testing.T) {
				dir := t.TempDir()
				volume := mkdir(t, dir, "d")
				configMap(t, volume, "start")
				must(t, os.Symlink("..data/routes.yaml", filepath.Join(volume, "routes.yaml")))
				path := volume
				if !directory {
					path = filepath.Join(volume, "routes.yaml")
				}
				f := newFollower(t, mode.opts, dir, path)
				for i := range 3 {
					configMap(t, volume, fmt.Sprint("swap ", i))
					f.expect(fmt.Sprintf("d/routes.yaml=swap %d", i))
				}
				for i := range 3 {
					configMap(t, volume, fmt.Sprint("burst ", i))
				}
				f.expect("d/routes.yaml=burst 2")
			})
		}
	}
}

// configMap writes what a kubelet's AtomicWriter writes.
func configMap(t *testing.T, volume, content string) {
	t.Helper()
	next, err := os.MkdirTemp(volume, "..2026_")
	must(t, err)
	put(t, filepath.Join(next, "routes.yaml"), content)
	old, _ := os.Readlink(filepath.Join(volume, "..data"))
	must(t, os.Symlink(filepath.Base(next), filepath.Join(volume, "..data_tmp")))
	must(t, os.Rename(filepath.Join(volume, "..data_tmp"), filepath.Join(volume, "..data")))
	if old != "" {
		must(t, os.RemoveAll(filepath.Join(volume, old)))
	}
}

// The poll finds what has no notification, while others have one.
func TestPollBesideNotifications(t *testing.T) {
	o := Options{Settle: 5 * time.Millisecond, Poll: 10 * time.Millisecond}
	t.Run("written through shared memory", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(mkdir(t, dir, "d"), "routes.yaml")
		put(t, path, "start")
		f := newFollower(t, o, dir, path)
		writeMapped(t, path, "other")
		f.expect("d/routes.yaml=other")
	})
	t.Run("an ancestor replaced", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(mkdir(t, dir, "a", "b", "d"), "routes.yaml")
		put(t, path, "start")
		f := newFollower(t, o, filepath.Join(dir, "a", "b"), path)
		must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "old")))
		put(t, filepath.Join(mkdir(t, filepath.Dir(path)), "routes.yaml"), "new")
		f.expect("d/routes.yaml=new")
	})
}

// writeMapped overwrites the beginning of a file through a memory map.
func writeMapped(t *testing.T, path, content string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	mem, err := syscall.Mmap(int(file.Fd()), 0, len(content), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	must(t, err)
	copy(mem, content)
	must(t, syscall.Munmap(mem))
}

// A poll that finds a change also sets the watches: with the next poll an hour away, a
// change is notified. Naming an extra file stands for the poll.
func TestArmAfterAncestorReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(mkdir(t, dir, "a", "b", "d"), "routes.yaml")
	put(t, path, "start")
	f := newFollower(t, modes[0].opts, filepath.Join(dir, "a", "b"), path)
	must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "old")))
	put(t, filepath.Join(mkdir(t, filepath.Dir(path)), "routes.yaml"), "new")
	f.source.Also(nil)
	f.expect("d/routes.yaml=new")
	put(t, path, "newer")
	f.expect("d/routes.yaml=newer")
}

// Files that are not ours wake nothing.
func TestOthersDoNotWake(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(mkdir(t, dir, "d"), "routes.yaml")
	put(t, path, "start")
	n := newNotifier(slog.New(slog.DiscardHandler), true)
	defer n.close()
	n.arm(func() []dirEntry { return entriesOf([]string{path}) })
	put(t, filepath.Join(dir, "d", "access.log"), "line")
	put(t, filepath.Join(dir, "d", ".routes.yaml.lock"), "")
	put(t, path, "changed") // the last: its event ends the test
	for {
		select {
		case e := <-n.events():
			matters, _ := n.matters(e)
			if ours := e.Name == path; matters != ours {
				t.Errorf("event %s matters: %v, want %v", e, matters, ours)
			}
			if e.Name == path {
				return
			}
		case <-time.After(patience):
			t.Fatal("no event for the file itself")
		}
	}
}

// TestNoisyDirectoryIsLeft: a log beside the routes does not wake the watcher at each line
// for long, and edits are still noticed at once.
func TestNoisyDirectoryIsLeft(t *testing.T) {
	dir := realTempDir(t)
	routes, log := filepath.Join(dir, "routes.yaml"), filepath.Join(dir, "app.log")
	put(t, routes, "first")
	put(t, log, "")
	n := newNotifier(slog.New(slog.DiscardHandler), true)
	defer n.close()
	arm := func() { n.arm(func() []dirEntry { return entriesOf([]string{routes}) }) }
	arm()

	line := func(text string) {
		f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		defer f.Close()
		_, err = f.WriteString(text)
		must(t, err)
	}
	next := func() (matters bool) {
		select {
		case e := <-n.events():
			matters, moved := n.matters(e)
			if moved {
				arm()
			}
			return matters
		case <-time.After(patience):
			t.Fatal("no event came")
			return false
		}
	}
	for i := range maxNoise + 1 {
		line(fmt.Sprintln("line", i))
		if next() {
			t.Error("a line of a log matters")
		}
	}
	if _, watched := n.watched[dir]; watched {
		t.Fatal("the directory is still watched")
	}
	for range 100 {
		line("unheard\n")
	}
	put(t, routes, "in place")
	if !next() {
		t.Error("the first event is not about the routes file")
	}
	for len(n.events()) > 0 {
		next()
	}
	replace(t, routes, "replaced")
	for !next() {
	}
	// The new file is watched as the old one was.
	for done := false; !done; {
		_, err := os.Stat(routes)
		must(t, err)
		now, _ := inodeOf(routes)
		if done = n.files[routes] == now; !done {
			next()
		}
	}
	n.noise[dir].until = time.Time{} // as when the pause is over
	arm()
	if _, watched := n.watched[dir]; !watched || len(n.files) > 0 {
		t.Errorf("watched %v and %v, want the directory alone again", n.watched, n.files)
	}
}

func TestWatchersAreIndependent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(mkdir(t, dir, "d"), "routes.yaml")
	put(t, path, "start")
	f := newFollower(t, modes[0].opts, dir, path)
	ctx, cancel := context.WithCancel(t.Context())
	other, err := f.source.Watch(ctx)
	must(t, err)
	cancel()
	for range other { // until it is closed
	}
	f.source.mu.Lock()
	if len(f.source.watchers) != 1 {
		t.Errorf("%d watchers are registered, want 1", len(f.source.watchers))
	}
	f.source.mu.Unlock()
	put(t, path, "still")
	f.expect("d/routes.yaml=still")
}

// Without notifications the log says so once, and changes are polled.
func TestDegradesToPolling(t *testing.T) {
	var log lockedBuffer
	o := Options{Settle: time.Millisecond, Poll: 5 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))}
	dir := t.TempDir()
	path := filepath.Join(mkdir(t, dir, "d"), "routes.yaml")
	put(t, path, "start")
	restore := withoutDescriptors(t)
	f := newFollower(t, o, dir, path)
	restore()
	put(t, path, "changed")
	f.expect("d/routes.yaml=changed")
	if n := strings.Count(log.String(), "notifications"); n != 1 {
		t.Errorf("the log speaks of notifications %d times, want once:\n%s", n, log.String())
	}
}

func TestComplainsOnce(t *testing.T) {
	var log lockedBuffer
	n := newNotifier(slog.New(slog.NewTextHandler(&log, nil)), true)
	defer n.close()
	dir := t.TempDir()
	restore := withoutDescriptors(t)
	for range 3 {
		n.arm(func() []dirEntry { return []dirEntry{{dir, "routes.yaml"}} })
	}
	restore()
	if n := strings.Count(log.String(), "notifications"); n != 1 {
		t.Errorf("the log speaks of notifications %d times, want once:\n%s", n, log.String())
	}
}

// A link that changes between find and the watch is found by the next find.
func TestArmLooksAgain(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	n := newNotifier(slog.New(slog.DiscardHandler), true)
	defer n.close()
	looks := 0
	n.arm(func() []dirEntry {
		if looks++; looks == 1 {
			return []dirEntry{{first, "routes.yaml"}}
		}
		return []dirEntry{{second, "routes.yaml"}}
	})
	put(t, filepath.Join(second, "routes.yaml"), "")
	select {
	case e := <-n.events():
		if matters, _ := n.matters(e); !matters || filepath.Dir(e.Name) != second {
			t.Errorf("event %s, want one in %s that matters", e, second)
		}
	case <-time.After(patience):
		t.Fatal("the second directory is not watched")
	}
	if list := n.fs.WatchList(); len(list) != 1 {
		t.Errorf("watched: %q, want the second directory alone", list)
	}
}

// fsnotify reports an error with its lock held when a directory was moved and removed
// before it reads the event of the move. An event that is not taken yet keeps it from
// reading while watches are added.
func TestArmWhileFsnotifyFails(t *testing.T) {
	dir := t.TempDir()
	n := newNotifier(slog.New(slog.DiscardHandler), true)
	defer n.close()
	for i := range 100 {
		here := mkdir(t, dir, fmt.Sprint(i))
		find := func() []dirEntry { return []dirEntry{{here, "routes.yaml"}} }
		n.arm(find)
		put(t, filepath.Join(here, "routes.yaml"), "")
		must(t, os.Rename(here, here+".old"))
		must(t, os.RemoveAll(here+".old"))
		<-n.events()
		n.arm(find)
		n.arm(func() []dirEntry { return []dirEntry{{dir, "routes.yaml"}} })
	}
}

// withoutDescriptors makes every new descriptor fail with EMFILE.
func withoutDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	return func() { must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }
}

type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestNoPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("permissions do not bind the superuser")
	}
	dir := t.TempDir()
	path := filepath.Join(mkdir(t, dir, "d"), "routes.yaml")
	put(t, path, "start")
	f := newFollower(t, modes[0].opts, dir, path)
	must(t, os.Chmod(path, 0))
	f.expect("!permission denied")
	must(t, os.Chmod(path, 0o644))
	f.expect("d/routes.yaml=start")
}

// The error matches the sentinel and the file system's error, and has its text.
func TestNotExist(t *testing.T) {
	_, err := open(t, filepath.Join(t.TempDir(), "routes.yaml"), quick).Read(t.Context())
	if !errors.Is(err, store.ErrNotExist) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want one that matches store.ErrNotExist and fs.ErrNotExist", err)
	}
}
