package h1

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must come; it decides nothing.
const patience = 20 * time.Second

// gateListener wraps what it accepts, as the proxy's listeners do.
type gateListener struct {
	net.Listener
	limits   Limits
	onRefuse func(int, string) string
}

func (l gateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Wrap(conn, l.limits, l.onRefuse), nil
}

// site is a real http.Server with the gate beneath it.
type site struct {
	t    *testing.T
	addr string
	srv  *http.Server // the last one that serves

	mu      sync.Mutex
	refused []string // "400 reason"
}

func newSite(t *testing.T, handler http.HandlerFunc) *site {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, addr: ln.Addr().String()}
	s.serve(gateListener{ln, testLimits, s.onRefuse}, handler)
	return s
}

func (s *site) serve(ln net.Listener, handler http.Handler) {
	srv := &http.Server{Handler: handler, ConnContext: NewContext, ErrorLog: log.New(io.Discard, "", 0)}
	s.srv = srv
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(ln) })
	s.t.Cleanup(func() { srv.Close(); wg.Wait() })
}

func (s *site) onRefuse(status int, reason string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, fmt.Sprint(status, " ", reason))
	return "id"
}

func (s *site) refusals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.refused...)
}

func (s *site) dial() *client {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return newClient(s.t, conn)
}

// client speaks to a site byte by byte.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func newClient(t *testing.T, conn net.Conn) *client {
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &client{conn, t, bufio.NewReader(conn)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// answer reads one answer with its body.
func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("answer's body: %v", err)
	}
	return resp, string(body)
}

// expect reads one answer and compares status and body.
func (c *client) expect(status int, body string) *http.Response {
	c.t.Helper()
	resp, got := c.answer()
	if resp.StatusCode != status || got != body {
		c.t.Fatalf("answer %d %q, want %d %q", resp.StatusCode, got, status, body)
	}
	return resp
}

// expectEnd wants an orderly end: not a reset, which could have overtaken an
// answer, and nothing more.
func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil {
		c.t.Fatalf("%q, %v behind the last answer, want an end of file", rest, err)
	}
}

// told is the body of a refusal, for a site whose requests all have the id "id".
func told(reason error) string {
	v := reason.(*Violation)
	return fmt.Sprintf("%d %s: %s (request id)\n", v.Status, http.StatusText(v.Status), v.Reason)
}

func TestServerRefuses(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("handler called for %s %s", r.Method, r.RequestURI)
	})
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.refusals())
			c := s.dial()
			c.t = t
			c.send(tt.head)
			resp := c.expect(tt.status, told(tt.reason))
			if !resp.Close {
				t.Error("no Connection: close")
			}
			if allow := resp.Header.Get("Allow"); (allow != "") != (tt.status == 405) {
				t.Errorf("Allow %q with status %d", allow, tt.status)
			}
			c.expectEnd()
			want := fmt.Sprint(tt.status, " ", tt.reason)
			if got := s.refusals()[before:]; len(got) != 1 || got[0] != want {
				t.Errorf("told of %q, want %q once", got, want)
			}
		})
	}
}

// The refusal is readable although the client has more to say.
func TestServerRefusesATalkativeClient(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { t.Error("handler called") })
	for range 20 {
		c := s.dial()
		c.send("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n" + strings.Repeat("z", 64<<10))
		c.expect(400, told(errBareLF))
		c.expectEnd()
	}
}

// describe is a handler that answers with what it was asked.
func describe(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintf(w, "%s %s %s %q %q", r.Method, r.Host, r.RequestURI, body, r.Trailer.Get("T"))
}

func TestServerKeepAlive(t *testing.T) {
	s := newSite(t, describe)
	c := s.dial()
	for i := range 3 {
		c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
		c.expect(200, fmt.Sprintf(`GET a /%d "" ""`, i))
		c.send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		c.expect(200, `POST a /b "abc" ""`)
		c.send("\r\nPOST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n")
		c.expect(200, `POST a /c "abcde" "u"`)
	}
	c.Close()
	if got := s.refusals(); len(got) > 0 {
		t.Errorf("refused %q", got)
	}
}

func TestServerPipelining(t *testing.T) {
	s := newSite(t, describe)
	c := s.dial()
	var sent, want strings.Builder
	for i := range 50 {
		fmt.Fprintf(&sent, "\r\nPOST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i, i)
		fmt.Fprintf(&want, `POST a /%d "abc" ""GET a /%d "" ""`, i, i)
	}
	c.send(sent.String())
	var got strings.Builder
	for range 100 {
		_, body := c.answer()
		got.WriteString(body)
	}
	if got.String() != want.String() {
		t.Errorf("got  %s\nwant %s", got.String(), want.String())
	}
}

// A client that half-closes behind its last request still gets its answers.
func TestServerHalfClose(t *testing.T) {
	s := newSite(t, describe)
	c := s.dial()
	c.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	c.Conn.(*net.TCPConn).CloseWrite()
	c.expect(200, `GET a /1 "" ""`)
	c.expect(200, `GET a /2 "" ""`)
	c.expectEnd()
}

// waitFor polls what only the gate knows, until patience ends.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (c *Conn) earlyBytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.early.len()
}

func (c *Conn) sawEOF() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.eof
}

// What is wrong with the next request must not disturb the one being served.
func TestServerPipelinedViolationWaits(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		g := FromContext(r.Context())
		waitFor(t, "the next head", func() bool { return g.earlyBytes() > 20 })
		if err := r.Context().Err(); err != nil {
			t.Errorf("request in flight: %v", err)
		}
		io.WriteString(w, "well")
	})
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.send("GET / HTTP/1.1\nHost: a\n\n")
	c.expect(200, "well")
	c.expect(400, told(errBareLF))
	c.expectEnd()
}

// A client that leaves cancels its request.
func TestServerNoticesAClientThatLeaves(t *testing.T) {
	leave := map[string]func(*net.TCPConn){
		"reset":                  func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
		"reset after half-close": func(c *net.TCPConn) { c.CloseWrite(); c.SetLinger(0); c.Close() },
	}
	for name, leave := range leave {
		for _, head := range []string{
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
			"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
		} {
			t.Run(name+" "+head, func(t *testing.T) {
				gone := make(chan error, 1)
				s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					FromContext(r.Context()).Resume()
					w.WriteHeader(200)
					w.(http.Flusher).Flush()
					gone <- wait(r)
				})
				c := s.dial()
				c.send(head)
				if _, err := c.r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				leave(c.Conn.(*net.TCPConn))
				if err := <-gone; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func wait(r *http.Request) error {
	select {
	case <-r.Context().Done():
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the request's context was not cancelled")
	}
}

// badBodies break the rules behind a good head.
var badBodies = []struct {
	name, body string
	reason     error
}{
	{"no digits", "\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"sign", "+3\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"0x", "0x3\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"space behind the size", "3 \r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"space before the size", " 3\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"space before the extension", "3 ;x\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"underscore", "3_0\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"17 digits", "00000000000000003\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"size 2^63", "8000000000000000\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"size 2^64-1", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"bare LF behind the size", "3\nabc\r\n0\r\n\r\n", errChunkSize},
	{"bare CR behind the size", "3\rabc\r\n0\r\n\r\n", errChunkSize},
	{"bare LF in an extension", "3;x\ny\r\nabc\r\n0\r\n\r\n", errChunkExtension},
	{"bare CR in an extension", "3;x\ry\r\nabc\r\n0\r\n\r\n", errChunkSize},
	{"NUL in an extension", "3;x\x00\r\nabc\r\n0\r\n\r\n", errChunkExtension},
	{"long extension", "3;" + strings.Repeat("x", maxChunkExtensions+1) + "\r\nabc\r\n0\r\n\r\n", errChunkExtension},
	{"many extensions", strings.Repeat("1;"+strings.Repeat("x", 100)+"\r\na\r\n", 30) + "0\r\n\r\n", errChunkExtension},
	{"bare LF behind the data", "3\r\nabc\n0\r\n\r\n", errChunkEnd},
	{"more data than said", "3\r\nabcd\r\n0\r\n\r\n", errChunkEnd},
	{"bare CR behind the data", "3\r\nabc\rx0\r\n\r\n", errChunkEnd},
	{"bare LF behind the last chunk", "0\n\r\n", errChunkSize},
	{"bare LF behind the trailers", "0\r\n\n", errBareLF},
	{"bare LF in the trailers", "0\r\nX: y\n\r\n", errBareLF},
	{"folded trailer", "0\r\nX: y\r\n z\r\n\r\n", errFold},
	{"trailer without a colon", "0\r\nGET / HTTP/1.1\r\n\r\n", errNoColon},
	{"trailer with a space", "0\r\nX : y\r\n\r\n", errSpaceColon},
	{"trailer Content-Length", "0\r\ncontent-length: 3\r\n\r\n", errTrailerField},
	{"trailer Host", "0\r\nHost: b\r\n\r\n", errTrailerField},
	{"trailer Transfer-Encoding", "0\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n", errTrailerField},
	{"NUL in a trailer", "0\r\nX: \x00\r\n\r\n", errControl},
	{"trailers too large", "0\r\nX: " + strings.Repeat("y", maxTrailerBytes) + "\r\n\r\n", errTrailerSize},
	{"too many trailers", "0\r\n" + strings.Repeat("X: y\r\n", 21) + "\r\n", errHeadFields},
}

// The handler's read of a bad body fails, the handler can tell why and answer,
// and the bytes behind it are no request.
func TestServerFailsBadBodies(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			t.Error("the bytes behind a bad body became a request")
		}
		body, err := io.ReadAll(r.Body)
		v := FromContext(r.Context()).Violation()
		if err == nil || v == nil {
			t.Errorf("body %q, %v, violation %v", body, err, v)
			return
		}
		http.Error(w, v.Reason, v.Status)
	})
	for _, tt := range badBodies {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.refusals())
			c := s.dial()
			c.t = t
			c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + tt.body + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
			resp := c.expect(tt.reason.(*Violation).Status, tt.reason.Error()+"\n")
			if !resp.Close {
				t.Error("no Connection: close")
			}
			c.expectEnd()
			if got := s.refusals()[before:]; len(got) != 1 || !strings.HasSuffix(got[0], tt.reason.Error()) {
				t.Errorf("told of %q, want %q once", got, tt.reason)
			}
		})
	}
}

// A handler that does not look at the body cannot be made to go on behind it.
func TestServerIgnoredBadBodyEnds(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			t.Error("the bytes behind a bad body became a request")
		}
	})
	for _, tt := range badBodies {
		c := s.dial()
		c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + tt.body + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect(200, "")
		c.expectEnd()
	}
}

func TestServerExpectContinue(t *testing.T) {
	s := newSite(t, describe)
	c := s.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	c.expect(100, "")
	c.send("abc")
	c.expect(200, `POST a / "abc" ""`)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.expect(200, `GET a / "" ""`)
}

// Large bodies of both kinds pass unchanged, whatever stands behind them.
func TestServerLargeBodies(t *testing.T) {
	s := newSite(t, describe)
	data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16*5)
	var chunked bytes.Buffer
	for i, rest := 1, data; len(rest) > 0; i++ {
		n := min(len(rest), i*i*37%9000+1)
		fmt.Fprintf(&chunked, "%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	c := s.dial()
	go func() {
		fmt.Fprintf(c, "POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(data), data)
		fmt.Fprintf(c, "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", chunked.Bytes())
		fmt.Fprintf(c, "GET /g HTTP/1.1\r\nHost: a\r\n\r\n")
	}()
	c.expect(200, fmt.Sprintf(`POST a /l %q ""`, data))
	c.expect(200, fmt.Sprintf(`POST a /c %q ""`, data))
	c.expect(200, `GET a /g "" ""`)
}

// An idle connection, and one whose request is being served, hold no buffer.
func TestServerHoldsNoMemoryWhenIdle(t *testing.T) {
	gates := make(chan *Conn, 10)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { gates <- FromContext(r.Context()) })
	c := s.dial()
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
	} {
		c.send(request)
		c.expect(200, "")
		g := <-gates
		g.mu.Lock()
		if g.early != nil {
			t.Errorf("%q: a buffer is held", request)
		}
		g.mu.Unlock()
	}
}

func TestServerTLS(t *testing.T) {
	model := httptest.NewTLSServer(nil) // for its certificate
	model.Close()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.TLS != nil) })
	plain := s.dial()
	plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	plain.expect(200, "false")

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(handshaken{gateListener{tls.NewListener(ln, &tls.Config{Certificates: model.TLS.Certificates}), testLimits, s.onRefuse}},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS != nil && r.TLS.HandshakeComplete && FromContext(r.Context()).NetConn() != nil)
		}))
	conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.expect(200, "true")
	c.send("GET / HTTP/1.1\nHost: a\n\n" + strings.Repeat("z", 32<<10))
	c.expect(400, told(errBareLF))
	c.expectEnd()
}

// handshaken finishes a TLS handshake before net/http sees the connection. It
// does so in Accept, since a test has one client at a time.
type handshaken struct{ net.Listener }

func (l handshaken) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		From(conn).NetConn().(*tls.Conn).Handshake()
	}
	return conn, err
}

// A body that ends early is a client that left, no violation.
func TestServerTruncatedBodies(t *testing.T) {
	failed := make(chan error, 1)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		failed <- err
	})
	for _, rest := range []string{
		"Content-Length: 5\r\n\r\nabc",
		"Content-Length: 5\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nab",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
		"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
	} {
		c := s.dial()
		c.send("POST / HTTP/1.1\r\nHost: a\r\n" + rest)
		c.Conn.(*net.TCPConn).CloseWrite()
		if err := <-failed; err == nil {
			t.Errorf("%q: the body is taken for whole", rest)
		}
		c.Close()
	}
	if got := s.refusals(); len(got) > 0 {
		t.Errorf("refused %q", got)
	}
}

// net/http gives up on a body that nobody reads and closes slowly, for which it
// needs the half-close.
func TestServerUnreadBody(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "no") })
	c := s.dial()
	go io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1000000))
	if resp := c.expect(200, "no"); !resp.Close {
		t.Error("no Connection: close")
	}
	c.expectEnd()
}

// An answer before the end of a body is not taken away by a reset, also where
// the request itself says that the connection closes.
func TestServerUnreadBodyOfAClosingRequest(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "no") })
	c := s.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 100_000))
	c.expect(200, "no")
	c.expectEnd()
}

func TestWithoutAGate(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if From(a) != nil || FromContext(NewContext(t.Context(), a)) != nil {
		t.Error("a gate where there is none")
	}
	if err := Wrap(a, wideLimits, nil).(*Conn).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("half-close of a pipe: %v", err)
	}
}

// TestNames: each request of a connection has its own, and the first spelling counts.
func TestNames(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, strings.Join(FromContext(r.Context()).Names(), " "))
	})
	c := s.dial()
	for _, tt := range []struct{ lines, body, want string }{
		{"SOAPAction: x\r\nAccept: y\r\napi_key: k\r\n", "", "SOAPAction api_key"},
		{"Accept: y\r\n", "", ""},
		{"dnt: 1\r\nX-A: 1\r\nx-a: 2\r\nx-b: 1\r\nX-B: 2\r\ncontent-length: 3\r\n", "abc", "dnt x-b"},
		{"Accept: y\r\n", "", ""},
	} {
		c.send("GET / HTTP/1.1\r\nHost: a\r\n" + tt.lines + "\r\n" + tt.body)
		if _, body := c.answer(); body != tt.want {
			t.Errorf("%q: names %q, want %q", tt.lines, body, tt.want)
		}
	}
}
