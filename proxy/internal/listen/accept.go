package listen

// From accept to the first request. Where there are event loops, each connection begins
// on one: most bring one handshake and become a tunnel, and what net/http would set up for
// them would only be garbage.

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// acceptLoop accepts until the Socket is closed. When it runs out of descriptors it
// logs that once, waits, and continues as soon as there is one.
func (s *Socket) acceptLoop() {
	var delay time.Duration
	for s.limiter.acquire(s.maxConnections) {
		err := s.accept()
		if err == nil {
			if delay > 0 {
				s.options.Log.Info("accepting again", "address", s.ln.Addr().String())
			}
			delay = 0
			continue
		}
		s.limiter.unacquire()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if delay == 0 {
			s.options.Log.Error("cannot accept connections, waiting", "address", s.ln.Addr().String(), "error", err)
		}
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(delay):
		case <-s.limiter.released: // perhaps with the descriptor that was missing
		case <-s.closed:
			return
		}
	}
}

// accept accepts one connection and starts to serve it.
func (s *Socket) accept() error {
	if done, err := s.acceptOnLoop(); done {
		return err
	}
	conn, err := s.ln.Accept()
	if err == nil {
		go s.serve(conn)
	}
	return err
}

// serve serves an accepted connection, after TLS where the listener has it: on an event
// loop, or by net/http. HTTP/2 is net/http's, and without the gate: it recognises a
// *tls.Conn.
func (s *Socket) serve(conn net.Conn) {
	c := s.Config()
	if c == nil { // a reload has just removed the address
		s.Dismiss(conn)
		return
	}
	if c.TLS == nil {
		s.serveFirst(nil, conn, c)
		return
	}
	h := &tlsHandshake{conn, time.Now().Add(c.Limits.Head.HeadTimeout)}
	_ = conn.SetDeadline(h.late)
	if !s.Pending.Add(h) {
		s.Dismiss(conn)
		return
	}
	tc, err := s.handshakeTLS(h, c)
	switch {
	case err != nil:
		s.Pending.Remove(h)
		s.Dismiss(conn)
	case tc.ConnectionState().NegotiatedProtocol == "h2":
		s.toHTTP(tc)
		s.Pending.Remove(h)
	default:
		s.serveFirst(h, tc, c)
	}
}

// serveFirst serves an accepted connection that speaks HTTP/1.1. It is pending as old, or
// not yet if that is nil.
func (s *Socket) serveFirst(old PendingConn, conn net.Conn, c *Config) {
	if d, ok := tunnel.Detach(conn); ok {
		var peer netip.AddrPort // of a unix socket
		if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			peer = tcp.AddrPort()
		}
		if s.options.Handler.ServeOnLoop(s, old, d, peer) {
			return
		}
		var err error
		if conn, err = d.Conn(); err != nil {
			s.Pending.Remove(old)
			s.lose(err)
			return
		}
	}
	gated := s.gate(conn, c)
	if !s.Pending.Replace(old, h1.From(gated)) {
		s.Dismiss(conn)
		return
	}
	s.toHTTP(gated)
}

// ToHTTP has net/http serve a pending connection of which something else has read the
// beginning. peer is not valid if the connection knows it; by headBy the head must be
// there, zero is never. result is for the handler of the request, nil if there is none:
// it is dropped with the connection.
func (s *Socket) ToHTTP(old PendingConn, conn net.Conn, peer netip.AddrPort, headBy time.Time, read []byte, result Deferred) {
	gated := s.gate(conn, s.Config())
	gate := h1.From(gated)
	var addr net.Addr
	if peer.IsValid() {
		addr = net.TCPAddrFromAddrPort(peer)
	}
	gate.AdoptState(addr, headBy, read, result)
	s.Pending.Replace(old, gate)
	s.toHTTP(gated)
}

// gate puts the gate in front of a connection; c is nil if the address is no longer
// configured.
func (s *Socket) gate(conn net.Conn, c *Config) net.Conn {
	var gate net.Conn
	gate = h1.Wrap(conn, s.HeadLimits(), func(status int, reason string) (id string) {
		s.CountRefused(BadRequest)
		return s.options.Handler.LogRefused(c, gate, status, reason)
	})
	return gate
}

// Dismiss closes an accepted connection and releases its slot.
func (s *Socket) Dismiss(conn net.Conn) {
	_ = conn.Close()
	s.limiter.release()
}

// lose is Dismiss for a connection that is closed for want of a descriptor.
func (s *Socket) lose(err error) {
	s.CountRefused(NoDescriptor)
	s.options.Handler.LogLost(s.Config(), "accepted connection lost", slog.Any("error", err))
	s.limiter.release()
}
