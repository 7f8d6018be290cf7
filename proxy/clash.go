package proxy

// Listeners of one Table that want one address under two names ("127.0.0.1:8080"
// and "localhost:8080"). Their texts do not show it, and where a socket of before
// still stands in the way of both, nor does binding them.

import (
	"fmt"
	"net"
)

// clashLocked names a listener of t that l would find in its way, were all sockets
// that t has no use for gone. Of two that are not bound yet, the later by name is
// in the wrong, so that the same file is the same mistake each time.
func (s *Server) clashLocked(t *Table, l *listener) error {
	place := resolve(l.address)
	for key, other := range t.sockets {
		comes := s.sockets[key] == nil && other.name > l.name
		if other != l && !comes && place.clashes(resolve(other.address)) {
			return fmt.Errorf("address %q is that of listener %q, %q", l.address, other.name, other.address)
		}
	}
	return nil
}

// place is where a listener would listen. The zero place clashes with nothing: a
// socket of the file system, or a name that nobody can resolve now.
type place struct {
	ip   net.IP // empty: every address
	port int    // 0: any
}

func resolve(address string) place {
	found, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return place{}
	}
	return place{ip: found.IP, port: found.Port}
}

func (p place) everywhere() bool { return len(p.ip) == 0 || p.ip.IsUnspecified() }

func (p place) clashes(other place) bool {
	return p.port != 0 && p.port == other.port &&
		(p.everywhere() || other.everywhere() || p.ip.Equal(other.ip))
}
