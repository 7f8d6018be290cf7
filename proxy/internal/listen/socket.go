package listen

// Binding an address, and the life of the Socket that is bound to it. Closing a
// Socket on a reload would lose the connections that the kernel has queued for it.

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// Socket is one bound address and the HTTP server on it. Start is called at most
// once; all other methods are safe for concurrent use.
type Socket struct {
	// Pending are the accepted connections that are not net/http's or a tunnel's.
	Pending PendingConns

	key string
	// headLimits are of the Config that it was made for, see HeadLimits.
	headLimits h1.Limits
	options    Options
	ln         net.Listener
	server     *http.Server
	limiter    connLimiter
	ready      chan net.Conn // accepted, TLS done: what server accepts
	closed     chan struct{}
	once       sync.Once
	loops      *fdAcceptor // nil where there is none
	refused    [Causes]atomic.Uint64

	// Of a unix socket.
	file  SocketFile  // as of the last Reload, whose alone it is
	bound fs.FileInfo // the socket's file
}

// New binds the address of c. The Socket accepts nothing before Start.
func New(c *Config, o Options) (*Socket, error) {
	ln, err := Listen(c.Address, c.Socket)
	if err != nil {
		return nil, err
	}
	s := newSocket(ln, c, o)
	if unix, ok := ln.Addr().(*net.UnixAddr); ok {
		s.file = c.Socket
		s.bound, _ = os.Lstat(unix.Name) // of one that has gone nothing is changed
	}
	return s, nil
}

func newSocket(ln net.Listener, c *Config, o Options) *Socket {
	s := &Socket{key: c.Key(), headLimits: c.Limits.Head, options: o, ln: ln, ready: make(chan net.Conn), closed: make(chan struct{})}
	s.limiter.init()
	s.Pending.init()
	s.loops = newFDAcceptor(ln)
	s.server = newHTTPServer(s)
	return s
}

// Listen listens on "host:port" or "unix:/path"; f is for the latter.
func Listen(address string, f SocketFile) (net.Listener, error) {
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		return listenUnix(path, f)
	}
	return tunnel.Listen(address)
}

// Start begins to accept, and returns at once. When ctx ends, pending connections
// are cut.
func (s *Socket) Start(ctx context.Context) {
	context.AfterFunc(ctx, s.Pending.cut)
	go s.acceptLoop()
	go func() { _ = s.server.Serve(httpListener{s}) }()
}

// Stop closes the listening socket and the idle connections, and waits for the
// requests in flight until ctx is done. It does not wait for tunnels.
func (s *Socket) Stop(ctx context.Context) {
	s.Close()
	s.drainPending(ctx)
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
}

// Close closes the listening socket. Requests in flight go on.
func (s *Socket) Close() {
	s.once.Do(func() {
		close(s.closed)
		s.loops.close()
		_ = s.ln.Close()
		s.limiter.close()
		s.Pending.close()
	})
}

// drainPending waits for the pending connections of a closed Socket, and cuts them
// when ctx ends.
func (s *Socket) drainPending(ctx context.Context) {
	select {
	case <-s.Pending.none:
	case <-ctx.Done():
		s.Pending.cut()
	}
}

// Key is that of the Config it was made for.
func (s *Socket) Key() string { return s.key }

// Addr is the address it is bound to.
func (s *Socket) Addr() net.Addr { return s.ln.Addr() }

// Slot is that of one accepted connection.
func (s *Socket) Slot() Slot { return Slot{&s.limiter} }

// Connections is how many are open, tunnels included.
func (s *Socket) Connections() int { return s.limiter.connections() }

// Cause is why a connection was refused.
type Cause int

const (
	BadTLS       Cause = iota // its TLS handshake failed
	BadRequest                // what it sent is no HTTP that the proxy reads
	NoDescriptor              // there was none left
	Causes                    // how many there are
)

// CountRefused counts a connection that is refused.
func (s *Socket) CountRefused(why Cause) { s.refused[why].Add(1) }

// Refused is how many connections were refused.
func (s *Socket) Refused(why Cause) uint64 { return s.refused[why].Load() }

// Reload applies a changed limit to a waiting accept loop, and a changed mode or group to
// a unix socket. One call at a time.
func (s *Socket) Reload() error {
	s.limiter.recheck()
	c := s.Config()
	if c == nil || s.bound == nil || c.Socket == s.file {
		return nil
	}
	s.file = c.Socket
	return s.changeFile(c.Socket)
}

// Config is the current one; nil when the address is no longer configured.
func (s *Socket) Config() *Config { return s.options.Config(s.key) }

// HeadLimits are the current ones, or, when the address is no longer configured, those
// that it began with.
func (s *Socket) HeadLimits() h1.Limits {
	if c := s.Config(); c != nil {
		return c.Limits.Head
	}
	return s.headLimits
}

func (s *Socket) maxConnections() int {
	if c := s.Config(); c != nil {
		return c.Limits.Connections
	}
	return 0
}
