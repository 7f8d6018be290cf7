package handler

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

// loopHandshake is one connection on an event loop. Only functions that run on the loop
// touch it.
type loopHandshake struct {
	h            *Handler
	socket       *listen.Socket
	loop         tunnel.Loop
	peer         netip.AddrPort
	clientConn   *tunnel.Watch // the client's connection
	headDeadline time.Time     // the request must have come; zero is never
	timer        *time.Timer
	timerGen     int // of the timer: one that fires for an earlier turn is late

	// From the request on.
	*handshake
	head        string
	early       []byte        // the client's, behind the head
	backendConn *tunnel.Watch // the backend's connection
	unsent      []byte        // what is still to be sent to the backend
	connected   bool          // there is a connection to it
}

// ServeOnLoop implements listen.Handler.
func (h *Handler) ServeOnLoop(s *listen.Socket, fd int, peer netip.AddrPort) bool {
	v := &loopHandshake{h: h, socket: s, peer: peer}
	return tunnel.Dispatch(h.Engine, func(l tunnel.Loop) { v.begin(l, fd) })
}

// begin waits for the first request.
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

// guard is around all that runs on the loop: a bug of ours must not end it.
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

// setTimer has late called if the visit has not gone on by then. Not positive is
// never.
func (v *loopHandshake) setTimer(d time.Duration, late func()) {
	v.stopTimer()
	if d <= 0 {
		return
	}
	turn := v.timerGen
	v.timer = time.AfterFunc(d, func() {
		v.loop.Run(func() {
			defer v.recoverBug()
			if v.timerGen == turn {
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

// SetReadDeadline implements newcomer: t is by when a request must have come. One
// whose request has come by now has nothing to do with that, unless it is cut.
func (v *loopHandshake) SetReadDeadline(t time.Time) error {
	v.loop.Run(func() {
		defer v.recoverBug()
		switch {
		case v.clientConn == nil: // it is over
		case v.handshake == nil:
			v.setTimer(max(time.Until(t), time.Nanosecond), v.dismiss)
		case t == listen.ALongTimeAgo:
			v.clientGone()
		}
	})
	return nil
}

// clientReady hears the request; later it notices that the client has gone.
func (v *loopHandshake) clientReady(e tunnel.Edge) {
	switch {
	case v.handshake != nil && e.Gone:
		v.clientGone()
	case v.handshake == nil && e.Readable:
		n, err := v.clientConn.Read(v.loop.Scratch())
		switch {
		case err == syscall.EAGAIN:
		case err != nil || n == 0:
			v.dismiss() // a client that never said anything is not answered
		default:
			v.firstBytes(v.loop.Scratch()[:n])
			if e.Gone && v.clientConn != nil && v.handshake != nil { // said in the same breath
				v.clientGone()
			}
		}
	}
}

// firstBytes takes the first bytes. What is not a handshake to be made here is for a
// goroutine to understand, as long as nothing has been counted.
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
	a := v.h.firstAttempt(v.socket, r, names, v.peer)
	if a == nil || !a.canUseLoop() || a.check() != nil {
		v.passToGate(b)
		return
	}
	v.handshake, v.head, v.early = a, head, bytes.Clone(b[n:])
	v.socket.Pending.MarkActive(v)
	a.payForRetries()
	if a.h.Tunnels.Busy() {
		v.continueInGoroutine(a.negotiateAdmitted)
		return
	}
	v.reserveOnLoop()
}

// reserveOnLoop is attempt.admit for routes that do not change meanwhile: those of after a
// reload may have it wait.
func (v *loopHandshake) reserveOnLoop() {
	err := v.reserve()
	switch {
	case errors.Is(err, upstream.ErrReplaced), err == nil && v.h.Current() != v.table:
		v.release()
		v.continueInGoroutine(v.negotiateAdmitted)
	case err != nil:
		v.continueInGoroutine(func() result { return result{err: err} })
	default:
		v.askBackendOnLoop()
	}
}

// canUseLoop says whether the attempt can be made on a loop at all.
func (a *handshake) canUseLoop() bool {
	return a.rt.Target.Direct && !a.rt.Redials && !a.rt.Target.Pool.HasQueue() && !h1.LogsIn(a.r.Header)
}

// askBackendOnLoop connects to the backend and sends the handshake. Connecting on the same
// machine takes no time: then the request need not wait for an event.
func (v *loopHandshake) askBackendOnLoop() {
	addr, ok := v.backend.Direct()
	if !ok { // what is direct has such backends only
		v.continueInGoroutine(v.shakeHands)
		return
	}
	var rf *refusal
	if v.unsent, rf = v.requestHead(); rf != nil {
		v.continueInGoroutine(func() result { return result{err: rf} })
		return
	}
	far, n, err := v.loop.Dial(addr, v.unsent, v.guard(v.backendReady))
	if err != nil {
		v.backendFailed(v.dialError(err))
		return
	}
	if v.backendConn = far; n == 0 {
		v.setTimer(v.rt.Policy.ConnectTimeout, func() { v.backendFailed(v.dialError(context.DeadlineExceeded)) })
	}
	v.noteSent(n)
}

// noteSent notes that n bytes of the request are on their way, and so that there is a
// connection.
func (v *loopHandshake) noteSent(n int) {
	v.unsent = v.unsent[n:]
	if n == 0 || v.connected {
		return
	}
	v.connected = true
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

// send sends what it can of the request. True means that all of it is on its way.
func (v *loopHandshake) send() bool {
	n, err := v.backendConn.Write(v.unsent)
	switch {
	case err != nil && !v.connected:
		v.backendFailed(v.dialError(os.NewSyscallError("connect", err)))
		return false
	case err != nil:
		v.backendFailed(fmt.Errorf("sending the handshake: %w", os.NewSyscallError("write", err)))
		return false
	}
	v.noteSent(n)
	return len(v.unsent) == 0
}

// handleAnswer opens the tunnel if what the backend has said begins with a whole 101,
// and lets a goroutine read anything else.
func (v *loopHandshake) handleAnswer(b []byte) {
	if !isWhole101(b) {
		v.readInGoroutine(bytes.Clone(b))
		return
	}
	behind := bytes.NewReader(b)
	answer, err := v.readAnswer(behind)
	if err != nil {
		v.backendFailed(err)
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
func (v *loopHandshake) open(answer *backendAnswer, behind []byte) {
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
	spec.Backend.Early = append(spec.Backend.Early, behind...)
	near, far := v.clientConn, v.backendConn
	v.clientConn, v.backendConn = nil, nil
	opened, entry := v.loop.Open(spec, near, far), v.entry
	if v.h.Tunnels.Busy() {
		go entry.Opened(opened)
		return
	}
	entry.Opened(opened)
}

// backendFailed ends this backend's part: a goroutine finds out what to do about it.
func (v *loopHandshake) backendFailed(err error) {
	v.closeBackend()
	a := v.handshake
	v.continueInGoroutine(func() result { return a.negotiateAfter(err) })
}

// readInGoroutine lets a goroutine read the rest of an answer that began with b.
func (v *loopHandshake) readInGoroutine(b []byte) {
	a, fd := v.handshake, v.backendConn.Release()
	v.backendConn = nil
	v.continueOrDrop(func() { _ = syscall.Close(fd) }, func() result {
		conn, err := tunnel.Conn(fd)
		if err != nil {
			return result{err: err}
		}
		answer, err := a.readRest(conn, b)
		if err == nil {
			a.backend.Succeeded()
			return result{conn: conn, answer: answer}
		}
		conn.Close()
		return a.negotiateAfter(err)
	})
}

// clientGone ends the visit of a client that has gone.
func (v *loopHandshake) clientGone() {
	v.endClientGone()
	v.dismiss()
}

// dismiss closes what is open, and ends the visit.
func (v *loopHandshake) dismiss() {
	v.closeBackend()
	if v.clientConn != nil {
		v.clientConn.Close()
		v.clientConn = nil
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

// passToGate ends the visit: the connection goes the way that one without a visit goes,
// with the bytes that were read.
func (v *loopHandshake) passToGate(b []byte) {
	v.handOver(bytes.Clone(b), func() {}, v.socket.AwaitFirst)
}

// continueInGoroutine ends the visit: a goroutine settles the attempt.
func (v *loopHandshake) continueInGoroutine(settle func() result) {
	v.continueOrDrop(func() {}, settle)
}

// continueOrDrop is goOn where drop is to be called should settle never be.
func (v *loopHandshake) continueOrDrop(drop func(), settle func() result) {
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
		a.serveFirst(socket, conn, first, cancel, settle)
	})
}

// handOver ends the visit: goOn goes on with the connection, behind a gate now that has the
// bytes that were read, in a goroutine, and owns it. Or it is lost, for want of a descriptor: then lost is
// called.
func (v *loopHandshake) handOver(read []byte, lost func(), goOn func(net.Conn, *h1.Conn)) {
	v.stopTimer()
	h, k, fd := v.h, v.socket, v.clientConn.Release()
	v.clientConn = nil
	go func() {
		conn, err := tunnel.Conn(fd)
		if err != nil {
			h.LogLost(k.Config(), "connection lost", slog.String("client", clientText(v.peer.Addr())), slog.Any("error", err))
			lost()
			k.Pending.Remove(v)
			k.Slot().Release()
			return
		}
		conn = k.Gate(conn)
		gate := h1.From(conn)
		gate.AdoptState(net.TCPAddrFromAddrPort(v.peer), v.headDeadline, read)
		k.Pending.Replace(v, gate)
		defer k.Pending.Remove(gate)
		goOn(conn, gate)
	}()
}
