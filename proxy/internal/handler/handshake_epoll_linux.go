package handler

// A handshake on an event loop: a plain connection's first request and the backend's
// answer, on the loop where the tunnel will live, without a goroutine and without Go's
// poller. It uses the steps of every handshake (upgrade.go), between events:
//
//	awaitRequest -> connecting -> awaitAnswer -> done, with an open tunnel
//	     |              |             |
//	     +--------------+-------------+-> done, continued in a goroutine or dismissed
//
// Nothing on a loop may block. Whatever needs to wait, from half a head to a backend that
// refuses, is continued in a goroutine from where it is (first_request.go).

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// loopPhase is how far a loopHandshake has come.
type loopPhase uint8

const (
	awaitRequest loopPhase = iota // the client has sent nothing yet
	connecting                    // a backend is reserved, and none of the request is sent
	awaitAnswer                   // there is a connection to it
	done                          // the loop has the client's connection no longer
)

// loopHandshake is one connection on an event loop. Only functions that run on the loop
// touch it.
type loopHandshake struct {
	h            *Handler
	socket       *listen.Socket
	loop         tunnel.Loop
	peer         netip.AddrPort
	phase        loopPhase
	clientConn   *tunnel.Watch // nil when done
	headDeadline time.Time     // of the request's head; zero is never
	timer        *time.Timer
	timerGen     int // one more at each change of the timer, so that a late one is recognised

	// From connecting on.
	*handshake
	head        string
	early       []byte        // the client's, behind the head
	backendConn *tunnel.Watch // nil until it is dialled
	unsent      []byte        // the rest of the request to the backend
}

// ServeOnLoop implements listen.Handler.
func (h *Handler) ServeOnLoop(s *listen.Socket, fd int, peer netip.AddrPort) bool {
	v := &loopHandshake{h: h, socket: s, peer: peer}
	return tunnel.Dispatch(h.Engine, func(l tunnel.Loop) { v.begin(l, fd) })
}

// begin starts to wait for the first request.
func (v *loopHandshake) begin(l tunnel.Loop, fd int) {
	defer v.recoverBug()
	var err error
	v.loop = l
	if v.clientConn, err = l.Watch(fd, v.guard(v.clientReady)); err != nil {
		v.socket.Slot().Release()
		return
	}
	if !v.socket.Pending.Add(v) {
		v.dismiss()
		return
	}
	timeout := v.socket.HeadLimits().HeadTimeout
	if timeout > 0 {
		v.headDeadline = time.Now().Add(timeout)
	}
	v.setTimer(timeout, v.dismiss)
}

// guard keeps a panic, which can only be a bug of ours, from ending the loop.
func (v *loopHandshake) guard(ready func(tunnel.Edge)) func(tunnel.Edge) {
	return func(e tunnel.Edge) {
		defer v.recoverBug()
		ready(e)
	}
}

func (v *loopHandshake) recoverBug() {
	what := recover()
	if what == nil {
		return
	}
	v.h.logBug("", what)
	if v.handshake != nil {
		v.release()
	}
	v.dismiss()
}

// setTimer calls late after d, unless the timer is set again or stopped before. A d that
// is not positive is never.
func (v *loopHandshake) setTimer(d time.Duration, late func()) {
	v.stopTimer()
	if d <= 0 {
		return
	}
	gen := v.timerGen
	v.timer = time.AfterFunc(d, func() {
		v.loop.Run(func() {
			defer v.recoverBug()
			if v.timerGen == gen {
				late()
			}
		})
	})
}

func (v *loopHandshake) stopTimer() {
	v.timerGen++
	if v.timer != nil {
		v.timer.Stop()
	}
}

// SetReadDeadline implements listen.PendingConn. A request that has come meanwhile is
// served, unless the connection is cut.
func (v *loopHandshake) SetReadDeadline(t time.Time) error {
	v.loop.Run(func() {
		defer v.recoverBug()
		switch {
		case v.phase == done:
		case v.phase == awaitRequest:
			v.setTimer(max(time.Until(t), time.Nanosecond), v.dismiss)
		case t == listen.ALongTimeAgo:
			v.clientGone()
		}
	})
	return nil
}

// clientReady reads the request; later it notices that the client has gone.
func (v *loopHandshake) clientReady(e tunnel.Edge) {
	switch {
	case v.isNegotiating() && e.Gone:
		v.clientGone()
	case v.phase == awaitRequest && e.Readable:
		n, err := v.clientConn.Read(v.loop.Scratch())
		switch {
		case err == syscall.EAGAIN:
		case err != nil || n == 0:
			v.dismiss() // a client that has sent nothing gets no answer
		default:
			v.firstBytes(v.loop.Scratch()[:n])
			if e.Gone && v.isNegotiating() { // by the same event
				v.clientGone()
			}
		}
	}
}

// isNegotiating reports whether a backend is being asked.
func (v *loopHandshake) isNegotiating() bool { return v.phase == connecting || v.phase == awaitAnswer }

// firstBytes handles what was read first. Whatever is not a handshake that a loop can
// make goes to a goroutine before anything is counted.
func (v *loopHandshake) firstBytes(b []byte) {
	v.stopTimer()
	n := h1.PlainUpgrade(b, v.socket.HeadLimits())
	if n == 0 {
		v.passToGate(b)
		return
	}
	head := string(b[:n])
	r, names, err := h1.NewRequest(head)
	if err != nil {
		v.passToGate(b)
		return
	}
	a := v.h.firstHandshake(v.socket, r, names, v.peer)
	if a == nil || !a.canUseLoop() || a.check() != nil {
		v.passToGate(b)
		return
	}
	v.phase, v.handshake, v.head, v.early = connecting, a, head, bytes.Clone(b[n:])
	v.socket.Pending.MarkActive(v)
	a.payForRetries()
	if a.h.Tunnels.Busy() {
		v.continueWith(a.askBackend)
		return
	}
	v.reserveOnLoop()
}

// reserveOnLoop is reserveCurrent without its loop: after a reload the new route's pool
// may queue, so the rest is for a goroutine.
func (v *loopHandshake) reserveOnLoop() {
	err := v.reserve()
	switch {
	case errors.Is(err, upstream.ErrReplaced), err == nil && v.h.Current() != v.table:
		v.release()
		v.continueWith(v.handshake.askBackend)
	case err != nil:
		v.continueInGoroutine(func() result { return result{err: err} })
	default:
		v.dialBackend()
	}
}

// canUseLoop reports whether a loop can make the handshake at all.
func (a *handshake) canUseLoop() bool {
	return a.rt.Target.Direct && !a.rt.Redials && !a.rt.Target.Pool.HasQueue() && !h1.LogsIn(a.r.Header)
}

// dialBackend connects to the backend and sends the request. On the same machine a
// connection is there at once: then the request need not wait for an event.
func (v *loopHandshake) dialBackend() {
	addr, ok := v.backend.Direct()
	if !ok { // a direct target has such backends only
		v.continueWith(v.handshake.askBackend)
		return
	}
	var rf *refusal
	if v.unsent, rf = v.requestHead(); rf != nil {
		v.continueInGoroutine(func() result { return result{err: rf} })
		return
	}
	conn, n, err := v.loop.Dial(addr, v.unsent, v.guard(v.backendReady))
	if err != nil {
		v.backendFailed(v.dialError(err))
		return
	}
	if v.backendConn = conn; n == 0 {
		v.setTimer(v.rt.Policy.ConnectTimeout, func() { v.backendFailed(v.dialError(context.DeadlineExceeded)) })
	}
	v.noteSent(n)
}

// noteSent notes that n bytes of the request are sent. The first of them prove that
// there is a connection.
func (v *loopHandshake) noteSent(n int) {
	v.unsent = v.unsent[n:]
	if n == 0 || v.phase != connecting {
		return
	}
	v.phase = awaitAnswer
	v.setTimer(v.rt.HandshakeTimeout, func() {
		v.backendFailed(fmt.Errorf("reading the handshake's answer: %w", os.ErrDeadlineExceeded))
	})
}

func (v *loopHandshake) dialError(err error) error {
	addr, _ := v.backend.Direct()
	return &upstream.DialError{Backend: v.backend.Key(), Stage: upstream.StageConnect,
		Err: &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}}
}

// backendReady sends the request once there is a connection, and reads the answer.
func (v *loopHandshake) backendReady(e tunnel.Edge) {
	if len(v.unsent) > 0 && !v.send() || !e.Readable {
		return
	}
	n, err := v.backendConn.Read(v.loop.Scratch())
	switch {
	case err == syscall.EAGAIN:
	case err != nil:
		v.backendFailed(fmt.Errorf("reading the handshake's answer: %w", os.NewSyscallError("read", err)))
	case n == 0:
		v.backendFailed(fmt.Errorf("reading the handshake's answer: %w", describeEOF(io.EOF)))
	default:
		v.handleAnswer(v.loop.Scratch()[:n])
	}
}

// send sends what it can of the request, and reports whether that was all.
func (v *loopHandshake) send() bool {
	n, err := v.backendConn.Write(v.unsent)
	switch {
	case err != nil && v.phase == connecting:
		v.backendFailed(v.dialError(os.NewSyscallError("connect", err)))
		return false
	case err != nil:
		v.backendFailed(fmt.Errorf("sending the handshake: %w", os.NewSyscallError("write", err)))
		return false
	}
	v.noteSent(n)
	return len(v.unsent) == 0
}

// handleAnswer opens the tunnel if the answer begins with the whole head of a 101. A
// goroutine reads any other.
func (v *loopHandshake) handleAnswer(b []byte) {
	if !isWhole101(b) {
		v.readInGoroutine(bytes.Clone(b))
		return
	}
	all := bytes.NewReader(b)
	answer, err := v.readAnswer(all)
	if err != nil {
		v.backendFailed(err)
		return
	}
	answer.begun = all
	v.backend.Succeeded()
	v.open(answer)
}

// isWhole101 reports whether b contains the whole head of a 101. Lines may end with a
// bare LF (RFC 9112, section 2.2).
func isWhole101(b []byte) bool {
	return bytes.HasPrefix(b, []byte("HTTP/1.1 101")) &&
		(bytes.Contains(b, []byte("\n\r\n")) || bytes.Contains(b, []byte("\n\n")))
}

// open writes the 101 and opens the tunnel.
func (v *loopHandshake) open(answer *backendAnswer) {
	head := v.head101(answer)
	if n, err := v.clientConn.Write(head); n < len(head) {
		v.w.status = http.StatusSwitchingProtocols
		v.err = fmt.Errorf("writing the 101: %w", cmp.Or(err, error(syscall.EAGAIN)))
		v.release()
		v.logRequest(nil)
		v.dismiss()
		return
	}
	v.stopTimer()
	v.socket.Pending.Remove(v)
	spec := v.spec(answer)
	spec.Client.Early = v.early
	client, backend := v.clientConn, v.backendConn
	v.phase, v.clientConn, v.backendConn = done, nil, nil
	opened, entry := v.loop.Open(spec, client, backend), v.entry
	if v.h.Tunnels.Busy() { // Opened would wait for its lock
		go entry.Opened(opened)
		return
	}
	entry.Opened(opened)
}

// backendFailed continues after an error of the backend: another may be asked.
func (v *loopHandshake) backendFailed(err error) {
	v.closeBackend()
	v.continueWith(func() (net.Conn, *backendAnswer, error) { return nil, nil, err })
}

// readInGoroutine continues with the rest of an answer that begins with b.
func (v *loopHandshake) readInGoroutine(b []byte) {
	a, fd := v.handshake, v.backendConn.Release()
	v.backendConn = nil
	v.continueOrDrop(func() { _ = syscall.Close(fd) }, func() result {
		conn, err := tunnel.Conn(fd)
		if err != nil {
			return result{err: err}
		}
		return a.negotiateWith(func() (net.Conn, *backendAnswer, error) {
			answer, err := a.readRest(conn, b)
			if err != nil {
				conn.Close()
			}
			return conn, answer, err
		})
	})
}

// clientGone ends the handshake of a client that has gone.
func (v *loopHandshake) clientGone() {
	v.endClientGone()
	v.dismiss()
}

// dismiss closes what is open, and ends the handshake.
func (v *loopHandshake) dismiss() {
	v.closeBackend()
	if v.clientConn != nil {
		v.clientConn.Close()
		v.phase, v.clientConn = done, nil
		v.socket.Pending.Remove(v)
		v.socket.Slot().Release()
	}
	v.stopTimer()
}

func (v *loopHandshake) closeBackend() {
	if v.backendConn != nil {
		v.backendConn.Close()
		v.backendConn = nil
	}
}

// passToGate has a goroutine wait for the first request, with the bytes that were read.
func (v *loopHandshake) passToGate(b []byte) {
	v.handOver(bytes.Clone(b), func() {}, v.socket.AwaitFirst)
}

// continueWith has a goroutine negotiate, with ask as its first.
func (v *loopHandshake) continueWith(ask ask) {
	a := v.handshake
	v.continueInGoroutine(func() result { return a.negotiateWith(ask) })
}

// continueInGoroutine has a goroutine get the result of the handshake.
func (v *loopHandshake) continueInGoroutine(negotiate func() result) {
	v.continueOrDrop(func() {}, negotiate)
}

// continueOrDrop is continueInGoroutine. It calls drop if negotiate will not be called.
func (v *loopHandshake) continueOrDrop(drop func(), negotiate func() result) {
	a, socket, head, early := v.handshake, v.socket, v.head, v.early
	lost := func() {
		a.release()
		drop()
	}
	v.handOver(append([]byte(head), early...), lost, func(conn net.Conn, gate *h1.Conn) {
		ctx, cancel := context.WithCancel(socket.Context())
		defer cancel()
		first := h1.FirstRequest{Conn: gate, Head: head}
		first.Consume()
		a.gate, a.r = gate, a.r.WithContext(ctx)
		socket.Pending.MarkActive(gate)
		a.serveFirst(socket, conn, first, cancel, negotiate)
	})
}

// handOver gives the connection to a goroutine that calls serve, which owns it. It is
// behind a gate then, with the bytes that were read. Making a net.Conn takes a second
// descriptor: if there is none, the connection is closed and lost is called instead.
func (v *loopHandshake) handOver(read []byte, lost func(), serve func(net.Conn, *h1.Conn)) {
	v.stopTimer()
	fd := v.clientConn.Release()
	v.phase, v.clientConn = done, nil
	go func() {
		conn, err := tunnel.Conn(fd)
		if err != nil {
			v.h.LogLost(v.socket.Config(), "connection lost", slog.String("client", clientText(v.peer.Addr())), slog.Any("error", err))
			lost()
			v.socket.Pending.Remove(v)
			v.socket.Slot().Release()
			return
		}
		conn = v.socket.Gate(conn)
		gate := h1.From(conn)
		gate.AdoptState(net.TCPAddrFromAddrPort(v.peer), v.headDeadline, read)
		v.socket.Pending.Replace(v, gate)
		defer v.socket.Pending.Remove(gate)
		serve(conn, gate)
	}()
}
