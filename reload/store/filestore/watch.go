// The goroutine that wakes the readers of a file.
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

// watcher makes wake-ups of notifications and polls. Its goroutine ends only with its
// context.
type watcher struct {
	opts     Options
	paths    func() []string // which are watched
	readOnce func() reading  // what is compared at each poll

	wake  chan struct{} // capacity 1: one that has not been received covers the next
	poked chan struct{} // capacity 1: the paths have changed

	warned map[string]bool // of these mounts; the goroutine's
}

// Watch sends whenever the document may have changed; see store.Store.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	w := newWatcher(s.opts, func() []string { return []string{s.path} }, s.readOnce)
	w.start(ctx, func() {})
	return w.wake, nil
}

// Watch sends whenever the set, or a file named with Also, may have changed; see
// store.Source.
func (s *Source) Watch(ctx context.Context) (<-chan struct{}, error) {
	w := newWatcher(s.opts, s.watchedPaths, s.readOnce)
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

func newWatcher(o Options, paths func() []string, readOnce func() reading) *watcher {
	return &watcher{
		opts: o, paths: paths, readOnce: readOnce,
		wake: make(chan struct{}, 1), poked: make(chan struct{}, 1),
		warned: map[string]bool{},
	}
}

// poke tells the goroutine that the paths have changed.
func (w *watcher) poke() { signal(w.poked) }

// start watches and reads before it returns, so that any later change is noticed. done is
// called when the goroutine ends, before the channel is closed.
func (w *watcher) start(ctx context.Context, done func()) {
	n := newNotifier(w.opts.Log, w.opts.Poll >= 0)
	w.arm(n)
	w.warnOfMounts()
	before := w.readOnce().fingerprint()
	go func() {
		defer close(w.wake)
		defer done()
		defer n.close()
		w.follow(ctx, n, before)
	}()
}

func (w *watcher) follow(ctx context.Context, n *notifier, before string) {
	poll, stop := ticks(w.opts.Poll)
	defer stop()
	burst := newDebouncer(w.opts.Settle)
	defer burst.stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-n.events():
			matters, moved := n.matters(e)
			if !open {
				n.reset()
				matters, moved = true, true
			}
			if moved {
				w.arm(n)
			}
			if matters && burst.pass() {
				signal(w.wake)
			}
		case err := <-n.failed: // events may have been lost
			n.logFailure("", err)
			w.arm(n)
			if burst.pass() {
				signal(w.wake)
			}
		case <-burst.over():
			if burst.end() {
				signal(w.wake)
			}
		case <-w.poked:
			w.arm(n)
			w.warnOfMounts()
			signal(w.wake)
		case <-poll:
			w.arm(n)
			if now := w.readOnce().fingerprint(); now != before {
				before = now
				signal(w.wake)
			}
		}
	}
}

func (w *watcher) arm(n *notifier) {
	if !w.opts.NoNotify {
		n.arm(func() []dirEntry { return entriesOf(w.paths()) })
	}
}

// warnOfMounts logs once each file that is a mount of its own: it stays the same when the
// original is replaced.
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

// debouncer lets the first of a burst of events pass, and one more after each pause while
// the burst lasts, so that no event waits for its end.
type debouncer struct {
	pause   time.Duration
	timer   *time.Timer
	running bool // the pause is running
	pending bool // an event has come during the pause
}

func newDebouncer(pause time.Duration) *debouncer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &debouncer{pause: max(pause, 0), timer: t}
}

// pass reports whether an event may pass now. If not, it is pending.
func (d *debouncer) pass() bool {
	if d.running {
		d.pending = true
		return false
	}
	d.running = true
	d.timer.Reset(d.pause)
	return true
}

// over fires when the pause is over. Then end must be called.
func (d *debouncer) over() <-chan time.Time { return d.timer.C }

// end reports whether an event is pending, which may pass and begins the next pause.
func (d *debouncer) end() bool {
	pending := d.pending
	d.running, d.pending = pending, false
	if pending {
		d.timer.Reset(d.pause)
	}
	return pending
}

func (d *debouncer) stop() { d.timer.Stop() }

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
