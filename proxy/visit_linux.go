package proxy

// The fast path without a goroutine: a plain connection's handshake, made on the
// event loop where its tunnel will live. A visit waits for the first request, asks
// one backend and opens the tunnel; it uses the steps that every attempt uses
// (attempt's methods), between the events that tell it to go on.
//
// It knows the straight way only. Whatever else comes up, from half a head to a
// backend that refuses, ends the visit: a goroutine goes on from where it stood
// (newcomer.go).

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// visit is one connection on an event loop. Only functions that run on the loop
// touch it.
type visit struct {
	h      *handler
	socket *listen.Socket
	loop   tunnel.Loop
	peer   netip.AddrPort
	near   *tunnel.Watch // the client's connection
	headBy time.Time     // the request must have come; zero is never
	timer  *time.Timer
	turn   int // of the timer: one that fires for an earlier turn is late

	// From the request on.
	*attempt
	head    string
	early   []byte        // the client's, behind the head
	far     *tunnel.Watch // the backend's connection
	request []byte        // what is still to be sent to the backend
	reached bool          // there is a connection to it
}

// ServeOnLoop implements listen.Handler.
func (h *handler) ServeOnLoop(s *listen.Socket, fd int, peer netip.AddrPort) bool {
	v := &visit{h: h, socket: s, peer: peer}
	return tunnel.Dispatch(h.Engine, func(l tunnel.Loop) { v.begin(l, fd) })
}

// begin waits for the first request.
func (v *visit) begin(l tunnel.Loop, fd int) {
	defer v.contain()
	var err error
	v.loop = l
	if v.near, err = l.Watch(fd, v.guard(v.clientReady)); err != nil {
		v.socket.Slot().Release()
		return
	}
	if !v.socket.Pending.Add(v) {
		v.dismiss()
		return
	}
	timeout := v.socket.HeadLimits().HeadTimeout
	if timeout > 0 {
		v.headBy = time.Now().Add(timeout)
	}
	v.within(timeout, v.dismiss)
}

// guard is around all that runs on the loop: a bug of ours must not end it.
func (v *visit) guard(ready func(tunnel.Edge)) func(tunnel.Edge) {
	return func(e tunnel.Edge) {
		defer v.contain()
		ready(e)
	}
}

func (v *visit) contain() {
	what := recover()
	if what == nil {
		return
	}
	v.h.logBug("", what)
	if v.attempt != nil {
		v.withdraw()
	}
	v.dismiss()
}

// within has late called if the visit has not gone on by then. Not positive is
// never.
func (v *visit) within(d time.Duration, late func()) {
	v.stopTimer()
	if d <= 0 {
		return
	}
	turn := v.turn
	v.timer = time.AfterFunc(d, func() {
		v.loop.Run(func() {
			defer v.contain()
			if v.turn == turn {
				late()
			}
		})
	})
}

func (v *visit) stopTimer() {
	v.turn++
	if v.timer != nil {
		v.timer.Stop()
	}
}

// SetReadDeadline implements newcomer: t is by when a request must have come. One
// whose request has come by now has nothing to do with that, unless it is cut.
func (v *visit) SetReadDeadline(t time.Time) error {
	v.loop.Run(func() {
		defer v.contain()
		switch {
		case v.near == nil: // it is over
		case v.attempt == nil:
			v.within(max(time.Until(t), time.Nanosecond), v.dismiss)
		case t == listen.ALongTimeAgo:
			v.gone()
		}
	})
	return nil
}

// clientReady hears the request; later it notices that the client has gone.
func (v *visit) clientReady(e tunnel.Edge) {
	switch {
	case v.attempt != nil && e.Gone:
		v.gone()
	case v.attempt == nil && e.Readable:
		n, err := v.near.Read(v.loop.Scratch())
		switch {
		case err == syscall.EAGAIN:
		case err != nil || n == 0:
			v.dismiss() // a client that never said anything is not answered
		default:
			v.hear(v.loop.Scratch()[:n])
			if e.Gone && v.near != nil && v.attempt != nil { // said in the same breath
				v.gone()
			}
		}
	}
}

// hear takes the first bytes. What is not a handshake to be made here is for a
// goroutine to understand, as long as nothing has been counted.
func (v *visit) hear(b []byte) {
	v.stopTimer()
	n := h1.PlainUpgrade(b, v.socket.HeadLimits())
	if n == 0 {
		v.toGate(b)
		return
	}
	head := string(b[:n])
	r, err := h1.NewRequest(head)
	if err != nil {
		v.toGate(b)
		return
	}
	a := v.h.firstAttempt(v.socket, r, v.peer)
	if a == nil || !a.visits() || a.check() != nil {
		v.toGate(b)
		return
	}
	v.attempt, v.head, v.early = a, head, bytes.Clone(b[n:])
	v.socket.Pending.MarkActive(v)
	a.payForRetries()
	if a.h.Tunnels.Busy() {
		v.goOn(a.settlePaid)
		return
	}
	v.admit()
}

// admit is attempt.admit for routes that do not change meanwhile: those of after a
// reload may have it wait.
func (v *visit) admit() {
	err := v.reserve()
	switch {
	case errors.Is(err, upstream.ErrReplaced), err == nil && v.h.Current() != v.table:
		v.withdraw()
		v.goOn(v.settlePaid)
	case err != nil:
		v.goOn(func() settled { return settled{err: err} })
	default:
		v.ask()
	}
}

// visits says whether the attempt can be made on a loop at all.
func (a *attempt) visits() bool {
	return a.rt.Target.Direct && !a.rt.Redials && !a.rt.Target.Pool.HasQueue() && !h1.LogsIn(a.r.Header)
}

// ask connects to the backend and sends the handshake. Connecting on the same
// machine takes no time: then the request need not wait for an event.
func (v *visit) ask() {
	addr, ok := v.backend.Direct()
	if !ok { // what is direct has such backends only
		v.goOn(v.shakeHands)
		return
	}
	var rf *refusal
	if v.request, rf = v.requestHead(); rf != nil {
		v.goOn(func() settled { return settled{err: rf} })
		return
	}
	far, n, err := v.loop.Dial(addr, v.request, v.guard(v.backendReady))
	if err != nil {
		v.failed(v.dialError(err))
		return
	}
	if v.far = far; n == 0 {
		v.within(v.rt.Policy.ConnectTimeout, func() { v.failed(v.dialError(context.DeadlineExceeded)) })
	}
	v.sent(n)
}

// sent notes that n bytes of the request are on their way, and so that there is a
// connection.
func (v *visit) sent(n int) {
	v.request = v.request[n:]
	if n == 0 || v.reached {
		return
	}
	v.reached = true
	v.within(v.rt.HandshakeTimeout, func() {
		v.failed(fmt.Errorf("reading the handshake's answer: %w", os.ErrDeadlineExceeded))
	})
}

func (v *visit) dialError(err error) error {
	addr, _ := v.backend.Direct()
	return &upstream.DialError{Backend: v.backend.Key(), Stage: upstream.StageConnect,
		Err: &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}}
}

// backendReady sends the request once there is a connection, and reads the answer.
func (v *visit) backendReady(e tunnel.Edge) {
	if len(v.request) > 0 && !v.send() || !e.Readable {
		return
	}
	n, err := v.far.Read(v.loop.Scratch())
	switch {
	case err == syscall.EAGAIN:
	case err != nil:
		v.failed(fmt.Errorf("reading the handshake's answer: %w", os.NewSyscallError("read", err)))
	case n == 0:
		v.failed(fmt.Errorf("reading the handshake's answer: %w", noAnswer(io.EOF)))
	default:
		v.answered(v.loop.Scratch()[:n])
	}
}

// send sends what it can of the request. True means that all of it is on its way.
func (v *visit) send() bool {
	n, err := v.far.Write(v.request)
	switch {
	case err != nil && !v.reached:
		v.failed(v.dialError(os.NewSyscallError("connect", err)))
		return false
	case err != nil:
		v.failed(fmt.Errorf("sending the handshake: %w", os.NewSyscallError("write", err)))
		return false
	}
	v.sent(n)
	return len(v.request) == 0
}

// answered opens the tunnel if what the backend has said begins with a whole 101,
// and lets a goroutine read anything else.
func (v *visit) answered(b []byte) {
	if !isWhole101(b) {
		v.readOn(bytes.Clone(b))
		return
	}
	behind := bytes.NewReader(b)
	answer, err := v.readAnswer(behind)
	if err != nil {
		v.failed(err)
		return
	}
	v.backend.Succeeded()
	v.open(answer, b[len(b)-behind.Len():])
}

// isWhole101 reports whether b has all of the head of a 101. What ends it may also
// be a bare LF, twice (RFC 9112, section 2.2).
func isWhole101(b []byte) bool {
	return bytes.HasPrefix(b, []byte("HTTP/1.1 101")) &&
		(bytes.Contains(b, []byte("\n\r\n")) || bytes.Contains(b, []byte("\n\n")))
}

// open tells the client and opens the tunnel. behind is what came behind the answer
// and what its reader has buffered.
func (v *visit) open(answer *answered, behind []byte) {
	head := v.head101(answer.Response)
	if n, err := v.near.Write(head); n < len(head) {
		v.w.status = http.StatusSwitchingProtocols
		v.cause = fmt.Errorf("writing the 101: %w", cmp.Or(err, error(syscall.EAGAIN)))
		v.withdraw()
		v.logRequest(nil)
		v.dismiss()
		return
	}
	v.stopTimer()
	v.socket.Pending.Remove(v)
	spec := v.spec(answer)
	spec.Client.Early = v.early
	spec.Backend.Early = append(spec.Backend.Early, behind...)
	near, far := v.near, v.far
	v.near, v.far = nil, nil
	opened, entry := v.loop.Open(spec, near, far), v.entry
	if v.h.Tunnels.Busy() {
		go entry.Opened(opened)
		return
	}
	entry.Opened(opened)
}

// failed ends this backend's part: a goroutine finds out what to do about it.
func (v *visit) failed(err error) {
	v.dropFar()
	a := v.attempt
	v.goOn(func() settled { return a.settleAfter(err) })
}

// readOn lets a goroutine read the rest of an answer that began with b.
func (v *visit) readOn(b []byte) {
	a, fd := v.attempt, v.far.Release()
	v.far = nil
	v.goOnOr(func() { _ = syscall.Close(fd) }, func() settled {
		conn, err := tunnel.Conn(fd)
		if err != nil {
			return settled{err: err}
		}
		answer, err := a.readRest(conn, b)
		if err == nil {
			a.backend.Succeeded()
			return settled{conn: conn, answer: answer}
		}
		conn.Close()
		return a.settleAfter(err)
	})
}

// gone ends the visit of a client that has gone.
func (v *visit) gone() {
	v.endGone()
	v.dismiss()
}

// dismiss closes what is open, and ends the visit.
func (v *visit) dismiss() {
	v.dropFar()
	if v.near != nil {
		v.near.Close()
		v.near = nil
		v.socket.Pending.Remove(v)
		v.socket.Slot().Release()
	}
	v.stopTimer()
}

func (v *visit) dropFar() {
	if v.far != nil {
		v.far.Close()
		v.far = nil
	}
}

// toGate ends the visit: the connection goes the way that one without a visit goes,
// with the bytes that were read.
func (v *visit) toGate(b []byte) {
	v.leave(bytes.Clone(b), func() {}, v.socket.AwaitFirst)
}

// goOn ends the visit: a goroutine settles the attempt.
func (v *visit) goOn(settle func() settled) { v.goOnOr(func() {}, settle) }

// goOnOr is goOn where drop is to be called should settle never be.
func (v *visit) goOnOr(drop func(), settle func() settled) {
	a, socket, head, early := v.attempt, v.socket, v.head, v.early
	lost := func() {
		a.withdraw()
		drop()
	}
	v.leave(append([]byte(head), early...), lost, func(conn net.Conn, gate *h1.Conn) {
		ctx, cancel := context.WithCancel(socket.Context())
		defer cancel()
		first := h1.FirstRequest{Conn: gate, Head: head}
		first.Consume()
		a.gate, a.r = gate, a.r.WithContext(ctx)
		socket.Pending.MarkActive(gate)
		a.serveFirst(socket, conn, first, cancel, settle)
	})
}

// leave ends the visit: goOn goes on with the connection, behind a gate now that has the
// bytes that were read, in a goroutine, and owns it. Or it is lost, for want of a descriptor: then lost is
// called.
func (v *visit) leave(read []byte, lost func(), goOn func(net.Conn, *h1.Conn)) {
	v.stopTimer()
	h, k, fd := v.h, v.socket, v.near.Release()
	v.near = nil
	go func() {
		conn, err := tunnel.Conn(fd)
		if err != nil {
			h.Log.Warn("connection lost", "client", clientText(v.peer.Addr()), "error", err)
			lost()
			k.Pending.Remove(v)
			k.Slot().Release()
			return
		}
		conn = k.Gate(conn)
		gate := h1.From(conn)
		gate.AdoptState(net.TCPAddrFromAddrPort(v.peer), v.headBy, read)
		k.Pending.Replace(v, gate)
		defer k.Pending.Remove(gate)
		goOn(conn, gate)
	}()
}
