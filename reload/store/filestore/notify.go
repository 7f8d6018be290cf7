// The file system's notifications, reduced to: something of ours has happened.
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
	noise   map[string]*noise // by directory: events about files that are not ours
	files   map[string]inode  // files that are watched themselves, in directories that are too noisy
	polled  bool              // contents are compared from time to time, whatever is notified
	told    bool              // a failure has been logged
}

// noise is what happens to files of a directory that are not ours. A log that is
// written there must not have the proxy woken at each of its lines: fsnotify cannot be
// asked for some names of a directory alone, so its watch is taken away for a while.
// Our own files there are watched by themselves meanwhile; what comes new beside them,
// and links that are pointed elsewhere, are found by the poll.
type noise struct {
	since time.Time // of the second in which they are counted
	count int
	until time.Time // the directory goes unwatched
	told  bool
}

const (
	mostNoise = 20              // events in a second
	quiet     = 5 * time.Second // without the directory's watch
)

// inode tells a directory from one that has come to its name.
type inode struct{ dev, ino uint64 }

func newNotifier(log *slog.Logger, polled bool) *notifier {
	return &notifier{log: log, polled: polled, failed: make(chan error, 1), watched: map[string]inode{},
		noise: map[string]*noise{}, files: map[string]inode{}}
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

// watchFiles watches the files of ours in the noisy directories, and no others.
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
			n.fs.Remove(name) // an error says that the watch was gone already
		}
	}
	for name := range wanted {
		_, stands := n.files[name]
		_, isDirectory := n.watched[name]
		if !wanted[name] || stands || isDirectory {
			continue
		}
		if now, err := inodeOf(name); err == nil && n.fs.Add(name) == nil {
			n.files[name] = now
		}
	}
}

// isNeighbour says that a name belongs to an edit of a file of ours: what is to be
// renamed into its place, its backup, its lock.
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

// foreign notes an event about a file that is not ours and reports whether the watches
// have to be put anew, without its directory's.
func (n *notifier) foreign(name string) (moved bool) {
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
	if z.count++; z.count <= mostNoise {
		return false
	}
	z.until, z.count = now.Add(quiet), 0
	n.drop(dir)
	if !z.told {
		z.told = true
		n.log.Warn("other files in the directory change often, so it is not watched for new files but polled; keep logs elsewhere", "directory", dir)
	}
	return true
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
	n.fs, n.watched, n.files = nil, map[string]inode{}, map[string]inode{}
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
	_, isFile := n.files[name]
	matters = isWatched || isFile || n.names[name] || n.dirs[filepath.Dir(name)] && isRoutesName(filepath.Base(name))
	if !matters {
		return false, n.foreign(name)
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
