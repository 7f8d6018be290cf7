package listen

// From accept to the first request. A connection's first request is offered to the
// Handler before net/http reads it: most connections bring one handshake and become a
// tunnel, and what net/http would set up for them would only be garbage.

import (
	"errors"
	"net"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
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
		s.serve(conn)
	}
	return err
}

// serve puts an accepted connection behind the gate, after TLS where the listener has
// it, and serves its first request.
func (s *Socket) serve(conn net.Conn) {
	c := s.Config()
	if c == nil { // a reload has just removed the address
		s.Dismiss(conn)
		return
	}
	if c.TLS != nil {
		go s.handshakeTLS(conn, c)
		return
	}
	go s.servePending(s.gate(conn, c))
}

// servePending serves the first request of a connection behind the gate.
func (s *Socket) servePending(conn net.Conn) {
	gate := h1.From(conn)
	if !s.Pending.Add(gate) {
		s.Dismiss(conn)
		return
	}
	defer s.Pending.Remove(gate)
	s.AwaitFirst(conn, gate)
}

// AwaitFirst waits for the first request of a pending connection, and has it served.
func (s *Socket) AwaitFirst(conn net.Conn, gate *h1.Conn) {
	first, err := gate.FirstRequest()
	s.Pending.MarkActive(gate)
	switch {
	case err != nil:
		s.Dismiss(conn)
	case first.Head == "" || !s.options.Handler.ServeFirst(s, conn, first):
		s.ToHTTP(conn)
	}
}

// Gate puts the gate in front of a connection.
func (s *Socket) Gate(conn net.Conn) net.Conn { return s.gate(conn, s.Config()) }

// gate is Gate under these settings; c is nil if the address is no longer configured.
func (s *Socket) gate(conn net.Conn, c *Config) net.Conn {
	var gate net.Conn
	gate = h1.Wrap(conn, s.HeadLimits(), func(status int, reason string) (id string) {
		s.CountRefused(BadRequest)
		return s.options.Handler.LogRefused(c, gate, status, reason)
	})
	return gate
}

// Dismiss closes a pending connection and releases its slot.
func (s *Socket) Dismiss(conn net.Conn) {
	_ = conn.Close()
	s.limiter.release()
}
