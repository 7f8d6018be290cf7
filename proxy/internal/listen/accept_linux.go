package listen

// Accepting for the event loops: a connection that stays a plain descriptor costs no
// net.Conn and no place in Go's poller.

import (
	"log/slog"
	"net"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// fdAcceptor accepts connections as descriptors; nil where that is impossible.
type fdAcceptor struct{ *tunnel.Acceptor }

func newFDAcceptor(ln net.Listener) *fdAcceptor {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil
	}
	a, err := tunnel.NewAcceptor(tcp)
	if err != nil {
		return nil
	}
	return &fdAcceptor{a}
}

func (a *fdAcceptor) close() {
	if a != nil {
		a.Close()
	}
}

// acceptOnLoop accepts one connection and gives it to an event loop. done is false,
// and nothing was accepted, if the listener does not use event loops.
func (s *Socket) acceptOnLoop() (done bool, err error) {
	if s.loops == nil || !s.usesLoop() {
		return false, nil
	}
	fd, peer, err := s.loops.Accept()
	if err != nil {
		return true, err
	}
	// The settings may have changed while Accept waited.
	if !s.usesLoop() || !s.options.Handler.ServeOnLoop(s, fd, peer) {
		s.serveFD(fd)
	}
	return true, nil
}

func (s *Socket) usesLoop() bool {
	c := s.Config()
	return c != nil && c.Loop
}

// serveFD is serve for a connection that was accepted as a descriptor.
func (s *Socket) serveFD(fd int) {
	conn, err := tunnel.Conn(fd)
	if err != nil {
		s.CountRefused(NoDescriptor)
		s.options.Handler.LogLost(s.Config(), "accepted connection lost", slog.Any("error", err))
		s.limiter.release()
		return
	}
	if conn.RemoteAddr() == nil { // a connection that was reset has no address
		s.Dismiss(conn)
		return
	}
	s.serve(conn)
}
