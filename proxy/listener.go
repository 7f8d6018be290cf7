package proxy

// Listening sockets: each outlives every reload that keeps its address, whatever
// else about its listener changes. Closing one on a reload would lose the
// connections that the kernel has queued for it.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// listener is one listener's settings as of one Table. Immutable.
type listener struct {
	name    string
	address string // as written: "host:port" or "unix:/path"
	limits  listenerLimits

	tls      *tls.Config // nil: plain
	clientCA authorities // who vouches for clients
}

type listenerLimits struct {
	head        h1.Limits
	connections int
}

// key is the socket that serves this listener: its address, so that a renamed
// listener keeps its socket. Port 0 is a different port each time.
func (l *listener) key() string {
	if strings.HasSuffix(l.address, ":0") {
		return l.name + " " + l.address
	}
	return l.address
}

// socket is one bound address and the HTTP server on it.
type socket struct {
	key    string
	owner  *Server
	ln     net.Listener
	server *http.Server
	slots  slots
	ready  chan net.Conn // accepted, TLS done: what server accepts
	closed chan struct{}
	once   sync.Once

	visitors  *visitors
	newcomers newcomers
	life      context.Context // of what is done for newcomers; ends when it is to be cut
	end       context.CancelFunc
}

// listen binds the listener's address. It accepts nothing yet.
func (s *Server) listen(l *listener) (*socket, error) {
	ln, err := Listen(l.address)
	if err != nil {
		return nil, err
	}
	k := &socket{key: l.key(), owner: s, ln: ln, ready: make(chan net.Conn), closed: make(chan struct{})}
	k.slots.freed.L, k.slots.released = &k.slots.mu, make(chan struct{}, 1)
	k.visitors = newVisitors(ln)
	k.newcomers.gone = make(chan struct{})
	k.server = &http.Server{
		Handler:     http.HandlerFunc(k.serve),
		IdleTimeout: 2 * time.Minute,
		// The gate judges HTTP/1.1 by the listener's own limit; this is for HTTP/2.
		MaxHeaderBytes: 1 << 20,
		// OPTIONS * is about a server, and there is no telling which.
		DisableGeneralOptionsHandler: true,
		ConnContext:                  connContext,
		HTTP2:                        &http.HTTP2Config{WriteByteTimeout: h1.DefaultSilence, MaxReadFrameSize: 16 << 10},
		ConnState:                    k.connState,
		ErrorLog:                     DebugLog(s.log),
	}
	return k, nil
}

// Listen listens on "host:port" or "unix:/path". A unix socket that nobody
// listens on any more is what a killed process leaves behind: it is replaced.
func Listen(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return tunnel.Listen(address)
	}
	ln, err := net.Listen("unix", path)
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) || !abandoned(path) {
		return ln, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// start begins to accept. It returns at once.
func (k *socket) start() {
	k.life, k.end = context.WithCancel(k.owner.life)
	go k.acceptLoop()
	go func() { _ = k.server.Serve(socketListener{k}) }()
}

// stop closes the listening socket and the idle connections, and waits for the
// requests in flight until ctx is done. Tunnels are not the socket's any more.
func (k *socket) stop(ctx context.Context) {
	k.close()
	k.seeNewcomersOff(ctx)
	if k.server.Shutdown(ctx) != nil {
		_ = k.server.Close()
	}
}

func (k *socket) close() {
	k.once.Do(func() {
		close(k.closed)
		k.visitors.close()
		_ = k.ln.Close()
		k.slots.close()
		k.newcomers.close()
	})
}

// listener is the socket's listener in the current Table, nil when it has none.
func (k *socket) listener() *listener {
	if t := k.owner.current(); t != nil {
		return t.sockets[k.key]
	}
	return nil
}

// acceptLoop accepts until the socket is closed. Out of descriptors it waits,
// says so once, and goes on as soon as there is one.
func (k *socket) acceptLoop() {
	var delay time.Duration
	for k.slots.acquire(k.limit) {
		err := k.accept()
		if err == nil {
			if delay > 0 {
				k.owner.log.Info("accepting again", "address", k.ln.Addr().String())
			}
			delay = 0
			continue
		}
		k.slots.giveBack()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if delay == 0 {
			k.owner.log.Error("cannot accept connections, waiting", "address", k.ln.Addr().String(), "error", err)
		}
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(delay):
		case <-k.slots.released: // and with it perhaps what was missing
		case <-k.closed:
			return
		}
	}
}

// accept accepts one connection and sees to it.
func (k *socket) accept() error {
	if done, err := k.acceptVisit(); done {
		return err
	}
	conn, err := k.ln.Accept()
	if err == nil {
		k.welcome(conn)
	}
	return err
}

// headLimits bound a request's head.
func (k *socket) headLimits() h1.Limits {
	if l := k.listener(); l != nil {
		return l.limits.head.WithDefaults()
	}
	return h1.Limits{}.WithDefaults()
}

func (k *socket) limit() int {
	if l := k.listener(); l != nil {
		return l.limits.connections
	}
	return 0
}

// welcome puts an accepted connection behind the gate, after TLS where the
// listener has it, and lets its first request be looked at.
func (k *socket) welcome(conn net.Conn) {
	l := k.listener()
	if l == nil { // the address has just left the table
		k.dismiss(conn)
		return
	}
	if l.tls != nil {
		go k.handshakeTLS(conn, l)
		return
	}
	go k.receive(k.gate(conn, l))
}

// gate is the gate in front of a connection; l is nil if the address has left the
// table since.
func (k *socket) gate(conn net.Conn, l *listener) net.Conn {
	var limits h1.Limits
	name := ""
	if l != nil {
		limits, name = l.limits.head, l.name
	}
	var gate net.Conn
	gate = h1.Wrap(conn, limits, func(status int, reason string) (id string) {
		id = newID()
		k.owner.repeats.log(k.owner.log, slog.LevelInfo, repeatKind{"request refused", name}, slog.String("id", id), slog.String("listener", name),
			slog.String("client", clientText(connAddr(gate).Addr())), slog.Int("status", status), slog.String("error", reason))
		return id
	})
	return gate
}

// handshakeTLS ends TLS. An HTTP/2 connection stays a plain *tls.Conn, which is
// how net/http recognises it; HTTP/1.1 goes through the gate.
func (k *socket) handshakeTLS(conn net.Conn, l *listener) {
	ctx, cancel := context.WithTimeout(context.Background(), l.limits.head.HeadTimeout)
	defer cancel()
	tc := tls.Server(tunnel.Under(conn), l.tls)
	if err := tc.HandshakeContext(ctx); err != nil {
		k.owner.log.Debug("TLS handshake", "listener", l.name, "client", conn.RemoteAddr().String(), "error", err)
		answerPlaintext(err)
		k.dismiss(conn)
		return
	}
	if tc.ConnectionState().NegotiatedProtocol == "h2" {
		k.admit(tc)
		return
	}
	k.receive(k.gate(tc, l))
}

// answerPlaintext tells a client that spoke HTTP to a TLS listener what is wrong.
func answerPlaintext(err error) {
	var header tls.RecordHeaderError
	if !errors.As(err, &header) || header.Conn == nil || !looksLikeHTTP(header.RecordHeader) {
		return
	}
	const text = "400 Bad Request: this listener speaks TLS; use https:// or wss://\n"
	_ = header.Conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(header.Conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	// Closed with bytes unread, a connection is reset, and the client may lose
	// the answer (RFC 9112, section 9.6).
	if half, ok := header.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		_, _ = io.CopyN(io.Discard, header.Conn, 64<<10)
	}
}

// looksLikeHTTP says whether a connection's first bytes are a method's: three
// upper-case letters at least. A TLS record begins with a control byte.
func looksLikeHTTP(first [5]byte) bool {
	for _, c := range first[:3] {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// admit hands a connection to the HTTP server.
func (k *socket) admit(conn net.Conn) {
	select {
	case k.ready <- conn:
	case <-k.newcomers.gone:
		k.dismiss(conn)
	}
}

func (k *socket) dismiss(conn net.Conn) {
	_ = conn.Close()
	k.slots.release()
}

// connState counts a connection out when net/http closes it. One that was
// hijacked is the tunnel's, which counts it out at its own end.
func (k *socket) connState(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		dropLeft(conn)
		k.slots.release()
	}
}

// socketListener is the net.Listener that the HTTP server sees.
type socketListener struct{ *socket }

func (l socketListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.newcomers.gone: // until then one of them may still be for net/http
		return nil, net.ErrClosed
	}
}

func (l socketListener) Close() error {
	l.close()
	return nil
}

func (l socketListener) Addr() net.Addr { return l.ln.Addr() }

// slots counts a socket's open connections, tunnels included, and holds the
// acceptor back at the limit: what waits, waits in the kernel's queue.
type slots struct {
	released chan struct{} // holds a value if there was a release since it was last looked at

	mu    sync.Mutex
	freed sync.Cond // on mu
	open  int       // guarded by mu
	shut  bool      // guarded by mu
}

// acquire waits for a free slot; false says that the socket was closed. limit is asked
// again whenever a slot is freed, because a reload may change it.
func (s *slots) acquire(limit func() int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.shut {
		if n := limit(); n <= 0 || s.open < n {
			s.open++
			return true
		}
		s.freed.Wait()
	}
	return false
}

// release is for a connection that has ended.
func (s *slots) release() {
	s.giveBack()
	select {
	case s.released <- struct{}{}:
	default:
	}
}

// giveBack is for a slot that was not used.
func (s *slots) giveBack() {
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
	s.freed.Signal()
}

func (s *slots) close() {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	s.freed.Broadcast()
}

// recheck wakes an acceptor that waits at a limit which a reload has raised. With
// the lock, or it might come between the acceptor's look at the old limit and its
// wait.
func (s *slots) recheck() {
	s.mu.Lock()
	s.freed.Broadcast()
	s.mu.Unlock()
}

// DebugLog is an http.Server's ErrorLog, at the level debug.
func DebugLog(to *slog.Logger) *log.Logger { return log.New(debugWriter{to}, "", 0) }

// debugWriter gives net/http's own complaints (mostly about clients) to the log.
type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(line []byte) (int, error) {
	w.log.Debug("http server", "message", strings.TrimSpace(string(line)))
	return len(line), nil
}
