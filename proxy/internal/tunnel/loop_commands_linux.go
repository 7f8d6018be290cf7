package tunnel

// Commands: what other goroutines ask of a loop. They are queued and obeyed in
// order, so that a tunnel is opened before it is closed.

import (
	"crypto/rand"
	"time"

	"golang.org/x/sys/unix"
)

type command struct {
	do     uint8
	kind   eventKind // cmdReport: of the event
	tunnel *loopTunnel
	moving *moving // cmdAdopt
	spec   *Spec   // cmdOpen
	taken  *taken  // cmdOpen
	ending ending  // cmdReport
	run    func()  // cmdRun
}

const (
	cmdOpen uint8 = iota
	cmdReport
	cmdAdopt
	cmdRun
)

// obey takes all commands that there are.
func (l *loop) obey() {
	l.mu.Lock()
	l.queue, l.taken = l.taken[:0], l.queue
	l.signaled.Store(false)
	l.mu.Unlock()
	for i := range l.taken {
		l.obeyOne(&l.taken[i])
	}
	clear(l.taken)
}

func (l *loop) obeyOne(c *command) {
	switch c.do {
	case cmdOpen:
		l.begin(c)
		return
	case cmdAdopt:
		l.adopt(c.moving)
		return
	case cmdRun:
		c.run()
		return
	}
	on, t := c.tunnel.loop.Load(), c.tunnel.slot.Load()
	switch {
	case on == l && t != nil:
		l.apply(t, event{kind: c.kind, ending: c.ending})
		l.injectAll(t)
	case !c.tunnel.ended.Load():
		on.post(*c) // the tunnel has moved, or is on its way: then that comes first
	}
}

// begin opens a tunnel. Bytes that were read before go first.
func (l *loop) begin(c *command) {
	s := c.spec
	t := l.slab.take()
	t.session = newSession(s, time.Duration(l.clock()))
	limits := withDefaults(s.Limits)
	t.limits = l.limits.take(limits)
	both := c.taken.tls()
	t.hasTLS = both != nil
	*l.slab.ref(t) = ref{done: s.Done, meter: s.Meter, tally: s.Tally, handle: c.tunnel, tls: both}
	for i := range t.io {
		t.io[i].init(i, c.taken.both[i].fd, s)
	}
	c.tunnel.slot.Store(t)
	if !l.enlist(t, c.taken.watched) {
		return
	}
	for i, e := range [2]*Endpoint{&s.Client, &s.Backend} {
		d := &t.io[i]
		d.eof = e.EOF
		d.readable = t.hasTLS // TLS may have read bytes that it has not given out
		if len(e.Early) > 0 {
			l.pass(t, d, e.Early)
		}
		l.pump(t, d)
	}
	l.injectAll(t)
}

// enlist makes a tunnel one of the loop's, and reports whether it can be.
func (l *loop) enlist(t *slot, watched bool) bool {
	l.open++
	l.apply(t, event{kind: evTick})
	if !l.register(t, watched) {
		l.apply(t, event{kind: evCut, ending: ending{why: ReasonLost}})
		return false
	}
	return true
}

func (d *loopDirection) init(index int, fd int32, s *Spec) {
	d.index, d.fd, d.walker = uint8(index), fd, newWalker(index, s)
	if s.Limits.PingClient > 0 || s.Limits.PingBackend > 0 {
		rand.Read(d.token[:])
	}
}

// register has both descriptors reported, for as long as they are open. Those that
// were watched are in the epoll already; that they are readable is reported again.
func (l *loop) register(t *slot, watched bool) bool {
	op := unix.EPOLL_CTL_ADD
	if watched {
		op = unix.EPOLL_CTL_MOD
	}
	for i := range t.io {
		d := &t.io[i]
		k := t.key(d)
		e := unix.EpollEvent{
			Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
			Fd:     int32(k.io),
			Pad:    int32(k.gen),
		}
		boundUnsent(d.fd)
		if unix.EpollCtl(l.epfd, op, int(d.fd), &e) != nil {
			return false
		}
	}
	return true
}
