// Package listen binds addresses and accepts connections, up to the point where a
// request can be handled.
//
// A [Socket] is one bound address with an HTTP server on it. An accepted connection
// takes a slot of the limiter (conn_limiter.go), is pending until its first request
// is there (pending.go), and then goes one of three ways (accept.go): an event loop of
// the tunnel engine, the [Handler] directly, or net/http's server (http_server.go).
// TLS is ended in between (listener_tls.go).
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
)

// Config is one listener's settings. Immutable.
type Config struct {
	Name    string
	Address string // as written: "host:port" or "unix:/path"
	Limits  Limits

	TLS      *tls.Config // nil: plain
	ClientCA ClientCAs   // nil: clients need no certificate

	// Loop says that handshakes may be made on an event loop: the listener is plain,
	// and some route leads to backends that a loop can dial.
	Loop bool
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
	// ServeOnLoop serves the accepted connection fd on an event loop. If it returns
	// false, it has done nothing, and the Socket serves the connection.
	ServeOnLoop(s *Socket, fd int, peer netip.AddrPort) bool
	// ServeFirst serves a connection whose first request has a head that
	// [h1.Conn.FirstRequest] has returned. If it returns false, it has done nothing, and
	// net/http reads the request.
	ServeFirst(s *Socket, conn net.Conn, first h1.FirstRequest) bool
	// ServeHTTP answers a request that net/http has read. A [Deferred] result of
	// ServeFirst is in the gate.
	ServeHTTP(s *Socket, w http.ResponseWriter, r *http.Request)
	// LogRefused logs a request that the gate refuses and returns the request's id. c is
	// nil when the address is no longer configured.
	LogRefused(c *Config, conn net.Conn, status int, reason string) (id string)
	// LogLost logs a connection that was closed for want of a descriptor.
	LogLost(c *Config, msg string, attrs ...slog.Attr)
}

// Deferred is a result that a handler keeps in the gate for ServeHTTP. Drop releases
// it when the connection ends before that.
type Deferred interface{ Drop() }

// Options is what a Socket is made of. All are required.
type Options struct {
	// Config returns the current settings of the Socket with that key, nil if there
	// are none (any more).
	Config  func(key string) *Config
	Handler Handler
	Log     *slog.Logger
}
