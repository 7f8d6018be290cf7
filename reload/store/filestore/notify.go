// The file system's notifications, reduced to: something of ours has happened.
package filestore

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// notifier watches directories through fsnotify. It belongs to one goroutine.
// All of it may fail (no inotify instances or watches left, a file system
// without notifications): the poll does the work then, and the log says so once.
type notifier struct {
	log     *slog.Logger
	fs      *fsnotify.Watcher // nil while there is none
	failed  chan error        // what fs reports, the first of those that wait
	watched map[string]inode  // the directories that are watched, and what they were
	names   map[string]bool   // full names that matter
	dirs    map[string]bool   // directories in which every routes file matters
	told    bool              // a failure has been logged
}

// inode tells a directory from one that has come to its name.
type inode struct{ dev, ino uint64 }

func newNotifier(log *slog.Logger) *notifier {
	return &notifier{log: log, failed: make(chan error, 1), watched: map[string]inode{}}
}

// close ends fsnotify's goroutine. It is safe on a notifier without one.
func (n *notifier) close() {
	if n.fs != nil {
		n.fs.Close()
	}
}

// events is nil, and so blocks for ever, while there is no watcher.
func (n *notifier) events() <-chan fsnotify.Event {
	if n.fs == nil {
		return nil
	}
	return n.fs.Events
}

// arm makes the watches be those of the places that look finds. It looks again
// until it finds what it found before and all of that is watched: what changes
// between a look and the watches goes unnoticed otherwise.
func (n *notifier) arm(look func() []place) {
	const rounds = 50 // beyond that the poll arms again
	if !n.open() {
		return
	}
	var before []place
	for range rounds {
		now := look()
		settled := n.want(now) && slices.Equal(now, before)
		if settled {
			return
		}
		before = now
	}
}

// open makes the watcher unless there is one.
func (n *notifier) open() bool {
	if n.fs != nil {
		return true
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		n.complain("", err)
		return false
	}
	n.fs = w
	go drain(w.Errors, n.failed)
	return true
}

// drain takes errors as they come until the watcher is closed. fsnotify v1.10.1
// sends some with its lock held (a directory that was moved and is gone), so
// whoever adds a watch must not be the one who takes them: both would wait for
// ever.
func drain(from <-chan error, to chan<- error) {
	for err := range from {
		select {
		case to <- err:
		default: // one waits already
		}
	}
}

// want puts the watches that the places need, drops the others, and reports
// whether all directories were still there.
func (n *notifier) want(places []place) (ok bool) {
	n.names, n.dirs = map[string]bool{}, map[string]bool{}
	needed := map[string]bool{}
	for _, p := range places {
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
	for dir := range needed {
		ok = n.add(dir) && ok
	}
	return ok
}

// add watches dir and reports whether it was there all the while. A watch that
// stands is put again: the kernel drops it without a word that is sure to
// arrive, and putting it twice is one watch.
func (n *notifier) add(dir string) bool {
	now, err := inodeOf(dir)
	if err != nil {
		return false // gone since the look; the next look finds what is there
	}
	if before, stands := n.watched[dir]; stands && before != now {
		n.drop(dir)
	}
	if err := n.fs.Add(dir); err != nil {
		n.complain(dir, err)
		delete(n.watched, dir)
		return !errors.Is(err, os.ErrNotExist)
	}
	n.watched[dir] = now
	after, err := inodeOf(dir)
	return err == nil && after == now
}

func (n *notifier) drop(dir string) {
	delete(n.watched, dir)
	n.fs.Remove(dir) // an error says that the watch was gone already
}

// lost is for a watcher that has ended by itself. The next arm makes another.
func (n *notifier) lost() {
	n.fs.Close()
	n.fs, n.watched = nil, map[string]inode{}
	n.complain("", errors.New("the notifications have ended"))
}

// complain logs the first failure. One that only means that a directory or its
// watch went away in between is none.
func (n *notifier) complain(dir string, err error) {
	gone := errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EINVAL)
	if n.told || gone {
		return
	}
	n.told = true
	n.log.Warn("file system notifications are not to be had; changes are found by polling",
		"directory", dir, "error", err)
}

// matters reports whether an event is about a place of ours, and moved whether
// the watches have to be put anew.
func (n *notifier) matters(e fsnotify.Event) (matters, moved bool) {
	name := filepath.Clean(e.Name)
	_, isWatched := n.watched[name]
	matters = isWatched || n.names[name] || n.dirs[filepath.Dir(name)] && isRoutesName(filepath.Base(name))
	return matters, matters && !e.Op.Has(fsnotify.Write)
}

func inodeOf(path string) (inode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return inode{}, err
	}
	sys := info.Sys().(*syscall.Stat_t)
	return inode{uint64(sys.Dev), sys.Ino}, nil //nolint:unconvert // int32 on darwin
}
