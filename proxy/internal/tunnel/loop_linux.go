package tunnel

// The loop waits for events, commands and timers, and serves each tunnel that has
// something to do. Everything a tunnel does happens on its loop's one
// goroutine, so that no tunnel's state needs a lock.
//
// Every descriptor is registered once, edge-triggered, for all it may report. A
// direction remembers what its edges said until a read or write says EAGAIN, and takes
// its turns: at most maxReads reads, then the others.

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// readSize is what is read at once. Only what a peer does not take of it is
	// ever kept.
	readSize = 64 << 10
	maxReads = 8
	// spin is how long a loop that has work may keep its processor while it waits,
	// should no signal come. A shorter time would be the machine's next timer, and
	// setting that at every wait costs more than the wait.
	spin      = 100 * time.Millisecond
	wheelTick = int64(4 * time.Millisecond)
)

// loop is one event loop. The fields in the first group are for any goroutine,
// the others for the loop's alone.
type loop struct {
	load       atomic.Int32 // tunnels, those on their way here, and watches
	share      atomic.Int32 // of its time, of 1000, that it worked lately
	overloaded atomic.Int64 // until when it counts as that; see noteOverload
	hasWorked  atomic.Bool  // turns has a number
	signaled   atomic.Bool  // there are commands, and the loop is or will be awake
	mu         sync.Mutex   // guards queue, running, and prepare's work
	queue      []command
	running    bool
	epfd       int // 0 until prepared
	wakefd     int

	all          []*loop   // the engine's, this one among them; constant
	number       int       // among them
	turns        Spread    // how long it worked between two looks for events
	base         time.Time // of all loops' clocks
	now          int64     // when events were last waited for
	busy         bool      // there is traffic
	quiet        bool      // but none since the last signal
	open         int       // tunnels, and watches
	slab         slab
	backlogs     backlogs
	pipe         pipe
	limits       limitTable
	meter        loadMeter
	lastOverload int64 // when it was last overloaded; 0 is never
	migration    migration

	watches watches

	wheel  wheel
	ready  []directionKey // directions that have more to read than their turn allowed
	spare  []directionKey
	dead   []*slot // tunnels whose descriptors are closed after the batch
	taken  []command
	buf    []byte // what is read, until it is written
	events [256]unix.EpollEvent
}

func newLoop(base time.Time, all []*loop, number int) *loop {
	l := &loop{base: base, all: all, number: number}
	l.wheel = newWheel(func(i uint32) *timing { return &l.slab.at(i).timing })
	return l
}

// prepare makes the loop's descriptors, if they are not made. They are closed
// when nobody knows the loop any more.
func (l *loop) prepare() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epfd != 0 {
		return nil
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		// Edge-triggered, it need not be read. Generation 0 is no tunnel's.
		err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, wakefd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET})
	}
	if err != nil {
		unix.Close(epfd)
		unix.Close(wakefd)
		return err
	}
	l.epfd, l.wakefd, l.buf = epfd, wakefd, make([]byte, readSize)
	runtime.AddCleanup(l, closeDescriptors, [2]int{epfd, wakefd})
	return nil
}

// wakeUp is what is added to an eventfd's counter.
var wakeUp = func() (one [8]byte) {
	binary.NativeEndian.PutUint64(one[:], 1)
	return one
}()

func closeDescriptors(fds [2]int) {
	unix.Close(fds[0])
	unix.Close(fds[1])
}

// post gives the loop a command, from any goroutine.
func (l *loop) post(c command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, c)
	if c.do == cmdAdopt { // what else is asked of the tunnel comes behind this
		c.tunnel.loop.Store(l)
	}
	if wake := !l.signaled.Swap(true); !l.running {
		l.running = true
		go l.run()
	} else if wake {
		_, _ = unix.Write(l.wakefd, wakeUp[:]) // 1<<64 of them would be too many
	}
}

// run is the loop's goroutine: it ends when there are no tunnels, and is started
// again for the next.
func (l *loop) run() {
	l.meter.begin(spent{l.clock(), threadCPU()})
	woke := l.clock()
	for {
		l.now = l.clock()
		if l.signaled.Load() {
			l.obey()
		}
		l.wheel.advance(uint64(l.now/wheelTick), l.fire)
		l.serveReady()
		l.closeDead()
		l.consider()
		if l.open == 0 && l.retire() {
			return
		}
		before := l.clock()
		l.noteTurn(time.Duration(before - woke))
		n := l.wait(before)
		l.now = l.clock()
		woke = l.now
		l.meter.waited(before, l.now)
		for i := range n {
			l.event(&l.events[i])
		}
		l.watches.serve()
	}
}

// retire ends the loop unless there are commands.
func (l *loop) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.share.Store(0)
	l.running = len(l.queue) > 0
	return !l.running
}

func (l *loop) clock() int64 { return int64(time.Since(l.base)) }

// wait waits for events and returns how many there are. While there is traffic
// it does so without telling Go's scheduler, which would otherwise take the
// processor and give it back at every message. The scheduler's own signals end
// such a wait: one for a garbage collection, and the one that it sends to a goroutine that
// has run for 10 ms; when nothing has come between two of those, the loop leaves the
// processor to others.
func (l *loop) wait(now int64) int {
	timeout := l.patience(now)
	switch {
	case timeout == 0:
		n, _ := l.epoll(0, syscall.RawSyscall6)
		return n
	case !l.busy:
		l.share.Store(0)
		n, _ := l.epoll(timeout, syscall.Syscall6)
		l.busy = n > 0
		return n
	}
	brief := spin.Milliseconds()
	if timeout > 0 {
		brief = min(brief, timeout)
	}
	n, interrupted := l.epoll(brief, syscall.RawSyscall6)
	switch {
	case n > 0:
		l.quiet = false
	case l.quiet || !interrupted && brief != timeout:
		l.busy, l.quiet = false, false
	default:
		l.quiet = interrupted
	}
	return n
}

// patience is how many milliseconds the loop may wait: -1 is any.
func (l *loop) patience(now int64) int64 {
	if len(l.ready) > 0 || len(l.dead) > 0 || len(l.watches.told) > 0 || l.signaled.Load() {
		return 0
	}
	tick, ok := l.wheel.next()
	if !ok {
		return -1
	}
	ahead := time.Duration(int64(tick)*wheelTick - now)
	return max(0, int64((ahead+time.Millisecond-1)/time.Millisecond))
}

func (l *loop) epoll(ms int64, call func(trap, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, uintptr, syscall.Errno)) (n int, interrupted bool) {
	r, _, errno := call(unix.SYS_EPOLL_PWAIT, uintptr(l.epfd),
		uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0, true // EINTR; there is no other reason
	}
	return int(r), false
}

// event takes one edge of one descriptor: of the direction that comes from it, and of
// the one that goes to it.
func (l *loop) event(e *unix.EpollEvent) {
	if uint32(e.Fd)&watchBit != 0 {
		l.watches.note(e)
		return
	}
	t, in := l.slab.find(directionKey{gen: uint32(e.Pad), io: uint32(e.Fd)})
	if t == nil || t.phase == phaseCut {
		return
	}
	const over = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if e.Events&(unix.EPOLLIN|over) != 0 {
		in.readable = true
		in.hup = in.hup || e.Events&over != 0
		if s := l.side(t, in); s != nil {
			s.raw.dry = false
		}
	}
	if e.Events&(unix.EPOLLOUT|over) != 0 {
		if out := t.other(in); t.state(out).waiting {
			l.flush(t, out)
			l.pump(t, out)
		}
	}
	if e.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		failed := e.Events&unix.EPOLLERR != 0
		in.broken = in.broken || failed
		l.apply(t, event{kind: evReset, dir: int(in.index), clean: !failed})
	}
	l.pump(t, in)
	l.injectAll(t)
	if l.migration.to != nil && e.Events&unix.EPOLLIN != 0 {
		l.migrate(t)
	}
}

// later gives a direction another turn after the others.
func (l *loop) later(t *slot, d *loopDirection) {
	if !d.queued {
		d.queued = true
		l.ready = append(l.ready, t.key(d))
	}
}

// serveReady gives the directions that are ready a turn each.
func (l *loop) serveReady() {
	if len(l.ready) == 0 {
		return
	}
	round := l.ready
	l.ready, l.spare = l.spare[:0], round
	for _, k := range round {
		t, d := l.slab.find(k)
		if t == nil {
			continue
		}
		d.queued = false
		l.pump(t, d)
		l.injectAll(t)
	}
}

// injectAll puts in what is pending in either direction, until nothing more can be.
func (l *loop) injectAll(t *slot) {
	for t.dirs[fromClient].pending|t.dirs[fromBackend].pending != 0 &&
		(l.inject(t, &t.io[fromClient]) || l.inject(t, &t.io[fromBackend])) {
	}
}

// arm has a tunnel looked at by a time, or before.
func (l *loop) arm(t *slot, at time.Duration) {
	if at == never {
		return
	}
	tick := uint64((int64(at) + wheelTick - 1) / wheelTick)
	if t.timing.bucket == 0 || tick < t.timing.when {
		l.wheel.set(t.index, tick)
	}
}

// fire is what the wheel calls.
func (l *loop) fire(index uint32) {
	t := l.slab.at(index)
	l.apply(t, event{kind: evTick})
	l.injectAll(t)
}
