// Package h1 is the strict reader of HTTP/1.1 beneath net/http, of requests and of
// answers, with one parser of chunks.
//
// net/http accepts requests that other parsers read differently (a bare LF, a
// Content-Length beside Transfer-Encoding, obs-fold, an absolute form that
// contradicts Host), and its handler cannot see that it did. A [Conn] wraps the
// client's connection, validates every request head, follows the body's framing
// and passes the very same bytes on. At a violation it answers for itself
// (400, or 431 for a head over its limits) once no answer of net/http's is under
// way, and the connection closes; nothing of the bad request reaches a handler.
//
// Invariant: whatever the gate lets through, net/http reads the same way:
// same method, target, host, headers, body. The reverse need not hold. A
// differential fuzz test keeps it true.
//
// A request that asks for an upgrade is the one place where the bytes behind a
// head may not be HTTP: the gate then holds them back (bounded) until the
// handler calls [Conn.Detach] (a tunnel begins), [Conn.Resume] (the request is
// no upgrade after all, HTTP goes on), or the answer is written (held bytes are
// dropped with the connection).
//
// How a server uses it:
//
//	srv := &http.Server{
//		ConnContext:    h1.NewContext,
//		MaxHeaderBytes: ..., // no less than Limits.HeadBytes
//		IdleTimeout:    ..., // between requests: net/http's own
//	}
//	srv.Serve(listener whose Accept returns h1.Wrap(conn, limits, onRefuse))
//
// A *tls.Conn is wrapped after its handshake, and only when it negotiated no
// HTTP/2. Server.ReadHeaderTimeout stays zero: the gate has its own clock,
// which answers 408. Unencrypted HTTP/2 is not spoken through a gate. While a
// later head is still incomplete, net/http takes its connection for idle, so that
// Server.Shutdown closes it.
//
// A server that can serve some requests without net/http looks at what a connection
// brings first before there is a Conn: [PlainUpgrade]. Otherwise it gives the Conn what it
// has read ([Conn.AdoptState]).
//
// Towards a backend, a [BackendConn] is to http.Transport what a Conn is to
// http.Server: it follows each answer's framing and passes nothing on that is not the
// answer's. [HandshakeReader] reads the answer to a request for an upgrade.
//
// The files: conn.go is the client's connection; read_head.go and read_body.go are how
// it reads. hold.go is what happens behind an upgrade request, first.go how the first
// request is read without net/http, deadline.go and silence.go the clocks, refuse.go
// how a refusal is told, buffer.go the memory. backend_conn.go is a backend's
// connection, handshake.go reads one handshake's answer. The parsers are pure:
// request.go and target.go for request heads, response.go for answers, chunked.go for
// the chunks of both. http2.go holds requests over HTTP/2 to the same rules.
package h1
