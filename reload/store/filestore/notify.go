// Notifications of the file system, reduced to: one of our files may have changed.
package filestore

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// notifier watches directories through fsnotify. It belongs to one goroutine. When it
// fails (no inotify instances or watches left, a file system without notifications),
// changes are found by polling, and the log says so once.
type notifier struct {
	log     *slog.Logger
	fs      *fsnotify.Watcher // nil while there is none
	failed  chan error        // the first error of fs that has not been taken
	watched map[string]inode  // the directories that are watched, with their inodes then
	names   map[string]bool   // the full names of our files
	dirs    map[string]bool   // directories in which every routes file is ours
	noise   map[string]*noise // by directory
	files   map[string]inode  // files that are watched themselves, in noisy directories
	polled  bool              // contents are compared every Poll, too
	logged  bool              // a failure has been logged
}

// noise counts the events of a directory about files that are not ours. fsnotify cannot
// watch some names of a directory alone, and a log that is written there would wake the
// proxy at each of its lines, so the directory's watch is removed for a while. Our files
// there are watched by themselves meanwhile; new files and changed links are found by the
// poll.
type noise struct {
	since  time.Time // the beginning of the second in which events are counted
	count  int
	until  time.Time // then the directory is watched again
	logged bool
}

const (
	maxNoise      = 20              // events in a second
	unwatchedTime = 5 * time.Second // before the directory is watched again
)

// inode identifies a file or directory, which a path may lead to another of later.
type inode struct{ dev, ino uint64 }

func newNotifier(log *slog.Logger, polled bool) *notifier {
	return &notifier{log: log, polled: polled, failed: make(chan error, 1), watched: map[string]inode{},
		noise: map[string]*noise{}, files: map[string]inode{}}
}

// close ends fsnotify's goroutine, if there is one.
func (n *notifier) close() {
	if n.fs != nil {
		n.fs.Close()
	}
}

// events blocks for ever, being nil, while there is no watcher.
func (n *notifier) events() <-chan fsnotify.Event {
	if n.fs == nil {
		return nil
	}
	return n.fs.Events
}

// arm watches the entries that find returns. It calls find until it returns the same as
// before and all of that is watched: a change between find and the watches would go
// unnoticed otherwise.
func (n *notifier) arm(find func() []dirEntry) {
	const rounds = 50 // after these the poll arms again
	if !n.open() {
		return
	}
	var before []dirEntry
	for range rounds {
		now := find()
		settled := n.setWatches(now) && slices.Equal(now, before)
		if settled {
			return
		}
		before = now
	}
}

// open creates the watcher unless there is one.
func (n *notifier) open() bool {
	if n.fs != nil {
		return true
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		n.logFailure("", err)
		return false
	}
	n.fs = w
	go forwardErrors(w.Errors, n.failed)
	return true
}

// forwardErrors takes errors until the watcher is closed. fsnotify v1.10.1 sends some with
// its lock held (a directory that was moved and is gone), so the goroutine that adds
// watches must not be the one that takes errors: each would wait for the other.
func forwardErrors(from <-chan error, to chan<- error) {
	for err := range from {
		select {
		case to <- err:
		default: // there is one that has not been taken
		}
	}
}

// setWatches adds the watches that the entries need, removes the others, and reports
// whether all directories were still there.
func (n *notifier) setWatches(entries []dirEntry) (ok bool) {
	n.names, n.dirs = map[string]bool{}, map[string]bool{}
	needed := map[string]bool{}
	for _, p := range entries {
		needed[p.dir] = true
		if p.name == "" {
			n.dirs[p.dir] = true
		} else {
			n.names[filepath.Join(p.dir, p.name)] = true
		}
	}
	for dir := range n.watched {
		if !needed[dir] {
			n.drop(dir)
		}
	}
	ok = true
	noisy := map[string]bool{}
	for dir := range needed {
		if z := n.noise[dir]; z != nil && time.Now().Before(z.until) {
			noisy[dir] = true
			continue
		}
		ok = n.add(dir) && ok
	}
	n.watchFiles(noisy)
	return ok
}

// watchFiles watches our files in the noisy directories, and no other files.
func (n *notifier) watchFiles(noisy map[string]bool) {
	wanted := map[string]bool{}
	for name := range n.names {
		wanted[name] = noisy[filepath.Dir(name)]
	}
	for dir := range noisy {
		if n.dirs[dir] {
			files, _ := list(dir)
			for _, name := range files {
				wanted[name] = true
			}
		}
	}
	for name, before := range n.files {
		if now, err := inodeOf(name); !wanted[name] || err != nil || now != before {
			delete(n.files, name)
			n.fs.Remove(name) // it fails if the watch is gone already
		}
	}
	for name := range wanted {
		_, watched := n.files[name]
		_, isDirectory := n.watched[name]
		if !wanted[name] || watched || isDirectory {
			continue
		}
		if now, err := inodeOf(name); err == nil && n.fs.Add(name) == nil {
			n.files[name] = now
		}
	}
}

// isNeighbour reports whether a name is part of an edit of one of our files: a temporary
// file, a backup, a lock.
func (n *notifier) isNeighbour(dir, base string) bool {
	if n.dirs[dir] && (strings.Contains(base, ".yaml") || strings.Contains(base, ".yml")) {
		return true
	}
	for ours := range n.names {
		if filepath.Dir(ours) == dir && strings.Contains(base, filepath.Base(ours)) {
			return true
		}
	}
	return false
}

// countForeign counts an event about a file that is not ours. It reports whether the
// watches must be set again, now without that directory.
func (n *notifier) countForeign(name string) (moved bool) {
	dir := filepath.Dir(name)
	if _, watched := n.watched[dir]; !watched || !n.polled || n.isNeighbour(dir, filepath.Base(name)) {
		return false
	}
	z, now := n.noise[dir], time.Now()
	if z == nil {
		z = &noise{}
		n.noise[dir] = z
	}
	if now.Sub(z.since) > time.Second {
		z.since, z.count = now, 0
	}
	if z.count++; z.count <= maxNoise {
		return false
	}
	z.until, z.count = now.Add(unwatchedTime), 0
	n.drop(dir)
	if !z.logged {
		z.logged = true
		n.log.Warn("other files in the directory change often, so it is not watched for new files but polled; keep logs elsewhere", "directory", dir)
	}
	return true
}

// add watches dir and reports whether it was there all the time. A directory that is
// watched is added again, which makes no second watch: the kernel may have dropped the
// first, and the event that says so may be lost.
func (n *notifier) add(dir string) bool {
	now, err := inodeOf(dir)
	if err != nil {
		return false // gone since find; the next find returns what is there
	}
	if before, watched := n.watched[dir]; watched && before != now {
		n.drop(dir)
	}
	if err := n.fs.Add(dir); err != nil {
		n.logFailure(dir, err)
		delete(n.watched, dir)
		return !errors.Is(err, os.ErrNotExist)
	}
	n.watched[dir] = now
	after, err := inodeOf(dir)
	return err == nil && after == now
}

func (n *notifier) drop(dir string) {
	delete(n.watched, dir)
	n.fs.Remove(dir) // it fails if the watch is gone already
}

// reset is for a watcher that has ended by itself. The next arm creates another.
func (n *notifier) reset() {
	n.fs.Close()
	n.fs, n.watched, n.files = nil, map[string]inode{}, map[string]inode{}
	n.logFailure("", errors.New("the notifications have ended"))
}

// logFailure logs the first failure. That a directory or its watch is gone is none.
func (n *notifier) logFailure(dir string, err error) {
	gone := errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EINVAL)
	if n.logged || gone {
		return
	}
	n.logged = true
	n.log.Warn("file system notifications are not to be had; changes are found by polling",
		"directory", dir, "error", err)
}

// matters reports whether an event is about one of our files, and moved whether the
// watches must be set again.
func (n *notifier) matters(e fsnotify.Event) (matters, moved bool) {
	name := filepath.Clean(e.Name)
	_, isWatched := n.watched[name]
	_, isFile := n.files[name]
	matters = isWatched || isFile || n.names[name] || n.dirs[filepath.Dir(name)] && isRoutesName(filepath.Base(name))
	if !matters {
		return false, n.countForeign(name)
	}
	return true, !e.Op.Has(fsnotify.Write)
}

func inodeOf(path string) (inode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return inode{}, err
	}
	sys := info.Sys().(*syscall.Stat_t)
	return inode{uint64(sys.Dev), sys.Ino}, nil //nolint:unconvert // int32 on darwin
}
