package listen

// Listeners of one routes file that want one address under two names
// ("127.0.0.1:8080" and "localhost:8080"). Their texts do not show it. Binding them
// does not show it either while an old socket is still in the way of both.

import (
	"fmt"
	"net"
)

// CheckConflict returns an error that names a listener among all which would have c's
// address. Of two that are not bound yet, the one later by name is rejected, so that
// the same file has the same mistake each time.
func CheckConflict(c *Config, all map[string]*Config, bound func(key string) bool) error {
	addr := parseBindAddr(c.Address)
	for key, other := range all {
		later := !bound(key) && other.Name > c.Name
		if other != c && !later && addr.conflicts(parseBindAddr(other.Address)) {
			return fmt.Errorf("address %q is that of listener %q, %q", c.Address, other.Name, other.Address)
		}
	}
	return nil
}

// bindAddr is where a listener would listen. The zero bindAddr conflicts with nothing:
// a unix socket, or a name that cannot be resolved now.
type bindAddr struct {
	ip   net.IP // empty: every address
	port int    // 0: any
}

func parseBindAddr(address string) bindAddr {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return bindAddr{}
	}
	return bindAddr{ip: addr.IP, port: addr.Port}
}

func (a bindAddr) isWildcard() bool { return len(a.ip) == 0 || a.ip.IsUnspecified() }

func (a bindAddr) conflicts(other bindAddr) bool {
	return a.port != 0 && a.port == other.port &&
		(a.isWildcard() || other.isWildcard() || a.ip.Equal(other.ip))
}
