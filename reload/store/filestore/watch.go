// The goroutine that wakes whoever follows a file.
package filestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/moby/sys/mountinfo"
)

// watcher turns notifications and polls into wake-ups. Its goroutine ends with
// its context, and with nothing else.
type watcher struct {
	opts  Options
	paths func() []string // whose places are watched
	take  func() reading  // what is compared at each poll

	wake  chan struct{} // capacity 1: a wake-up that waits covers the next
	poked chan struct{} // capacity 1: the paths have changed

	warned map[string]bool // paths that an operator has been told of; the goroutine's
}

// Watch sends whenever the document may have changed; see store.Store.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	w := newWatcher(s.opts, func() []string { return []string{s.path} }, s.take)
	w.start(ctx, func() {})
	return w.wake, nil
}

// Watch sends whenever the set, or a file named with Also, may have changed; see
// store.Source.
func (s *Source) Watch(ctx context.Context) (<-chan struct{}, error) {
	w := newWatcher(s.opts, s.watchedPaths, s.take)
	s.mu.Lock()
	s.watchers[w] = struct{}{}
	s.mu.Unlock()
	w.start(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	})
	return w.wake, nil
}

func (s *Source) watchedPaths() []string {
	return slices.Concat(s.paths, s.inputs())
}

func newWatcher(o Options, paths func() []string, take func() reading) *watcher {
	return &watcher{
		opts: o, paths: paths, take: take,
		wake: make(chan struct{}, 1), poked: make(chan struct{}, 1),
		warned: map[string]bool{},
	}
}

// poke tells the goroutine that the paths have changed.
func (w *watcher) poke() { signal(w.poked) }

// start puts the watches and notes the contents before it returns, so that
// whatever happens afterwards is noticed. done is called when the goroutine
// ends, before the channel is closed.
func (w *watcher) start(ctx context.Context, done func()) {
	n := newNotifier(w.opts.Log, w.opts.Poll >= 0)
	w.arm(n)
	w.warnOfMounts()
	before := w.take().fingerprint()
	go func() {
		defer close(w.wake)
		defer done()
		defer n.close()
		w.follow(ctx, n, before)
	}()
}

// follow is the watcher's life.
func (w *watcher) follow(ctx context.Context, n *notifier, before string) {
	poll, stop := ticks(w.opts.Poll)
	defer stop()
	calm := newCalm(w.opts.Settle)
	defer calm.stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-n.events():
			matters, moved := n.matters(e)
			if !open {
				n.lost()
				matters, moved = true, true
			}
			if moved {
				w.arm(n)
			}
			if matters && calm.pass() {
				signal(w.wake)
			}
		case err := <-n.failed: // events may have been lost: anything may have happened
			n.complain("", err)
			w.arm(n)
			if calm.pass() {
				signal(w.wake)
			}
		case <-calm.over():
			if calm.end() {
				signal(w.wake)
			}
		case <-w.poked:
			w.arm(n)
			w.warnOfMounts()
			signal(w.wake)
		case <-poll:
			w.arm(n)
			if now := w.take().fingerprint(); now != before {
				before = now
				signal(w.wake)
			}
		}
	}
}

func (w *watcher) arm(n *notifier) {
	if !w.opts.NoNotify {
		n.arm(func() []place { return places(w.paths()) })
	}
}

// warnOfMounts tells once of each file that is a mount of its own: it stays the
// file that was mounted when the original is replaced.
func (w *watcher) warnOfMounts() {
	for _, p := range w.paths() {
		if !w.warned[p] && isMountedFile(p) {
			w.warned[p] = true
			w.opts.Log.Warn("the file is a mount of a single file, so its replacement outside is not seen; mount the directory that holds it instead", "path", p)
		}
	}
}

func isMountedFile(path string) bool {
	mounted, err := mountinfo.Mounted(path)
	return err == nil && mounted && !isDir(path)
}

// fingerprint is equal for two readings that a reader cannot tell apart.
func (r reading) fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00", text(r.err), r.inputs)
	for _, f := range r.files {
		fmt.Fprintf(h, "%s\x00%s\x00%s\x00", f.path, f.revision, text(f.err))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// calm lets the first of a burst of events pass and one more when a pause is
// over, and so on while the burst lasts: nothing waits for its end.
type calm struct {
	pause time.Duration
	timer *time.Timer
	busy  bool // the pause is running
	held  bool // an event has come during the pause
}

func newCalm(pause time.Duration) *calm {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &calm{pause: max(pause, 0), timer: t}
}

// pass reports whether an event may be passed on now; if not, it is kept.
func (c *calm) pass() bool {
	if c.busy {
		c.held = true
		return false
	}
	c.busy = true
	c.timer.Reset(c.pause)
	return true
}

// over fires when the pause is over; end must be called then.
func (c *calm) over() <-chan time.Time { return c.timer.C }

// end reports whether an event was kept, which begins the next pause.
func (c *calm) end() bool {
	held := c.held
	c.busy, c.held = held, false
	if held {
		c.timer.Reset(c.pause)
	}
	return held
}

func (c *calm) stop() { c.timer.Stop() }

// ticks is a ticker, or nothing for a negative interval.
func ticks(every time.Duration) (<-chan time.Time, func()) {
	if every < 0 {
		return nil, func() {}
	}
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// signal leaves a token in a channel of capacity 1 unless one is there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
