package tunnel

// Which loop serves a tunnel. Events that come together are cheapest on one loop, which
// wakes once for all of them, so tunnels are opened on the first loop for as long as it
// copes. A loop that has worked for several milliseconds without a pause, or has hardly
// waited for longer, is overloaded: it gives half of its busy tunnels to another. When
// all is quiet again, those that have something to do go back.
//
// A tunnel moves as a whole, and only while it is open and nothing of it is under way:
// no backlog, nothing pending. Its new loop registers its descriptors, and epoll then
// reports again all that is true of them.

import (
	"math/bits"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// busySpan is how long a loop works without a pause before it is overloaded. With a
	// longer one, the last of a thousand tunnels that all have a message waits too long.
	busySpan = int64(8 * time.Millisecond)
	// rest is how long a wait has to be to count as a pause.
	rest = int64(5 * time.Microsecond)
	// window is over what a loop's share of work is taken, and how long it goes on
	// giving tunnels away.
	window = int64(100 * time.Millisecond)
	// briefly is how long after an overload no loop gives its tunnels back, and calm is
	// how long if there was another in that time: a burst that comes again and again
	// finds them spread, and a few hundred handshakes are soon forgotten.
	briefly = int64(500 * time.Millisecond)
	calm    = int64(10 * time.Second)
	// roomy is the share of its time, of 1000, up to which a loop is given more.
	roomy = 500
	// combined is how much two loops may work for one to do it all: a good deal less
	// than full, and it takes less than they do.
	combined = 750
	// full is the share from which it is overloaded.
	full = 900
)

// loadMeter measures how hard a loop works. Times are on the loop's clock.
type loadMeter struct {
	since  int64 // when the busy span began
	looked spent // in it; zero is not yet
	window spent // when the window began
	rested int64 // in the window
}

// spent is how much processor time a loop's thread had used at a time.
type spent struct{ at, cpu int64 }

// alone reports whether the thread has had a processor for most of the time from s
// to now. A loop that other programs keep from working gains nothing by giving
// tunnels away. (If it is another thread by now, the difference may be anything.)
func (s spent) alone(now spent) bool {
	length, used := now.at-s.at, now.cpu-s.cpu
	return used >= length/4*3 && used <= length/4*5
}

// begin begins to look.
func (e *loadMeter) begin(now spent) { *e = loadMeter{since: now.at, window: now} }

// waited notes a wait.
func (e *loadMeter) waited(from, to int64) {
	e.rested += to - from
	if to-from > rest {
		e.since, e.looked = to, spent{}
	}
}

// share returns the share of the window that was work, of 1000, and whether that
// was too much, when the window is over.
func (e *loadMeter) share(now int64, cpu func() int64) (share int32, overloaded, over bool) {
	length := now - e.window.at
	if length < window {
		return 0, false, false
	}
	share = int32(max(0, 1000-1000*e.rested/length))
	end := spent{now, cpu()}
	overloaded = share >= full && e.window.alone(end)
	e.window, e.rested = end, 0
	return share, overloaded, true
}

// overlong reports whether a busy span has become too long. It is called between
// rounds, and reads the processor time in long ones only.
func (e *loadMeter) overlong(now int64, cpu func() int64) bool {
	switch {
	case now-e.since < busySpan/2:
		return false
	case e.looked == spent{}:
		e.looked = spent{now, cpu()}
		return false
	case now-e.looked.at < busySpan/2:
		return false
	}
	alone := e.looked.alone(spent{now, cpu()})
	e.since, e.looked = now, spent{}
	return alone
}

// threadCPU is what the calling thread has used, in nanoseconds.
func threadCPU() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// migration is what a loop gives away: of the tunnels that have something to do, so
// many of 256.
type migration struct {
	to    *loop // nil is nothing
	of    uint32
	until int64
	salt  uint32 // has every migration choose others
}

// chooses reports whether a tunnel is one of those.
func (g *migration) chooses(index uint32) bool {
	return bits.Reverse32((index+1)*2654435761^g.salt)&0xff < g.of
}

// consider looks at how the loop does, between two rounds.
func (l *loop) consider() {
	share, overloaded, over := l.meter.share(l.now, threadCPU)
	if over {
		l.share.Store(share)
	}
	switch {
	case overloaded || l.meter.overlong(l.now, threadCPU):
		l.noteOverload()
		l.shed()
	case over:
		l.consolidate(share)
	}
}

// noteOverload notes that the loop is overloaded, for a while.
func (l *loop) noteOverload() {
	lasts := briefly
	if ago := l.now - l.lastOverload; l.lastOverload != 0 && ago > briefly && ago < calm {
		lasts = calm
	}
	l.lastOverload = l.now
	l.overloaded.Store(max(l.overloaded.Load(), l.now+lasts))
}

// shed gives half away to the loop that works least.
func (l *loop) shed() {
	var best *loop
	for _, other := range l.all {
		if other != l && other.share.Load() < roomy && (best == nil || other.share.Load() < best.share.Load()) {
			best = other
		}
	}
	if best != nil && !l.migrating() {
		l.migrateTo(best, 128)
	}
}

// consolidate gives all tunnels to a loop before this one that has room for it, if
// nothing has been overloaded lately.
func (l *loop) consolidate(share int32) {
	if share > combined/2 || l.migrating() || l.overloadedLately() {
		return
	}
	for _, other := range l.all {
		switch {
		case other == l:
			return
		case other.share.Load()+share < combined:
			l.migrateTo(other, 256)
			return
		}
	}
}

func (l *loop) migrating() bool { return l.migration.to != nil && l.now < l.migration.until }

func (l *loop) migrateTo(other *loop, of uint32) {
	if other.prepare() == nil {
		l.migration = migration{to: other, of: of, until: l.now + window, salt: uint32(l.now)}
	}
}

// overloadedLately reports whether any loop has been overloaded not long ago.
func (l *loop) overloadedLately() bool {
	now := l.clock()
	for _, other := range l.all {
		if now < other.overloaded.Load() {
			return true
		}
	}
	return false
}

// place chooses a loop for a new tunnel.
func (e *loops) place() *loop {
	if !e.loops[0].overloadedLately() {
		for _, l := range e.loops {
			if l.share.Load() < roomy {
				return l
			}
		}
	}
	return e.lightest()
}

// movable reports whether nothing of a tunnel is under way.
func (t *slot) movable() bool {
	if t.phase != phaseOpen {
		return false
	}
	for i := range t.io {
		d := &t.io[i]
		s := t.state(d)
		if s.read != readOpen || s.write != writeOpen || s.pending != 0 || s.waiting || s.giveUpAt != 0 || d.backlog != 0 || d.eof || d.hup {
			return false
		}
	}
	return true
}

// moving is a tunnel on its way from a loop to another.
type moving struct {
	state  slotState
	counts Counts
	ref    ref
	limits Limits
}

// migrate gives a tunnel that has just had bytes to the loop that gets the migration,
// if it is chosen. (Room for bytes is no reason: that is reported of every
// descriptor that is new to a loop.)
func (l *loop) migrate(t *slot) {
	to := l.migration.to
	if l.now >= l.migration.until {
		l.migration.to = nil
		return
	}
	if !l.migration.chooses(t.index) || !t.movable() {
		return
	}
	for i := range t.io {
		_ = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, int(t.io[i].fd), nil) // it is there
	}
	l.wheel.drop(t.index)
	m := &moving{state: t.slotState, counts: t.counts(), ref: *l.slab.ref(t), limits: *l.limits.at(t.limits)}
	m.ref.handle.leave(m.counts)
	l.release(t)
	to.load.Add(1)
	to.post(command{do: cmdAdopt, tunnel: m.ref.handle, moving: m})
}

// adopt goes on with a tunnel of another loop's. Should the kernel have no memory
// to register it with, the tunnel is lost.
func (l *loop) adopt(m *moving) {
	t := l.slab.take()
	index, gen := t.index, t.gen
	t.slotState = m.state
	t.index, t.gen, t.limits = index, gen, l.limits.take(m.limits)
	*l.slab.ref(t) = m.ref
	for i, d := range [2]Direction{m.counts.FromClient, m.counts.FromBackend} {
		t.tallies[i].bytes.Store(d.Bytes)
		t.tallies[i].messages.Store(d.Messages)
	}
	for i := range t.io {
		d := &t.io[i]
		d.queued = false
		d.readable = d.readable || t.hasTLS // as in begin
	}
	m.ref.handle.slot.Store(t)
	if l.enlist(t, false) {
		l.pump(t, &t.io[fromClient])
		l.pump(t, &t.io[fromBackend])
		l.injectAll(t)
	}
}
