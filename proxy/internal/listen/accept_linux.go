package listen

// Accepting for the event loops: a connection that stays a plain descriptor costs no
// net.Conn and no place in Go's poller.

import (
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

// acceptOnLoop accepts one connection and gives it to an event loop. done is false, and
// nothing was accepted, if the listener cannot do so.
func (s *Socket) acceptOnLoop() (done bool, err error) {
	if s.loops == nil || !s.isPlain() {
		return false, nil
	}
	d, peer, err := s.loops.Accept()
	if err != nil {
		return true, err
	}
	// The settings may have changed while Accept waited.
	if s.isPlain() && s.options.Handler.ServeOnLoop(s, nil, d, peer) {
		return true, nil
	}
	conn, err := d.Conn()
	switch {
	case err != nil:
		s.lose(err)
	case conn.RemoteAddr() == nil: // a connection that was reset has no address
		s.Dismiss(conn)
	default:
		go s.serve(conn)
	}
	return true, nil
}

func (s *Socket) isPlain() bool {
	c := s.Config()
	return c != nil && c.TLS == nil
}
