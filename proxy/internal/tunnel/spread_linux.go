package tunnel

// Spreading: which loop a tunnel is on. What comes together is cheapest served
// together, by one loop that wakes once, so tunnels are opened on the first loop
// for as long as it copes. A loop that is crowded, because it has worked for
// several milliseconds on end or has hardly waited for longer, gives half of the tunnels that keep it busy to
// another; when all is quiet again, those that have something to do go back.
//
// A tunnel moves as a whole, and only while nothing of it is under way: no bytes
// kept, nothing wanted, no end in sight. Its new loop registers its descriptors
// anew, which reports anew all that they have to report.

import (
	"math/bits"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stretch is how long a loop works on end before it is crowded. Longer ones are
	// felt by the last of a thousand tunnels that all have a message.
	stretch = int64(8 * time.Millisecond)
	// rest is how long a wait has to be for a stretch to end.
	rest = int64(5 * time.Microsecond)
	// window is over what a loop's share of work is taken, and how long it goes on
	// giving tunnels away.
	window = int64(100 * time.Millisecond)
	// briefly is for how long after a crowd no tunnels are gathered, and calm is for
	// how long if it was not the first in that time: a burst that comes again and
	// again finds them spread, and a few hundred handshakes are soon forgotten.
	briefly = int64(500 * time.Millisecond)
	calm    = int64(10 * time.Second)
	// roomy is the share of its time, of 1000, up to which a loop is given more.
	roomy = 500
	// together is how much two loops may work for one to do it all: a good deal
	// less than full, and it takes less than they do.
	together = 750
	// full is the share from which it is crowded.
	full = 900
)

// effort is how hard a loop works. Times are on the loop's clock.
type effort struct {
	since  int64 // when the stretch of work began
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
func (e *effort) begin(now spent) { *e = effort{since: now.at, window: now} }

// waited notes a wait.
func (e *effort) waited(from, to int64) {
	e.rested += to - from
	if to-from > rest {
		e.since, e.looked = to, spent{}
	}
}

// share returns the share of the window that was work, of 1000, and whether that
// was too much, when the window is over.
func (e *effort) share(now int64, cpu func() int64) (share int32, crowded, over bool) {
	length := now - e.window.at
	if length < window {
		return 0, false, false
	}
	share = int32(max(0, 1000-1000*e.rested/length))
	end := spent{now, cpu()}
	crowded = share >= full && e.window.alone(end)
	e.window, e.rested = end, 0
	return share, crowded, true
}

// overlong reports whether a stretch has become too long. It is asked between
// rounds, and reads the processor time in long stretches only.
func (e *effort) overlong(now int64, cpu func() int64) bool {
	switch {
	case now-e.since < stretch/2:
		return false
	case e.looked == spent{}:
		e.looked = spent{now, cpu()}
		return false
	case now-e.looked.at < stretch/2:
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

// gift is what a loop gives away: of the tunnels that have something to do, so
// many of 256.
type gift struct {
	to    *loop // nil is nothing
	of    uint32
	until int64
	salt  uint32 // has every gift choose others
}

// chooses reports whether a tunnel is one of those.
func (g *gift) chooses(index uint32) bool {
	return bits.Reverse32((index+1)*2654435761^g.salt)&0xff < g.of
}

// consider looks at how the loop does, between two rounds.
func (l *loop) consider() {
	share, crowded, over := l.effort.share(l.now, threadCPU)
	if over {
		l.share.Store(share)
	}
	switch {
	case crowded || l.effort.overlong(l.now, threadCPU):
		l.crowd()
		l.spread()
	case over:
		l.gather(share)
	}
}

// crowd notes that the loop is crowded, for a while.
func (l *loop) crowd() {
	lasts := briefly
	if ago := l.now - l.met; l.met != 0 && ago > briefly && ago < calm {
		lasts = calm
	}
	l.met = l.now
	l.crowded.Store(max(l.crowded.Load(), l.now+lasts))
}

// spread gives half away to the loop that works least.
func (l *loop) spread() {
	var best *loop
	for _, other := range l.all {
		if other != l && other.share.Load() < roomy && (best == nil || other.share.Load() < best.share.Load()) {
			best = other
		}
	}
	if best != nil && !l.giving() {
		l.giveTo(best, 128)
	}
}

// gather gives all away to a loop before this one that has room for it, if
// nothing has been crowded lately.
func (l *loop) gather(share int32) {
	if share > together/2 || l.giving() || l.crowdedLately() {
		return
	}
	for _, other := range l.all {
		switch {
		case other == l:
			return
		case other.share.Load()+share < together:
			l.giveTo(other, 256)
			return
		}
	}
}

func (l *loop) giving() bool { return l.gift.to != nil && l.now < l.gift.until }

func (l *loop) giveTo(other *loop, of uint32) {
	if other.prepare() == nil {
		l.gift = gift{to: other, of: of, until: l.now + window, salt: uint32(l.now)}
	}
}

// crowdedLately reports whether any loop has been crowded, and is not forgotten.
func (l *loop) crowdedLately() bool {
	now := l.clock()
	for _, other := range l.all {
		if now < other.crowded.Load() {
			return true
		}
	}
	return false
}

// place chooses a loop for a new tunnel.
func (e *loops) place() *loop {
	if !e.loops[0].crowdedLately() {
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

// giveAway gives a tunnel that has just had bytes to the loop that gets the gift,
// if it is chosen. (Room for bytes is no reason: that is reported of every
// descriptor that is new to a loop.)
func (l *loop) giveAway(t *slot) {
	to := l.gift.to
	if l.now >= l.gift.until {
		l.gift.to = nil
		return
	}
	if !l.gift.chooses(t.index) || !t.movable() {
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
		d.readable = d.readable || t.sealed // as in begin
	}
	m.ref.handle.slot.Store(t)
	if l.enlist(t, false) {
		l.pump(t, &t.io[fromClient])
		l.pump(t, &t.io[fromBackend])
		l.settle(t)
	}
}
