package routefile

import (
	"errors"
	"fmt"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// Pools whose backends are discovered through DNS.

// Resolve is the discovery of a pool's backends. Exactly one of DNS and SRV.
type Resolve struct {
	DNS    string // host:port
	SRV    string // full name: _ws._tcp.chat.example.com
	Server string // host:port of the name server; "" is the system's
	Scheme string // of each backend
	Every  time.Duration

	// For each backend, as in Backend.
	MaxTunnels  int
	MaxRequests int
	TLS         TLSSettings
}

func resolveKeys() []*Key {
	return []*Key{
		key("dns", "A host:port of which every address (A and AAAA) is a backend. The host is used in Host headers and in TLS.",
			text(func(r *Resolve) *string { return &r.DNS }, checkHostPort), example(`"chat.internal:9000"`)),
		key("srv", "A name of which every SRV record is a backend, with its target, port and weight, and its priority as tier.",
			text(func(r *Resolve) *string { return &r.SRV }, checkService), example("_ws._tcp.chat.internal")),
		key("server", "The name server to query, host:port, instead of the system's, with fully qualified names. It resolves SRV targets too, and each of their addresses is a backend.",
			text(func(r *Resolve) *string { return &r.Server }, checkHostPort), example(`"127.0.0.1:8600"`)),
		key("scheme", "The scheme of the backends.",
			text(func(r *Resolve) *string { return &r.Scheme }, nil), enum("ws", "wss", "http", "https"), byDefault("ws"), example("wss")),
		key("every", "Time between two lookups, varied by a tenth. A failed lookup changes nothing.",
			duration(func(r *Resolve) *dur { return &r.Every }, false), byDefault("30s"), example("10s")),
		key("max_tunnels", "Maximum number of open tunnels to each backend.",
			count(func(r *Resolve) *int { return &r.MaxTunnels }, true), byDefault("off"), example("5000")),
		key("max_requests", "Maximum number of concurrent requests to each backend, without tunnels.",
			count(func(r *Resolve) *int { return &r.MaxRequests }, true), byDefault("off"), example("200")),
		key("tls", "TLS to the backends. A key set here overrides that of the route's backend_tls.",
			mapping(func(r *Resolve) *TLSSettings { return &r.TLS }, tlsKeys(false)...), together("certificate", "key"), example("{ca: backends.pem}")),
	}
}

// checkHostPort requires a port, as there is no default one.
func checkHostPort(s string) error {
	if err := checkAuthority(s); err != nil {
		return err
	}
	if _, _, ported := httpsyntax.CutPort(s); !ported {
		return fmt.Errorf("has no port: write %q, for example", s+":9000")
	}
	return nil
}

// checkService accepts a name whose labels may begin with an underscore (RFC 2782).
func checkService(s string) error {
	if s == "" || len(s) > 253 {
		return errors.New("wanted a name such as _ws._tcp.chat.example.com")
	}
	for i := range len(s) {
		if c := s[i]; !httpsyntax.IsAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return errors.New("wanted a name such as _ws._tcp.chat.example.com")
		}
	}
	return nil
}

// checkResolve reports mistakes that several keys make together.
func (c *checker) checkResolve(p placed[*Pool]) {
	r := p.it.Resolve
	if r == nil {
		return
	}
	if scheme := overlayPart(r, builtIn.pool.Resolve).Scheme; r.TLS != (TLSSettings{}) && scheme != "wss" && scheme != "https" {
		c.at(p.file, []string{"pools", p.it.Name, "resolve", "tls"}, recordOf("pool", p.it.Name),
			"resolve.tls has no effect: the scheme %s uses no TLS, wanted wss or https", scheme)
	}
}
