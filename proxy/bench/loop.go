package main

// The load on many tunnels at once. Plaintext tunnels share one thread and one
// epoll instance, because a load that is dearer than the proxy starves it; TLS
// tunnels have a goroutine each, as their price is the cipher's.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// echoes lets every tunnel echo, one message after the other, until ctx is done,
// and counts the messages.
func echoes(ctx context.Context, conns []io.ReadWriteCloser, size int) (messages int64, err error) {
	if len(conns) == 0 {
		return 0, nil
	}
	if _, plain := conns[0].(*raw); !plain {
		jobs := make([]func() error, 0, len(conns))
		for _, conn := range conns {
			jobs = append(jobs, newEchoer(conn, size).once)
		}
		return repeat(ctx, jobs)
	}
	l, err := newLoop(conns, size)
	if err != nil {
		return 0, err
	}
	defer l.close()
	err = l.run(ctx, nil)
	return l.messages, err
}

// paced echoes at a fixed rate over all tunnels in turn, and returns each
// message's time from the moment it was due. Plaintext only.
func paced(ctx context.Context, conns []io.ReadWriteCloser, size, perSecond int) (waits []time.Duration, err error) {
	l, err := newLoop(conns, size)
	if err != nil {
		return nil, err
	}
	defer l.close()
	beat, err := newPace(perSecond)
	if err != nil {
		return nil, err
	}
	defer beat.close()
	err = l.run(ctx, beat)
	return l.waits, err
}

// loop plays messages on plaintext tunnels. One goroutine at a time.
type loop struct {
	poll    *poller
	players map[int]*player // by descriptor
	free    []*player       // those that wait for their turn, longest first; paced only
	request []byte
	size    int
	buffer  []byte
	pace    *pace // nil: each tunnel sends again as soon as its echo is there

	messages int64
	waits    []time.Duration // paced: each message's time
	lost     func(*player)   // a tunnel has ended; nil: that is the run's error
	orders   chan func()     // done between two steps; nil: there are none
}

// player is one tunnel of a loop.
type player struct {
	fd     int
	frames walker
	out    []byte    // of the message under way, what the kernel has not taken
	due    time.Time // of the message under way; zero: none is
}

func newLoop(conns []io.ReadWriteCloser, size int) (*loop, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &loop{poll: poll, players: make(map[int]*player, len(conns)), request: frame(size, true), size: size, buffer: make([]byte, 256<<10)}
	for _, conn := range conns {
		if err := l.add(conn.(*raw).fd); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *loop) add(fd int) error {
	p := &player{fd: fd}
	l.players[fd] = p
	l.free = append(l.free, p)
	return l.poll.add(fd)
}

// close leaves the tunnels open.
func (l *loop) close() { l.poll.close() }

// run plays until ctx is done, then waits for the messages under way.
func (l *loop) run(ctx context.Context, beat *pace) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.pace = beat
	if beat == nil {
		if err := l.sendAll(); err != nil {
			return err
		}
	} else if err := beat.start(l.poll); err != nil {
		return err
	}
	for {
		ending := ctx.Err() != nil
		if ending && l.idle() {
			return nil
		}
		if err := l.step(ending); err != nil {
			return err
		}
		if deadline, ok := ctx.Deadline(); ok && time.Since(deadline) > patience {
			return errors.New("echoes did not come")
		}
	}
}

func (l *loop) idle() bool {
	for _, p := range l.players {
		if !p.due.IsZero() {
			return false
		}
	}
	return true
}

func (l *loop) sendAll() error {
	free := l.free
	l.free = nil
	for _, p := range free {
		if err := l.begin(p, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// step does what is ready, and when paced, what is due.
func (l *loop) step(ending bool) error {
	ready, err := l.poll.wait(20 * time.Millisecond)
	if err != nil {
		return err
	}
	for _, e := range ready {
		p := l.players[int(e.Fd)]
		if p == nil {
			continue
		}
		if err := l.serve(p, ending); err != nil {
			if err := l.drop(p, err); err != nil {
				return err
			}
		}
	}
	select {
	case order := <-l.orders:
		order()
	default:
	}
	if l.pace == nil || ending {
		return nil
	}
	return l.sendDue()
}

// sendDue begins the messages whose time has come, on the tunnels that are free.
func (l *loop) sendDue() error {
	l.pace.clear()
	for len(l.free) > 0 && !l.pace.due().After(time.Now()) {
		p := l.free[0]
		l.free = l.free[1:]
		due := l.pace.due()
		l.pace.sent++
		if err := l.begin(p, due); err != nil {
			if err := l.drop(p, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loop) begin(p *player, due time.Time) error {
	p.due, p.out = due, l.request
	return p.flush()
}

func (p *player) flush() error {
	for len(p.out) > 0 {
		n, err := send(p.fd, p.out)
		if err == errAgain {
			return nil
		}
		if err != nil {
			return err
		}
		p.out = p.out[n:]
	}
	return nil
}

// serve flushes, reads and goes on with the next message.
func (l *loop) serve(p *player, ending bool) error {
	if err := p.flush(); err != nil {
		return err
	}
	for {
		n, err := receive(p.fd, l.buffer)
		if err == errAgain {
			return nil
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err == nil {
			err = l.take(p, l.buffer[:n], ending)
		}
		if err != nil || n < len(l.buffer) {
			return err
		}
	}
}

func (l *loop) take(p *player, b []byte, ending bool) (err error) {
	for len(b) > 0 && err == nil {
		rest, f, ok := p.frames.next(b)
		b = rest
		switch {
		case !ok:
		case f.op == opClose:
			return errors.New("a Close frame came")
		case f.op == opPing && len(p.out) == 0:
			_, err = send(p.fd, message(opPong, f.control, true))
		case f.op < opClose && f.size != l.size:
			return fmt.Errorf("an echo of %d bytes came, wanted %d", f.size, l.size)
		case f.op < opClose:
			err = l.came(p, ending)
		}
	}
	return err
}

// came counts an echo and begins the tunnel's next message, or lets it wait.
func (l *loop) came(p *player, ending bool) error {
	l.messages++
	if l.pace != nil {
		l.waits = append(l.waits, time.Since(p.due))
		p.due = time.Time{}
		l.free = append(l.free, p)
		return nil
	}
	if ending {
		p.due = time.Time{}
		return nil
	}
	return l.begin(p, p.due)
}

// drop forgets a tunnel that has failed.
func (l *loop) drop(p *player, why error) error {
	if l.lost == nil {
		return why
	}
	delete(l.players, p.fd)
	l.free = slices.DeleteFunc(l.free, func(other *player) bool { return other == p })
	l.lost(p)
	return nil
}
