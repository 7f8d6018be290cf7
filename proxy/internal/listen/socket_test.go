package listen

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

const patience = proxytest.Patience

// fake is a Handler that answers with the way by which a request has come.
type fake struct {
	onLoop  bool     // take connections that could be a loop's
	refused chan int // statuses
	dropped chan struct{}
}

func (f *fake) ServeOnLoop(s *Socket, old PendingConn, d tunnel.Descriptor, peer netip.AddrPort) bool {
	if !f.onLoop {
		return false
	}
	conn, err := d.Conn()
	if err != nil {
		panic(err)
	}
	go func() {
		pending := new(deadlines)
		if !s.Pending.Replace(old, pending) {
			s.Dismiss(conn)
			return
		}
		head := make([]byte, 1<<10)
		n, _ := conn.Read(head)
		if bytes.Contains(head[:n], []byte("back")) {
			s.ToHTTP(pending, conn, peer, time.Time{}, head[:n], f)
			return
		}
		_, _ = io.WriteString(conn, "loop")
		s.Pending.Remove(pending)
		s.Dismiss(conn)
	}()
	return true
}

func (f *fake) ServeHTTP(s *Socket, w http.ResponseWriter, r *http.Request) {
	if conn := HTTP2ConnOf(r.Context()); conn != nil {
		conn.CountAnswered()
	}
	_, _ = io.WriteString(w, r.Proto+" at "+s.Config().Name)
}

func (f *fake) LogRefused(_ *Config, _ net.Conn, status int, _ string) (id string) {
	f.refused <- status
	return "7"
}

func (f *fake) LogLost(*Config, string, ...slog.Attr) {}

func (f *fake) Drop() { f.dropped <- struct{}{} }

// open starts a Socket with these settings, which the returned pointer may change.
func open(t *testing.T, f *fake, c Config) (*Socket, *atomic.Pointer[Config]) {
	t.Helper()
	if c.Address == "" {
		c.Address = "127.0.0.1:0"
	}
	c.Name = "web"
	if head := &c.Limits.Head; head.HeadBytes == 0 {
		*head = h1.Limits{HeadBytes: 32 << 10, Fields: 100, HeadTimeout: patience}
	}
	f.refused, f.dropped = make(chan int, 9), make(chan struct{}, 9)
	var now atomic.Pointer[Config]
	now.Store(&c)
	s, err := New(&c, Options{Config: func(string) *Config { return now.Load() }, Handler: f, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(context.Background())
	t.Cleanup(func() { stop(t, s) })
	return s, &now
}

func stop(t *testing.T, s *Socket) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.Stop(ctx)
	if ctx.Err() != nil {
		t.Error("the socket does not stop")
	}
}

func dial(t *testing.T, s *Socket) net.Conn {
	t.Helper()
	conn, err := net.Dial(s.Addr().Network(), s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func readAll(t *testing.T, conn net.Conn) string {
	t.Helper()
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("read %q, then %v", text, err)
	}
	return string(text)
}

const get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// TestWaysOfAConnection: what a client gets of each way that a connection can take.
func TestWaysOfAConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		fake   fake
		config Config
		send   string
		want   string // in the answer
	}{
		"net/http has ordinary requests":         {fake{}, Config{}, get, "HTTP/1.1 at web"},
		"and what comes over a unix socket":      {fake{}, Config{Address: "unix:" + filepath.Join(t.TempDir(), "s")}, get, "HTTP/1.1 at web"},
		"a loop may take a connection":           {fake{onLoop: true}, Config{}, get, "loop"},
		"of a unix socket, too":                  {fake{onLoop: true}, Config{Address: "unix:" + filepath.Join(t.TempDir(), "l")}, get, "loop"},
		"and give it back with what it has read": {fake{onLoop: true}, Config{}, strings.Replace(get, "/", "/back", 1), "HTTP/1.1 at web"},
		"the gate answers for what it refuses":   {fake{}, Config{}, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request"},
		"a head must keep the listener's limits": {fake{}, Config{Limits: Limits{Head: h1.Limits{HeadBytes: 50, Fields: 100, HeadTimeout: patience}}}, "GET /" + strings.Repeat("x", 99) + " HTTP/1.1\r\n\r\n", "431"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.fake.onLoop && runtime.GOOS != "linux" {
				t.Skip("this system has no event loops")
			}
			s, _ := open(t, &tt.fake, tt.config)
			conn := dial(t, s)
			if _, err := io.WriteString(conn, tt.send); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, conn); !strings.Contains(got, tt.want) {
				t.Errorf("answered %q, want %q in it", got, tt.want)
			}
		})
	}
}

// TestTLSListener: HTTP/1.1 goes through the gate, HTTP/2 does not, and plain HTTP is
// told what is wrong.
func TestTLSListener(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	certificate := authority.Issue([]string{"127.0.0.1"})
	for _, http2 := range []bool{false, true} {
		c := Config{Limits: Limits{Head: h1.Limits{HeadBytes: 32 << 10, Fields: 100, HeadTimeout: patience}}}
		files := TLSFiles{Certificates: []CertificateFiles{{certificate.File, certificate.KeyFile}}, HTTP2: http2}
		if err := c.LoadTLS(files); err != nil {
			t.Fatal(err)
		}
		s, _ := open(t, &fake{}, c)
		for _, asked := range []bool{false, true} {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, ForceAttemptHTTP2: asked}
			resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + s.Addr().String() + "/")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			transport.CloseIdleConnections()
			want := "HTTP/1.1 at web"
			if asked && http2 {
				want = "HTTP/2.0 at web"
			}
			if string(body) != want {
				t.Errorf("HTTP/2 at the listener %v, at the client %v: answered %q, want %q", http2, asked, body, want)
			}
		}
		conn := dial(t, s)
		_, _ = io.WriteString(conn, get)
		_ = conn.(*net.TCPConn).CloseWrite()
		if got := readAll(t, conn); !strings.Contains(got, "speaks TLS") {
			t.Errorf("plain HTTP is answered %q", got)
		}
	}
}

// TestLoadTLSMistakes: every file that cannot be used is named.
func TestLoadTLSMistakes(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	good := authority.Issue([]string{"a"})
	pair := CertificateFiles{good.File, good.KeyFile}
	for want, files := range map[string]TLSFiles{
		"no.pem":            {Certificates: []CertificateFiles{{"no.pem", good.KeyFile}}},
		"no.key":            {Certificates: []CertificateFiles{{good.File, "no.key"}}},
		"private key":       {Certificates: []CertificateFiles{{good.File, good.File}}},
		"client_ca":         {Certificates: []CertificateFiles{pair}, ClientCA: "no.pem"},
		"no certificate in": {Certificates: []CertificateFiles{pair}, ClientCA: good.KeyFile},
	} {
		if err := new(Config).LoadTLS(files); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q in it", files, err, want)
		}
	}
}

// TestAccepts: a connection that was opened before an edit is judged by the edit.
func TestAccepts(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	c := Config{}
	if !c.Accepts(nil) || !c.Accepts(&tls.ConnectionState{}) {
		t.Error("a plain listener refuses a connection")
	}
	pair := authority.Issue([]string{"a"})
	if err := c.LoadTLS(TLSFiles{Certificates: []CertificateFiles{{pair.File, pair.KeyFile}}}); err != nil {
		t.Fatal(err)
	}
	if c.Accepts(nil) || !c.Accepts(&tls.ConnectionState{}) {
		t.Error("TLS is not all that a listener with TLS asks for")
	}
	if err := c.LoadTLS(TLSFiles{Certificates: []CertificateFiles{{pair.File, pair.KeyFile}}, ClientCA: authority.File}); err != nil {
		t.Fatal(err)
	}
	if c.Accepts(&tls.ConnectionState{}) {
		t.Error("a client without a certificate is accepted")
	}
}

// TestConnectionLimit: what is over the limit waits until another ends, or a reload
// raises the limit.
func TestConnectionLimit(t *testing.T) {
	for name, free := range map[string]func(*Socket, *atomic.Pointer[Config], net.Conn){
		"another ends": func(_ *Socket, _ *atomic.Pointer[Config], conn net.Conn) { conn.Close() },
		"it is raised": func(s *Socket, now *atomic.Pointer[Config], _ net.Conn) {
			raised := *now.Load()
			raised.Limits.Connections = 2
			now.Store(&raised)
			s.Reload()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := open(t, &fake{}, Config{Limits: Limits{Connections: 1}})
			first := dial(t, s)
			_, _ = io.WriteString(first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if _, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil {
				t.Fatal(err)
			}
			second := dial(t, s)
			_, _ = io.WriteString(second, get)
			_ = second.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err := second.Read(make([]byte, 1)); err == nil {
				t.Error("it is served at the limit")
			}
			_ = second.SetReadDeadline(time.Now().Add(patience))
			free(s, now, first)
			if got := readAll(t, second); !strings.Contains(got, "at web") {
				t.Errorf("answered %q", got)
			}
		})
	}
}

// TestDeferredResultIsDropped: a client that goes before net/http has read its request
// again does not keep what was found for it.
func TestDeferredResultIsDropped(t *testing.T) {
	f := &fake{}
	s, _ := open(t, f, Config{})
	near, far := net.Pipe()
	near.Close()
	pending := new(deadlines)
	s.Pending.Add(pending)
	s.limiter.acquire(s.maxConnections)
	s.ToHTTP(pending, far, netip.AddrPort{}, time.Time{}, []byte("GET / HT"), f)
	select {
	case <-f.dropped:
	case <-time.After(patience):
		t.Error("it is kept")
	}
}

// TestStopEndsTLSHandshakes: a connection whose TLS handshake is under way is pending: it
// has the time of any other that has brought no request when its socket is closed, and no
// more; and one that makes its handshake within that time is served.
func TestStopEndsTLSHandshakes(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	certificate := authority.Issue([]string{"127.0.0.1"})
	files := TLSFiles{Certificates: []CertificateFiles{{certificate.File, certificate.KeyFile}}}
	for name, onLoop := range map[string]bool{"loop": true, "net/http": false} {
		t.Run(name, func(t *testing.T) {
			c := Config{Limits: Limits{Head: h1.Limits{HeadBytes: 32 << 10, Fields: 100, HeadTimeout: time.Hour}}}
			if err := c.LoadTLS(files); err != nil {
				t.Fatal(err)
			}
			s, _ := open(t, &fake{onLoop: onLoop}, c)
			silent, late := dial(t, s), dial(t, s)
			awaitIdle(t, s, 2)
			s.Close()
			tc := tls.Client(late, &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1"})
			_, _ = io.WriteString(tc, get)
			if got := readAll(t, tc); !strings.Contains(got, "at web") && got != "loop" {
				t.Errorf("answered %q", got)
			}
			if _, err := silent.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("it is not ended: %v", err)
			}
			stop(t, s)
		})
	}
}

// awaitIdle waits until so many connections have brought no request.
func awaitIdle(t *testing.T, s *Socket, want int) {
	t.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s.Pending.mu.Lock()
		n := len(s.Pending.idle)
		s.Pending.mu.Unlock()
		if n == want {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%d connections are pending, want %d", n, want)
		}
	}
}

// TestPendingUntilTheHead: a connection that net/http has is pending until its first
// request is there, and ends soon after its socket is closed.
func TestPendingUntilTheHead(t *testing.T) {
	s, _ := open(t, &fake{}, Config{})
	served, half := dial(t, s), dial(t, s)
	_, _ = io.WriteString(half, "GET / HT")
	awaitIdle(t, s, 2)
	_, _ = io.WriteString(served, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(served), nil); err != nil {
		t.Fatal(err)
	}
	awaitIdle(t, s, 1)
	stop(t, s)
	if got := readAll(t, half); got != "" {
		t.Errorf("answered %q", got)
	}
}

// TestStopEndsPending: a connection that brings no request ends soon after its socket is
// closed, and at once when time is over.
func TestStopEndsPending(t *testing.T) {
	s, _ := open(t, &fake{}, Config{})
	conn := dial(t, s)
	awaitIdle(t, s, 1)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	s.Stop(over)
	if got := readAll(t, conn); got != "" {
		t.Errorf("answered %q", got)
	}
	if s.Pending.Add(&deadlines{}) {
		t.Error("a closed socket takes connections")
	}
}

// TestGoneFromTheFile: a socket whose address a reload has just removed serves nothing.
func TestGoneFromTheFile(t *testing.T) {
	s, now := open(t, &fake{}, Config{})
	was := now.Swap(nil)
	conn := dial(t, s)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("it is served")
	}
	if got := s.HeadLimits(); got != was.Limits.Head {
		t.Errorf("its limits are %+v, want those that it began with", got)
	}
	now.Store(was)
}

// TestListenReplacesAbandonedSockets: a killed process leaves its unix socket behind; one
// that is listened on, or a file, is left alone.
func TestListenReplacesAbandonedSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen("unix:"+path, SocketFile{Mode: 0o660, Group: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:"+path, SocketFile{Mode: 0o660, Group: -1}); err == nil {
		t.Error("a socket in use is replaced")
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	again, err := Listen("unix:"+path, SocketFile{Mode: 0o660, Group: -1})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if _, err := Listen("unix:"+t.TempDir(), SocketFile{Mode: 0o660, Group: -1}); err == nil {
		t.Error("a directory is replaced")
	}
}

func TestKey(t *testing.T) {
	for _, tt := range []struct{ name, address, want string }{
		{"web", "127.0.0.1:80", "127.0.0.1:80"},
		{"web", "127.0.0.1:0", "web 127.0.0.1:0"},
		{"web", "unix:/run/a", "unix:/run/a"},
	} {
		if got := (&Config{Name: tt.name, Address: tt.address}).Key(); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// TestCheckConflict: of two listeners with one address, the later by name is at fault
// while neither is bound; one that is bound is never.
func TestCheckConflict(t *testing.T) {
	a, b := &Config{Name: "a", Address: "127.0.0.1:80"}, &Config{Name: "b", Address: "localhost:80"}
	all := map[string]*Config{a.Key(): a, b.Key(): b}
	none := func(string) bool { return false }
	if err := CheckConflict(a, all, none); err != nil {
		t.Errorf("a: %v", err)
	}
	if err := CheckConflict(b, all, none); err == nil || !strings.Contains(err.Error(), `listener "a"`) {
		t.Errorf("b: %v", err)
	}
	if err := CheckConflict(a, all, func(key string) bool { return key == b.Key() }); err == nil {
		t.Error("a, beside a bound b: no error")
	}
}

// TestResets: a connection is cut once, when it has reset more than was answered.
func TestResets(t *testing.T) {
	var c HTTP2Conn
	for range 1000 {
		c.CountAnswered() // does not save up
	}
	for n := 1; n <= maxResets+5; n++ {
		if got := c.CountReset(); got != (n == maxResets+1) {
			t.Errorf("reset %d: cut %v", n, got)
		}
	}
}

// TestAcceptLoopSurvivesErrors: an error of accept is waited out, and the end of the
// socket is not.
func TestAcceptLoopSurvivesErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	failing := &failingListener{Listener: ln, errs: []error{errors.New("out of descriptors"), errors.New("still")}}
	c := &Config{Name: "web", Address: ln.Addr().String(), Limits: Limits{Head: h1.Limits{HeadBytes: 32 << 10, Fields: 100, HeadTimeout: patience}}}
	s := newSocket(failing, c, Options{Config: func(string) *Config { return c }, Handler: &fake{}, Log: slog.New(slog.DiscardHandler)})
	s.Start(context.Background())
	t.Cleanup(func() { stop(t, s) })
	conn := dial(t, s)
	_, _ = io.WriteString(conn, get)
	if got := readAll(t, conn); !strings.Contains(got, "at web") {
		t.Errorf("answered %q", got)
	}
}

type failingListener struct {
	net.Listener
	errs []error
}

func (l *failingListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	return l.Listener.Accept()
}
