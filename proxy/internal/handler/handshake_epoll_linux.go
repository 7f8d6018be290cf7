package handler

// A handshake on an event loop: a connection's first request and the backend's answer, on
// the loop where the tunnel will live, without a goroutine and without Go's poller. It
// takes the steps of every handshake (handshake.go) between events.
//
// Nothing on a loop may wait. What a step would wait for (a queue, a name, a TLS handshake,
// the rest of an answer) a goroutine does, and the loop goes on with what comes of it. What
// is no plain handshake, and every result but a tunnel, is net/http's.

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// holder says what has a connection that has begun on a loop.
type holder uint8

const (
	clientSilent holder = iota // the loop, until the client sends something
	onLoop                     // the loop, which takes the handshake's next step
	inWorker                   // the loop has the client's connection, a goroutine the handshake
	gone                       // it is a tunnel, net/http's, or closed
)

// loopHandshake is one connection on an event loop. Only functions that run on the loop
// touch it; the handshake in it is a goroutine's while it is inWorker.
type loopHandshake struct {
	h            *Handler
	socket       *listen.Socket
	old          listen.PendingConn // as which it was pending before, or nil
	loop         tunnel.Loop
	peer         netip.AddrPort
	tls          *tls.ConnectionState // nil: plain
	holder       holder
	clientConn   *tunnel.Watch // nil when gone
	clientGone   bool
	headDeadline time.Time // of the request's head; zero is never
	timer        *time.Timer
	generation   int // of the timer: one more at each change, so that a late one is recognised

	// From onLoop on.
	*handshake
	request     []byte        // its head, and what the client sent behind it
	early       []byte        // the latter
	backendConn *tunnel.Watch // nil until it is dialled, or where a goroutine does that
	dialled     time.Time
	unsent      []byte                  // the rest of the request to the backend
	stop        context.CancelCauseFunc // ends what the goroutine waits for
}

// ServeOnLoop implements listen.Handler.
func (h *Handler) ServeOnLoop(s *listen.Socket, old listen.PendingConn, conn tunnel.Descriptor, peer netip.AddrPort) bool {
	v := &loopHandshake{h: h, socket: s, old: old, peer: plainAddr(peer), tls: conn.TLS()}
	return tunnel.Dispatch(h.Engine, func(l tunnel.Loop) { v.accept(l, conn) })
}

// accept starts to wait for the first request.
func (v *loopHandshake) accept(l tunnel.Loop, conn tunnel.Descriptor) {
	defer v.recoverBug()
	var err error
	v.loop = l
	if v.clientConn, err = l.Watch(conn, v.guard(v.clientReady)); err != nil {
		v.socket.Pending.Remove(v.old)
		v.socket.Slot().Release()
		return
	}
	if !v.socket.Pending.Replace(v.old, v) {
		v.dismiss()
		return
	}
	timeout := v.socket.HeadLimits().HeadTimeout
	if timeout > 0 {
		v.headDeadline = time.Now().Add(timeout)
	}
	v.setTimer(timeout, v.dismiss)
}

// clientReady reads the request; later it notices that the client has gone.
func (v *loopHandshake) clientReady(e tunnel.Edge) {
	if v.holder == clientSilent && e.Readable {
		n, err := v.clientConn.Read(v.loop.Scratch())
		switch {
		case err == syscall.EAGAIN:
			return
		case err != nil || n == 0:
			v.dismiss() // a client that has sent nothing gets no answer
			return
		}
		v.firstBytes(v.loop.Scratch()[:n])
	}
	if e.Gone {
		v.loseClient()
	}
}

// firstBytes begins the handshake that was read, or gives net/http the connection before
// anything is counted.
func (v *loopHandshake) firstBytes(b []byte) {
	v.stopTimer()
	v.request = bytes.Clone(b)
	if v.handshake = v.parse(); v.handshake == nil {
		v.toHTTP(nil, v.headDeadline)
		return
	}
	v.socket.Pending.MarkActive(v)
	v.holder, v.ctx = onLoop, context.Background()
	v.lost = func() { v.post(v.routesChanged) }
	v.begin()
	v.advance()
}

// parse returns the handshake that the first bytes ask for; nil if they ask for none, or no
// route matches, or the head is not complete.
func (v *loopHandshake) parse() *handshake {
	n := h1.PlainUpgrade(v.request, v.socket.HeadLimits())
	if n == 0 {
		return nil
	}
	r, names, err := h1.NewRequest(string(v.request[:n]))
	if err != nil {
		return nil
	}
	r.TLS, v.early = v.tls, v.request[n:]
	x := v.h.newRequest(v.socket, r, nil, v.peer)
	x.names = names
	if rf := x.route(v.h.Current()); rf != nil || x.rt.Target == nil || x.rt.Auth != nil {
		return nil // authentication may take time
	}
	protocol := x.rt.Upgrade.Protocol(x.r)
	if protocol == "" {
		return nil
	}
	x.asksTunnel = true
	return &handshake{requestCtx: x, protocol: protocol}
}

// advance takes the steps that can be taken now.
func (v *loopHandshake) advance() {
	for v.holder == onLoop {
		switch {
		case v.phase == finished:
			v.finish()
		case v.clientGone:
			v.fail(forward.ErrClientGone)
		case v.mustWait():
			v.work()
		case v.phase == reserving:
			v.step(v.reserve())
		case v.phase == connecting && v.backendConn == nil:
			if err := v.dialBackend(); err != nil {
				v.step(err)
			}
		default:
			return // until the backend is ready
		}
	}
}

// work has a goroutine take steps for as long as the loop would have to wait.
func (v *loopHandshake) work() {
	v.holder = inWorker
	v.ctx, v.stop = context.WithCancelCause(context.Background())
	go func() {
		defer v.post(func() {
			v.stop(nil)
			v.holder, v.ctx = onLoop, context.Background()
			v.advance()
		})
		defer v.recoverInWorker()
		for v.ctx.Err() == nil && v.mustWait() {
			v.run()
		}
	}()
}

// fail ends what the loop waits for of the backend, and goes on.
func (v *loopHandshake) fail(err error) {
	v.stopTimer()
	v.closeBackend()
	v.step(err)
	v.advance()
}

// loseClient ends the handshake of a client that has gone.
func (v *loopHandshake) loseClient() {
	v.clientGone = true
	if v.holder == inWorker {
		v.stop(forward.ErrClientGone)
	}
	v.advance()
}

// routesChanged has the handshake routed again.
func (v *loopHandshake) routesChanged() {
	switch {
	case v.holder == inWorker:
		v.stop(errRoutesChanged)
	case v.holder == onLoop && v.phase != finished:
		v.fail(errRoutesChanged)
	}
}

// EndBy implements listen.PendingConn. A request that has come meanwhile is served, unless
// the connection is cut.
func (v *loopHandshake) EndBy(t time.Time) {
	v.post(func() {
		switch {
		case v.holder == clientSilent:
			v.setTimer(max(time.Until(t), time.Nanosecond), v.dismiss)
		case t == listen.ALongTimeAgo:
			v.loseClient()
		}
	})
}

// dialBackend connects to the backend and sends the request. On the same machine a
// connection is there at once: then the request need not wait for an event.
func (v *loopHandshake) dialBackend() error {
	if rf := v.makeHead(); rf != nil {
		return rf
	}
	addr, _ := v.backend.Direct()
	v.dialled = time.Now()
	conn, n, err := v.loop.Dial(addr, v.head, v.guard(v.backendReady))
	if err != nil {
		return v.dialError(err)
	}
	v.backendConn, v.unsent = conn, v.head
	if n == 0 {
		v.setTimer(v.rt.Policy.ConnectTimeout, func() { v.fail(v.dialError(context.DeadlineExceeded)) })
	}
	v.noteSent(n)
	return nil
}

// noteSent notes that n bytes of the request are sent. The first of them prove that
// there is a connection.
func (v *loopHandshake) noteSent(n int) {
	v.unsent = v.unsent[n:]
	if n == 0 || v.phase != connecting {
		return
	}
	v.backend.Connected(time.Since(v.dialled))
	v.step(nil)
	v.setTimer(v.rt.HandshakeTimeout, func() {
		v.fail(fmt.Errorf("reading the handshake's answer: %w", os.ErrDeadlineExceeded))
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
		v.fail(fmt.Errorf("reading the handshake's answer: %w", os.NewSyscallError("read", err)))
	case n == 0:
		v.fail(fmt.Errorf("reading the handshake's answer: %w", describeEOF(io.EOF)))
	default:
		v.handleAnswer(v.loop.Scratch()[:n])
	}
}

// send sends what it can of the request, and reports whether that was all.
func (v *loopHandshake) send() bool {
	n, err := v.backendConn.Write(v.unsent)
	switch {
	case err != nil && v.phase == connecting:
		v.fail(v.dialError(os.NewSyscallError("connect", err)))
		return false
	case err != nil:
		v.fail(fmt.Errorf("sending the handshake: %w", os.NewSyscallError("write", err)))
		return false
	}
	v.noteSent(n)
	return len(v.unsent) == 0
}

// handleAnswer handles the beginning of an answer, and all of it where that is the whole
// head of a 101. Any other a goroutine reads.
func (v *loopHandshake) handleAnswer(b []byte) {
	var err error
	if isWhole101(b) {
		v.begun = bytes.NewReader(b)
		v.result.answer, err = v.readAnswer(v.begun)
	} else {
		v.stopTimer()
		v.begun = bytes.NewReader(bytes.Clone(b))
		v.result.conn, err = v.backendConn.Release().Conn()
		v.backendConn = nil
	}
	switch {
	case err != nil:
		v.fail(err)
		return
	case v.result.conn == nil:
		v.step(nil)
	}
	v.advance()
}

// isWhole101 reports whether b contains the whole head of a 101. Lines may end with a
// bare LF (RFC 9112, section 2.2).
func isWhole101(b []byte) bool {
	return bytes.HasPrefix(b, []byte("HTTP/1.1 101")) &&
		(bytes.Contains(b, []byte("\n\r\n")) || bytes.Contains(b, []byte("\n\n")))
}

// finish delivers the result: a tunnel here, any other by net/http's handler.
func (v *loopHandshake) finish() {
	v.stopTimer()
	switch {
	case v.clientGone:
		v.Drop()
		v.dismiss()
	case v.result.opens() && !v.mayRedial(v.result.answer.agreed) && v.takeBackend():
		v.openOnLoop()
	case v.result.opens():
		v.openInNet()
	default:
		v.toHTTP(v.handshake, time.Time{})
	}
}

// takeBackend puts the backend's connection on the loop, if it is not there. If it returns
// false, the connection is in net, or there is an error.
func (v *loopHandshake) takeBackend() bool {
	if v.backendConn != nil {
		return true
	}
	conn, ok := tunnel.Detach(v.result.conn)
	if ok {
		v.result.conn = nil
		v.backendConn, v.result.err = v.loop.Watch(conn, func(tunnel.Edge) {})
	}
	return ok && v.result.err == nil
}

// openOnLoop writes the 101 and opens the tunnel.
func (v *loopHandshake) openOnLoop() {
	head := v.head101(v.result.answer)
	if n, err := v.clientConn.Write(head); n < len(head) {
		v.release()
		v.w.status = http.StatusSwitchingProtocols
		v.err = fmt.Errorf("writing the 101: %w", cmp.Or(err, error(syscall.EAGAIN)))
		v.logRequest(nil)
		v.dismiss()
		return
	}
	entry, spec := v.entry, v.spec()
	spec.Client.Early = v.early
	v.holder = gone
	opened := v.loop.Open(spec, v.clientConn, v.backendConn)
	v.clientConn, v.backendConn = nil, nil
	v.socket.Pending.Remove(v)
	if v.h.Tunnels.Busy() { // Opened would wait for its lock
		go entry.Opened(opened)
		return
	}
	entry.Opened(opened)
}

// openInNet opens a tunnel that no loop can serve.
func (v *loopHandshake) openInNet() {
	if v.backendConn != nil {
		v.result.conn, v.result.err = v.backendConn.Release().Conn()
		if v.backendConn = nil; v.result.err != nil {
			v.toHTTP(v.handshake, time.Time{})
			return
		}
	}
	v.leave(func(conn net.Conn) {
		defer v.socket.Pending.Remove(v)
		defer func() {
			if what := recover(); what != nil {
				v.h.logBug(v.id, what)
			}
			if !v.tunnelled {
				v.release()
				v.logRequest(nil)
			}
		}()
		v.open(tunnel.Endpoint{Conn: conn, Early: v.early})
	})
}

// toHTTP gives net/http the connection with all that was read, and the result if there is
// one.
func (v *loopHandshake) toHTTP(result listen.Deferred, headBy time.Time) {
	v.leave(func(conn net.Conn) { v.socket.ToHTTP(v, conn, v.peer, headBy, v.request, result) })
}

// leave puts the client's connection back into net, and calls serve, which owns it, in a
// goroutine.
func (v *loopHandshake) leave(serve func(net.Conn)) {
	v.stopTimer()
	conn := v.clientConn.Release()
	v.holder, v.clientConn = gone, nil
	go func() {
		conn, err := conn.Conn()
		if err == nil {
			serve(conn)
			return
		}
		v.socket.CountRefused(listen.NoDescriptor)
		v.h.LogLost(v.socket.Config(), "connection lost", slog.String("client", clientText(v.peer.Addr())), slog.Any("error", err))
		if v.handshake != nil {
			v.result.close()
			v.release()
		}
		v.socket.Pending.Remove(v)
		v.socket.Slot().Release()
	}()
}

// dismiss closes what is open, and ends the handshake.
func (v *loopHandshake) dismiss() {
	v.stopTimer()
	v.closeBackend()
	if v.holder != gone {
		v.clientConn.Close()
		v.holder, v.clientConn = gone, nil
		v.socket.Pending.Remove(v)
		v.socket.Slot().Release()
	}
}

func (v *loopHandshake) closeBackend() {
	if v.backendConn != nil {
		v.backendConn.Close()
		v.backendConn = nil
	}
}

// post has f run on the loop.
func (v *loopHandshake) post(f func()) {
	v.loop.Run(func() {
		defer v.recoverBug()
		f()
	})
}

// guard is f for a Watch.
func (v *loopHandshake) guard(f func(tunnel.Edge)) func(tunnel.Edge) {
	return func(e tunnel.Edge) {
		defer v.recoverBug()
		f(e)
	}
}

// recoverBug keeps a panic, which can only be a bug of ours, from ending the loop.
func (v *loopHandshake) recoverBug() {
	what := recover()
	if what == nil {
		return
	}
	v.h.logBug("", what)
	if v.holder == inWorker {
		v.clientGone = true
		v.stop(forward.ErrClientGone)
		return
	}
	if v.handshake != nil {
		v.result.close()
		v.release()
	}
	v.dismiss()
}

// recoverInWorker is recoverBug in the goroutine that has the handshake.
func (v *loopHandshake) recoverInWorker() {
	if what := recover(); what != nil {
		v.h.logBug(v.id, what)
		v.result.close()
		v.phase, v.result.err = finished, refuse(http.StatusInternalServerError, "internal error", nil)
	}
}

// setTimer calls late after d, unless the timer is set again or stopped before. A d that
// is not positive is never.
func (v *loopHandshake) setTimer(d time.Duration, late func()) {
	v.stopTimer()
	if d <= 0 {
		return
	}
	armed := v.generation
	v.timer = time.AfterFunc(d, func() {
		v.post(func() {
			if v.generation == armed {
				late()
			}
		})
	})
}

func (v *loopHandshake) stopTimer() {
	v.generation++
	if v.timer != nil {
		v.timer.Stop()
	}
}
