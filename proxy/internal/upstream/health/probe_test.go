package health

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// target is a server as it is: upstream has the one that knows TLS.
type target struct{ network, address string }

func (t target) Host() string { return t.address }

func (t target) Dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, t.network, t.address)
}

func (t target) RoundTrip(r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host = "http", t.address
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
}

// probed probes the server once.
func probed(t *testing.T, server *proxytest.Server, p Probe) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return p(ctx, target{"tcp", server.Addr})
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	switch {
	case part == "" && err != nil:
		t.Errorf("probe failed: %v", err)
	case part != "" && (err == nil || !strings.Contains(err.Error(), part)):
		t.Errorf("got %v, want an error with %q", err, part)
	}
}

func TestProbeTCP(t *testing.T) {
	server := proxytest.Mirror(t)
	wantError(t, probed(t, server, TCP), "")
	server.Close()
	wantError(t, probed(t, server, TCP), "refused")
}

func TestProbeHTTP(t *testing.T) {
	server := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sick":
			w.WriteHeader(500)
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/asked":
			io.WriteString(w, r.Method+" "+r.RequestURI+" "+r.Host+" "+r.Header.Get("X-Who")+" "+r.UserAgent())
		case "/long":
			io.WriteString(w, strings.Repeat("x", maxProbeBody)+"beyond")
		default:
			io.WriteString(w, "all is well")
		}
	}))
	for _, tt := range []struct {
		name string
		q    HTTP
		want string
	}{
		{"well", HTTP{}, ""},
		{"500", HTTP{Target: "/sick"}, "status 500, wanted 200-299"},
		{"500 is what we want", HTTP{Target: "/sick", Statuses: []StatusRange{{404, 404}, {500, 599}}}, ""},
		{"redirects are not followed", HTTP{Target: "/moved", Statuses: []StatusRange{{200, 299}, {404, 404}}}, "status 302, wanted 200-299, 404"},
		{"body", HTTP{Body: regexp.MustCompile("^all is (well|good)$")}, ""},
		{"other body", HTTP{Body: regexp.MustCompile("is")}, ""},
		{"not the body", HTTP{Body: regexp.MustCompile("^ill")}, `does not match "^ill"`},
		{"not beyond 64 KiB", HTTP{Target: "/long", Body: regexp.MustCompile("beyond")}, "does not match"},
		{"what is asked", HTTP{Method: "POST", Target: "/asked?a=b", Host: "h.test", Header: http.Header{"X-Who": {"me"}},
			Body: regexp.MustCompile(`^POST /asked\?a=b h\.test me tunnelform-health$`)}, ""},
		{"HEAD", HTTP{Method: "HEAD"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, probed(t, server, tt.q.Probe), tt.want)
		})
	}
}

// TestProbeWebSocket: a real handshake, a ping and its pong, whatever the
// application says in between; and what must not pass for one.
func TestProbeWebSocket(t *testing.T) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }, Subprotocols: []string{"chat"}}
	goodbyes := make(chan error, 1)
	server := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/refused":
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		case "/silent":
			conn, buffered, _ := w.(http.Hijacker).Hijack()
			defer conn.Close()
			io.WriteString(conn, proxytest.Switching(r.Header.Get("Sec-WebSocket-Key")))
			io.Copy(io.Discard, buffered) // its event loop hangs: no pong ever
			return
		}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		if r.URL.Path == "/closing" {
			conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1013, "busy"), time.Now().Add(time.Second))
		}
		conn.WriteMessage(websocket.TextMessage, []byte("welcome"))
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				if r.URL.Path == "/a" {
					goodbyes <- err
				}
				return
			}
		}
	}))
	for _, tt := range []struct {
		name string
		q    WebSocket
		want string
	}{
		{"subprotocol", WebSocket{Subprotocol: "chat"}, ""},
		{"other subprotocol", WebSocket{Subprotocol: "news"}, `subprotocol "", wanted "news"`},
		{"refused", WebSocket{Target: "/refused"}, "status 503"},
		{"closing", WebSocket{Target: "/closing"}, "1013"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantError(t, probed(t, server, tt.q.Probe), tt.want) })
	}
	wantError(t, probed(t, server, (&WebSocket{Target: "/a?b=c"}).Probe), "")
	if err := <-goodbyes; !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the backend sees %v, want a normal close", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantError(t, (&WebSocket{Target: "/silent"}).Probe(ctx, target{"tcp", server.Addr}), "waiting for the pong")
}

// TestProbesEndInTime: a server that takes the connection and then says nothing
// holds no probe up.
func TestProbesEndInTime(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			bufio.NewReader(conn).Peek(1)
		}
	}()
	for name, probe := range map[string]Probe{"http": new(HTTP).Probe, "websocket": new(WebSocket).Probe} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := probe(ctx, target{"tcp", listener.Addr().String()}); err == nil {
			t.Errorf("%s: passed without a response", name)
		}
		cancel()
	}
}
