// Package listen binds addresses and accepts connections, up to the point where a
// request can be handled.
//
// A [Socket] is one bound address with an HTTP server on it. An accepted connection
// takes a slot of the limiter (conn_limiter.go), makes its TLS handshake where the
// listener has TLS (listener_tls.go), and goes to an event loop of the tunnel engine, where
// there is one, or else to net/http's server (accept.go, http_server.go). A loop passes on
// to net/http what it cannot serve. Until its first request is served the connection is
// pending (pending.go).
//
// A Socket outlives every reload that keeps its address. It looks up its [Config]
// each time it needs a setting, and knows nothing of routes.
package listen

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// Config is one listener's settings. Immutable.
type Config struct {
	Name    string
	Address string     // as written: "host:port" or "unix:/path"
	Socket  SocketFile // of a unix socket
	Limits  Limits

	TLS      *tls.Config // nil: plain
	ClientCA ClientCAs   // nil: clients need no certificate
}

// Limits of a listener's connections.
type Limits struct {
	Head        h1.Limits
	Connections int // open at once, tunnels included; not positive is no limit
}

// Key identifies the Socket that serves this listener. It is the address, so that a
// renamed listener keeps its Socket; port 0 is a different port each time.
func (c *Config) Key() string {
	if strings.HasSuffix(c.Address, ":0") {
		return c.Name + " " + c.Address
	}
	return c.Address
}

// Handler serves the connections and requests of a Socket. Its methods are called
// concurrently.
type Handler interface {
	// ServeOnLoop serves an accepted connection on an event loop. It is pending as old,
	// after its TLS handshake, or not yet if that is nil. peer is not valid for a unix
	// socket. If it returns false, it has done nothing, and net/http serves the connection.
	ServeOnLoop(s *Socket, old PendingConn, conn tunnel.Descriptor, peer netip.AddrPort) bool
	// ServeHTTP answers a request that net/http has read. The [Deferred] result of one
	// that began on a loop is in the gate.
	ServeHTTP(s *Socket, w http.ResponseWriter, r *http.Request)
	// LogRefused logs a request that the gate refuses and returns the request's id. c is
	// nil when the address is no longer configured.
	LogRefused(c *Config, conn net.Conn, status int, reason string) (id string)
	// LogLost logs a connection that was closed for want of a descriptor.
	LogLost(c *Config, msg string, attrs ...slog.Attr)
}

// Deferred is a result that waits for ServeHTTP. Drop releases it when the connection ends
// before that.
type Deferred interface{ Drop() }

// Options is what a Socket is made of. All are required.
type Options struct {
	// Config returns the current settings of the Socket with that key, nil if there
	// are none (any more).
	Config  func(key string) *Config
	Handler Handler
	Log     *slog.Logger
}
