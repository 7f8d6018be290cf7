package tunnel

// Watches: descriptors that a loop looks after before they are a tunnel's, so
// that a handshake can be made where its tunnel will live: without goroutines that
// wait, without Go's own poller, and without another descriptor.

import (
	"net/netip"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Loop is one event loop of the engine that New returns, as a place to make
// handshakes at. But for Run, its methods may be called only by functions that run
// on it: those that Run and Dispatch are given, and those that Watch is. Such a
// function must not block: every tunnel of the loop waits for it.
type Loop struct{ l *loop }

// Dispatch runs f on the loop that has least to do. It returns false, and runs
// nothing, if the engine has no loops or there is no descriptor left for one.
// Safe for concurrent use.
func Dispatch(e Engine, f func(Loop)) bool {
	loops, ok := e.(*loops)
	if !ok {
		return false
	}
	l := loops.place()
	if l.prepare() != nil {
		return false
	}
	l.post(command{do: cmdRun, run: func() { f(Loop{l}) }})
	return true
}

// Run runs f on the loop, after what it was asked to do before. Safe for
// concurrent use.
func (l Loop) Run(f func()) { l.l.post(command{do: cmdRun, run: f}) }

// Scratch is memory to read into. The next function that runs on the loop uses it too.
func (l Loop) Scratch() []byte { return l.l.buf }

// Edge is what became true of a descriptor since it was reported last, or at all.
type Edge struct {
	Readable bool // there are bytes, or an end of file
	Writable bool
	Gone     bool // the peer's direction has ended, or both, or there was an error
}

// Watch is a descriptor that a loop watches. The caller of Loop.Watch or
// Loop.Dial owns it, and calls one of Close, Release and Loop.Open, once.
type Watch struct {
	conn  Descriptor
	loop  *loop
	ready func(Edge)
	index uint32
	gen   uint32
	edges uint32 // that wait for their turn; 0: none
}

// Watch has ready called at every edge of a connection, beginning with what is true
// now; never from within this call. That it is writable is not reported. If there is an
// error the connection is closed.
func (l Loop) Watch(d Descriptor, ready func(Edge)) (*Watch, error) {
	w, err := l.watch(d, 0, ready)
	if err == nil && d.tls != nil { // TLS may have read bytes that it has not given out
		l.l.watches.tellOf(w, unix.EPOLLIN)
	}
	return w, err
}

// Dial begins to connect to a TCP address, sends what can be sent of first (less
// than all is no error), and watches the connection: also for its becoming
// writable, if there is more to send.
func (l Loop) Dial(to netip.AddrPort, first []byte, ready func(Edge)) (w *Watch, sent int, err error) {
	fd, err := dial(to)
	if err != nil {
		return nil, 0, err
	}
	// One that is still connecting takes nothing.
	sent, errno := writeFD(int32(fd), first)
	if errno != 0 {
		unix.Close(fd)
		return nil, 0, os.NewSyscallError("connect", errno)
	}
	more := uint32(unix.EPOLLOUT)
	if sent == len(first) {
		more = 0
	}
	w, err = l.watch(Descriptor{fd: int32(fd)}, more, ready)
	return w, sent, err
}

func (l Loop) watch(d Descriptor, more uint32, ready func(Edge)) (*Watch, error) {
	w := &Watch{conn: d, loop: l.l, ready: ready}
	l.l.watches.add(w)
	e := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET | more,
		Fd:     int32(watchBit | w.index),
		Pad:    int32(w.gen),
	}
	if err := unix.EpollCtl(l.l.epfd, unix.EPOLL_CTL_ADD, int(d.fd), &e); err != nil {
		l.l.watches.drop(w)
		d.Close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	l.l.open++ // it keeps the loop running
	l.l.load.Add(1)
	return w, nil
}

// Read reads once: EAGAIN if there is nothing, 0 at the end of file.
func (w *Watch) Read(p []byte) (int, error) {
	if w.conn.tls != nil {
		n, errno := w.conn.tls.read(p)
		return n, asError(errno)
	}
	n, errno := readFD(w.conn.fd, p)
	return n, asError(errno)
}

// Write writes as much as is taken; less than all is no error. Over TLS that is all or
// nothing, as a part of a record is nothing to its reader.
func (w *Watch) Write(p []byte) (int, error) {
	if w.conn.tls == nil {
		n, errno := writeFD(w.conn.fd, p)
		return n, asError(errno)
	}
	n, err := w.conn.tls.conn.Write(p)
	if len(w.conn.tls.raw.backlog) > 0 {
		n = 0
	}
	return n, err
}

func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// Close ends the watch and closes the descriptor.
func (w *Watch) Close() {
	w.end()
	w.conn.Close()
}

// Release ends the watch and returns the descriptor: it is the caller's again.
func (w *Watch) Release() Descriptor {
	w.end()
	_ = unix.EpollCtl(w.loop.epfd, unix.EPOLL_CTL_DEL, int(w.conn.fd), nil)
	return w.conn
}

func (w *Watch) end() {
	w.loop.watches.drop(w)
	w.loop.open--
	w.loop.load.Add(-1)
}

// Open is Engine.Open for two connections that this loop watches, which are the
// tunnel's from now on. The Endpoints' Conns are not looked at, nor is Redial.
func (l Loop) Open(s Spec, client, backend *Watch) Tunnel {
	client.end()
	backend.end()
	l.l.load.Add(1)
	t := &loopTunnel{}
	t.loop.Store(l.l)
	both := [2]Descriptor{fromClient: client.conn, fromBackend: backend.conn}
	l.l.begin(&command{tunnel: t, spec: &s, taken: &taken{both, true}})
	return t
}

// watchBit in an event's data marks a watch: no slot has so high an index.
const watchBit uint32 = 1 << 31

// watches are a loop's. Like slots they are named by index and generation, so that
// an event for one that has ended is known as such.
type watches struct {
	all  []*Watch
	free []uint32
	gen  uint32
	told []*Watch // that have edges which wait for their turn, each once
}

// maxTold is how many watches have a turn between two looks at the tunnels: a
// handshake's step takes as long as dozens of messages.
const maxTold = 16

// serve gives some watches their turn.
func (ws *watches) serve() {
	n := min(len(ws.told), maxTold)
	for _, w := range ws.told[:n] {
		ws.tell(w)
	}
	ws.told = slices.Delete(ws.told, 0, n)
}

// note has a watch told of an edge, if there still is one. A peer that makes edges
// faster than they are told makes no queue of them.
func (ws *watches) note(e *unix.EpollEvent) {
	w := ws.all[uint32(e.Fd)&^watchBit]
	if w == nil || w.gen != uint32(e.Pad) {
		return
	}
	ws.tellOf(w, e.Events)
}

func (ws *watches) tellOf(w *Watch, edges uint32) {
	if w.edges == 0 {
		ws.told = append(ws.told, w)
	}
	w.edges |= edges
}

func (ws *watches) add(w *Watch) {
	if len(ws.free) == 0 {
		ws.free = append(ws.free, uint32(len(ws.all)))
		ws.all = append(ws.all, nil)
	}
	w.index = ws.free[len(ws.free)-1]
	ws.free = ws.free[:len(ws.free)-1]
	ws.gen++
	w.gen = ws.gen
	ws.all[w.index] = w
}

func (ws *watches) drop(w *Watch) {
	ws.all[w.index] = nil
	ws.free = append(ws.free, w.index)
}

// tell tells a watch of its edges, if it has not ended.
func (ws *watches) tell(w *Watch) {
	edges := w.edges
	w.edges = 0
	if ws.all[w.index] != w {
		return
	}
	e := Edge{
		Readable: edges&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
		Writable: edges&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0,
		Gone:     edges&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
	}
	if w.conn.tls != nil {
		w.conn.tls.raw.dry = w.conn.tls.raw.dry && !e.Readable
		w.conn.tls.raw.hup = w.conn.tls.raw.hup || e.Gone
	}
	w.ready(e)
}
