package proxytest

// Backends on net/http: a WebSocket echo, and a server that responds with the request.

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// EchoOptions of an echo server.
type EchoOptions struct {
	Subprotocols []string // supported, in order of preference
	Compression  bool     // permessage-deflate, if the client offers it
	TLS          *Certificate
	Unix         bool // listen on a unix socket
	SameOrigin   bool // an Origin whose host is not the request's Host is answered 403
}

// Echo is a WebSocket server that returns each message as it came, with its
// type. It ends with the test.
type Echo struct {
	*Server

	mu       sync.Mutex // guards requests
	requests []*http.Request
}

// EchoServer starts an echo on every path.
func EchoServer(t testing.TB, options EchoOptions) *Echo {
	t.Helper()
	checkOrigin := func(*http.Request) bool { return true }
	if options.SameOrigin {
		checkOrigin = nil // gorilla's own
	}
	upgrader := websocket.Upgrader{
		Subprotocols:      options.Subprotocols,
		EnableCompression: options.Compression,
		CheckOrigin:       checkOrigin,
	}
	echo := new(Echo)
	echo.Server = serve(t, options.TLS, options.Unix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		echo.remember(r)
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has answered
		}
		defer conn.Close()
		defer echo.tunnels.track(conn.NetConn())()
		copyMessages(conn)
	}))
	return echo
}

func copyMessages(conn *websocket.Conn) {
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func (e *Echo) remember(r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests = append(e.requests, r)
}

// Requests is all handshakes so far, refused ones too.
func (e *Echo) Requests() []*http.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*http.Request(nil), e.requests...)
}

// Seen is a request as Mirror received it.
type Seen struct {
	Method   string
	Target   string // of the request line
	Host     string
	Proto    string
	Header   http.Header
	Trailer  http.Header
	Body     string
	Length   int64    // Content-Length; -1 for chunked
	Encoding []string // Transfer-Encoding
	Remote   string   // the address it came from: equal for requests on one connection
}

// Mirror starts an HTTP server that responds with a Seen in JSON.
func Mirror(t testing.TB) *Server {
	t.Helper()
	return Serve(t, http.HandlerFunc(mirror))
}

func mirror(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(Seen{
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: r.Proto,
		Header: r.Header, Trailer: r.Trailer, Body: string(body),
		Length: r.ContentLength, Encoding: r.TransferEncoding, Remote: r.RemoteAddr,
	})
}

// Server is an HTTP server that ends with the test, and its hijacked
// connections with it.
type Server struct {
	*httptest.Server
	Addr string // host:port, or the socket's path

	tunnels tunnels
}

// tunnels are the hijacked connections, which net/http no longer knows.
type tunnels struct {
	mu     sync.Mutex // guards both
	conns  map[net.Conn]bool
	closed bool
}

// WS is the server's address as a ws:// or wss:// URL without a path.
func (s *Server) WS() string { return "ws" + strings.TrimPrefix(s.URL, "http") }

// track closes conn with the others; the returned function forgets it.
func (ts *tunnels) track(conn net.Conn) (forget func()) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		conn.Close()
	}
	ts.conns[conn] = true
	return func() {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		delete(ts.conns, conn)
	}
}

func (ts *tunnels) cut(forGood bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.closed = forGood
	for conn := range ts.conns {
		conn.Close()
	}
}

// CutTunnels closes every open tunnel's connection without a Close frame.
func (s *Server) CutTunnels() { s.tunnels.cut(false) }

// Serve starts an HTTP/1.1 server on a loopback port.
func Serve(t testing.TB, handler http.Handler) *Server {
	t.Helper()
	return serve(t, nil, false, handler)
}

// ServeTLS is Serve with TLS. With certificate.Clients set, clients need a certificate.
func ServeTLS(t testing.TB, certificate *Certificate, handler http.Handler) *Server {
	t.Helper()
	return serve(t, certificate, false, handler)
}

// ServeUnix is Serve on a unix socket.
func ServeUnix(t testing.TB, handler http.Handler) *Server {
	t.Helper()
	return serve(t, nil, true, handler)
}

func serve(t testing.TB, certificate *Certificate, unix bool, handler http.Handler) *Server {
	t.Helper()
	s := &Server{Server: httptest.NewUnstartedServer(handler), tunnels: tunnels{conns: map[net.Conn]bool{}}}
	s.Config.ErrorLog = discard
	if unix {
		s.Listener.Close()
		s.Listener = listenUnix(t)
	}
	if certificate != nil {
		s.TLS = certificate.ServerConfig()
		s.StartTLS()
	} else {
		s.Start()
	}
	s.Addr = s.Listener.Addr().String()
	t.Cleanup(func() {
		s.tunnels.cut(true)
		s.CloseClientConnections()
		s.Close()
	})
	return s
}
