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
	loop  *loop
	ready func(Edge)
	fd    int32
	index uint32
	gen   uint32
	edges uint32 // that wait for their turn; 0: none
}

// Watch has ready called at every edge of fd, a non-blocking socket, beginning
// with what is true now; never from within this call. That it is writable is
// not reported. If there is an error fd is closed.
func (l Loop) Watch(fd int, ready func(Edge)) (*Watch, error) {
	return l.watch(fd, 0, ready)
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
	w, err = l.watch(fd, more, ready)
	return w, sent, err
}

func (l Loop) watch(fd int, more uint32, ready func(Edge)) (*Watch, error) {
	w := &Watch{loop: l.l, ready: ready, fd: int32(fd)}
	l.l.watches.add(w)
	e := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET | more,
		Fd:     int32(watchBit | w.index),
		Pad:    int32(w.gen),
	}
	if err := unix.EpollCtl(l.l.epfd, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		l.l.watches.drop(w)
		unix.Close(fd)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	l.l.open++ // it keeps the loop running
	l.l.load.Add(1)
	return w, nil
}

// Read reads once: EAGAIN if there is nothing, 0 at the end of file.
func (w *Watch) Read(p []byte) (int, error) {
	n, errno := readFD(w.fd, p)
	return n, asError(errno)
}

// Write writes as much as is taken; less than all is no error.
func (w *Watch) Write(p []byte) (int, error) {
	n, errno := writeFD(w.fd, p)
	return n, asError(errno)
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
	unix.Close(int(w.fd))
}

// Release ends the watch and returns the descriptor: it is the caller's again.
func (w *Watch) Release() (fd int) {
	w.end()
	_ = unix.EpollCtl(w.loop.epfd, unix.EPOLL_CTL_DEL, int(w.fd), nil)
	return int(w.fd)
}

func (w *Watch) end() {
	w.loop.watches.drop(w)
	w.loop.open--
	w.loop.load.Add(-1)
}

// Open is Engine.Open for two connections that this loop watches, which are the
// tunnel's from now on. The Endpoints' Conns are not looked at.
func (l Loop) Open(s Spec, client, backend *Watch) Tunnel {
	client.end()
	backend.end()
	l.l.load.Add(1)
	t := &loopTunnel{}
	t.loop.Store(l.l)
	fds := [2]int32{fromClient: client.fd, fromBackend: backend.fd}
	l.l.begin(&command{tunnel: t, spec: &s, taken: &taken{fds: fds, watched: true}})
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
	if w.edges == 0 {
		ws.told = append(ws.told, w)
	}
	w.edges |= e.Events
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
	w.ready(Edge{
		Readable: edges&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
		Writable: edges&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0,
		Gone:     edges&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
	})
}
