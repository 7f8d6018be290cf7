package e2e

// health: active checks, ejection after failures in use, and slow start. The backends
// of the harsher scenarios are processes of their own, to be stopped and killed.

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// server is a process that echoes tunnels and answers HTTP with its name.
func server(t *testing.T, name string) *proxy {
	t.Helper()
	return start(t, web+`routes:
  echo: {match: {path_prefix: /, upgrade: websocket}, to: "internal://echo"}
  name: {match: {path_prefix: /}, respond: {body: `+name+`}}
`)
}

// moody is a backend whose health is a test's to say: the status that it answers
// /health with, 0 for none. Everything else it answers with its name.
type moody struct {
	*proxytest.Server
	status atomic.Int32
	asked  atomic.Int32 // after its health
	last   atomic.Pointer[http.Request]
}

func newMoody(t *testing.T, name string) *moody {
	t.Helper()
	m := new(moody)
	m.status.Store(200)
	gone := make(chan struct{})
	t.Cleanup(func() { close(gone) })
	m.Server = proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			fmt.Fprint(w, name)
			return
		}
		m.last.Store(r)
		m.asked.Add(1)
		status := int(m.status.Load())
		if status == 0 {
			select {
			case <-gone:
			case <-r.Context().Done():
			}
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, "I feel ", status)
	}))
	return m
}

// TestHealthHTTP: 500, then no answer in time, take a backend out; one good
// answer brings it back. Its tunnels and requests of before are not touched.
func TestHealthHTTP(t *testing.T) {
	t.Parallel()
	a, b := newMoody(t, "a"), newMoody(t, "b")
	p := start(t, web+fill(`
pools:
  p:
    backends: {a: {url: "http://$a"}, b: {url: "http://$b"}}
    health:
      http: {method: POST, path: "/health", host: h.test, headers: {X-Probe: me}, statuses: ["200-299", "304"], body: "^I feel (200|204)$"}
      interval: 20ms
      timeout: 200ms
      fails: 2
      passes: 1
      slow_start: 100ms
routes:
  all: {match: {path_prefix: /}, to: "pool://p"}
`, map[string]string{"a": a.Addr, "b": b.Addr}))
	for _, status := range []int32{500, 0, 304} { // 304 has no body to be found anything in
		m := p.log.mark()
		a.status.Store(status)
		p.waitLogAfter(m, "backend down", fields{"backend": "p http://" + a.Addr})
		for range 10 {
			if got := get(t, p.http("/")); got.body != "b" {
				t.Fatalf("%d %q while a is down, wanted b", got.status, got.body)
			}
		}
		a.status.Store(200)
		p.waitLogAfter(m, "backend up", fields{"backend": "p http://" + a.Addr})
		awaitReply(t, p.http("/"), "a")
	}
	if r := a.last.Load(); r.Method != "POST" || r.Host != "h.test" || r.Header.Get("X-Probe") != "me" {
		t.Errorf("asked %s of %q with %v", r.Method, r.Host, r.Header)
	}
	m := p.log.mark()
	a.status.Store(500)
	b.status.Store(500)
	p.waitLogAfter(m, "backend down", fields{"backend": "p http://" + a.Addr})
	p.waitLogAfter(m, "backend down", fields{"backend": "p http://" + b.Addr})
	got := get(t, p.http("/"))
	if got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q with no healthy backend, wanted 503 at once", got.status, got.header.Get("Retry-After"))
	}
}

// awaitReply asks until the answer is body.
func awaitReply(t *testing.T, url, body string) {
	t.Helper()
	eventually(t, func() (bool, string) {
		got := get(t, url).body
		return got == body, fmt.Sprintf("%q from %s, wanted %q", got, url, body)
	})
}

// TestHealthTellsHungFromDead: a server that is stopped still takes connections,
// which is all that tcp asks for, but it does not pong. Killed, it is down for
// both. Tunnels to the other one lose nothing.
func TestHealthTellsHungFromDead(t *testing.T) {
	t.Parallel()
	hung, well := server(t, "hung"), server(t, "well")
	t.Cleanup(func() { hung.signal(syscall.SIGCONT) })
	p := start(t, web+fill(`
pools:
  ws:
    backends: {a: {url: "ws://$a"}, b: {url: "ws://$b"}}
    health: {websocket: {path: "/probe"}, interval: 20ms, timeout: 500ms, fails: 1, passes: 1}
  tcp:
    backends: {a: {url: "ws://$a"}, b: {url: "ws://$b"}}
    health: {tcp: true, interval: 20ms, timeout: 500ms, fails: 1, passes: 1, initial: down}
routes:
  ws: {match: {path: /ws}, to: "pool://ws"}
`, map[string]string{"a": hung.address("web"), "b": well.address("web")}))
	p.waitLog("backend up", fields{"backend": "tcp ws://" + hung.address("web")})

	sick, ok := "ws ws://"+hung.address("web"), "ws ws://"+well.address("web")
	talking := tunnelTo(t, p, "/ws", ok)
	hung.signal(syscall.SIGSTOP)
	p.waitLog("backend down", fields{"backend": sick})
	for i := range 10 {
		echo(t, talking, fmt.Sprint("message ", i))
		echo(t, dial(t, p.ws("/ws")), "hello")
	}
	if n := p.countLog("backend down", fields{"backend": "tcp ws://" + hung.address("web")}); n != 0 {
		t.Error("down for tcp although it still takes connections")
	}
	m := p.log.mark()
	hung.signal(syscall.SIGCONT)
	p.waitLogAfter(m, "backend up", fields{"backend": sick})
	m = p.log.mark()
	hung.signal(syscall.SIGKILL)
	<-hung.exited
	p.waitLogAfter(m, "backend down", fields{"backend": sick})
	p.waitLogAfter(m, "backend down", fields{"backend": "tcp " + sick[len("ws "):]})
	for i := range 10 {
		echo(t, talking, fmt.Sprint("more ", i))
		echo(t, dial(t, p.ws("/ws")), "hello")
	}
}

// tunnelTo opens tunnels until one leads to that backend.
func tunnelTo(t *testing.T, p *proxy, path, backend string) *websocket.Conn {
	t.Helper()
	for range 20 {
		m := p.log.mark()
		conn := dial(t, p.ws(path))
		if p.waitLogAfter(m, "tunnel opened", nil).text("backend") == backend {
			return conn
		}
	}
	t.Fatalf("none of 20 tunnels leads to %s", backend)
	return nil
}

// TestHealthWebSocketAsks as it is told to.
func TestHealthWebSocketAsks(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
pools:
  good: {backends: {b: {url: "ws://$b"}}, health: {websocket: {path: "/probe?x=1", host: h.test, subprotocol: chat.v2, headers: {X-Probe: me}}, initial: down}}
  bad:  {backends: {b: {url: "ws://$b"}}, health: {websocket: {subprotocol: news}, interval: 20ms}}
routes: {}
`, map[string]string{"b": b.authority()}))
	p.waitLog("backend up", fields{"backend": "good " + b.url("ws")})
	down := p.waitLog("backend down", fields{"backend": "bad " + b.url("ws")})
	if want := `subprotocol "", wanted "news"`; down.text("error") != want {
		t.Errorf("down because of %q, wanted %q", down.text("error"), want)
	}
	for _, r := range b.requests() {
		if r.URL.Path == "/probe" && r.URL.RawQuery == "x=1" && r.Host == "h.test" && r.Header.Get("X-Probe") == "me" {
			return
		}
	}
	t.Error("no probe came as it was told to")
}

// TestPassive: a backend that refuses is ejected after three handshakes, whose
// clients notice nothing, and not asked again for a while; a normal close is no
// failure, however often.
func TestPassive(t *testing.T) {
	t.Parallel()
	dead, well := server(t, "dead"), server(t, "well")
	address := dead.address("web")
	p := start(t, web+fill(`
pools:
  p:
    balance: round_robin
    backends: {a: {url: "ws://$a"}, b: {url: "ws://$b"}}
    health: {passive: {fails: 3, eject: 1h, max: 2h, at_most: 50%}}
routes:
  all: {match: {path_prefix: /}, to: "pool://p", retry: {others: 1, budget: 100%}}
`, map[string]string{"a": address, "b": well.address("web")}))
	for range 20 {
		dial(t, p.ws("/")).Close()
	}
	if n := p.countLog("backend ejected", nil); n != 0 {
		t.Fatalf("%d ejections after tunnels that ended well", n)
	}
	dead.cut()
	for i := range 20 {
		echo(t, dial(t, p.ws("/")), fmt.Sprint("hello ", i))
	}
	p.waitLog("backend ejected", fields{"backend": "p ws://" + address, "seconds": float64(3600)})
	if n := p.countLog("backend ejected", nil); n != 1 {
		t.Errorf("%d ejections, wanted one", n)
	}
}

// post sends a body.
func post(t *testing.T, url string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("a body"))
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

// TestHealthOutlivesEdits: what is known of a backend stays through an edit of
// its pool, of its name and of the way it is asked, and falls with the question.
func TestHealthOutlivesEdits(t *testing.T) {
	t.Parallel()
	b, gone := newBackend(t, "b"), proxytest.Refused(t)
	routes := func(name, health string) string {
		return web + fill(`
pools: {p: {backends: {`+name+`: {url: "ws://$gone"}, b: {url: "ws://$b"}}, `+health+`}}
routes: {all: {match: {path: /}, to: "pool://p", retry: {others: off}}}
`, map[string]string{"b": b.authority(), "gone": gone})
	}
	p := start(t, routes("a", "health: {tcp: true, fails: 1, interval: 1h, passive: {fails: off}}"))
	p.waitLog("backend down", nil)
	for _, edit := range []string{
		routes("a", "balance: round_robin, health: {tcp: true, fails: 1, interval: 1h, passive: {fails: off}}"),
		routes("renamed", "health: {tcp: true, fails: 1, interval: 1h, passive: {fails: off}}"),
		routes("a", "health: {websocket: {}, fails: 1, interval: 1h, passive: {fails: off}}"),
	} {
		p.edit(edit)
		for range 6 {
			echo(t, dial(t, p.ws("/")), "hello")
		}
	}
	if n := p.countLog("backend down", nil); n != 1 {
		t.Errorf("found down %d times, wanted once", n)
	}
	p.edit(routes("a", "health: {passive: {fails: off}}"))
	refusedOnce := false
	for range 6 {
		conn, answer, err := websocket.DefaultDialer.Dial(p.ws("/"), nil)
		if err == nil {
			conn.Close()
		}
		refusedOnce = refusedOnce || answer != nil && answer.StatusCode == 502
	}
	if !refusedOnce {
		t.Error("it is checked no longer, and still counts as down")
	}
}
