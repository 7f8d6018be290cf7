package handler

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/routing/routingtest"
)

// site is a Handler behind a socket of its own.
type site struct {
	noStatus atomic.Bool // internal://status has no JSON
	*listen.Socket
	h   *Handler
	now atomic.Pointer[routing.Table]
	log lines
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	bug  string       // guarded by mu; the next line with it is one
}

// panicAt has the next line with that text be a bug of ours.
func (l *lines) panicAt(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bug = text
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bug != "" && bytes.Contains(p, []byte(l.bug)) {
		l.bug = ""
		panic("a bug of ours")
	}
	return l.text.Write(p)
}

// await waits for a line with all of these.
func (l *lines) await(t *testing.T, parts ...string) {
	t.Helper()
	for late := time.Now().Add(proxytest.Patience); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		text := l.text.String()
		l.mu.Unlock()
		for line := range strings.SplitSeq(text, "\n") {
			if containsAll(line, parts) {
				return
			}
		}
		if time.Now().After(late) {
			t.Fatalf("no line with %q in\n%s", parts, text)
		}
	}
}

func containsAll(line string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(line, part) {
			return false
		}
	}
	return true
}

// newSite serves these routes on 127.0.0.1.
func newSite(t *testing.T, routes string) *site {
	t.Helper()
	return newSiteOf(t, "listeners: {w: {address: \"127.0.0.1:0\"}}\n"+routes)
}

// newSiteOf serves a routes file with one listener.
func newSiteOf(t *testing.T, routes string) *site {
	t.Helper()
	s := &site{}
	s.now.Store(routingtest.Build(t, nil, routes))
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	s.h = newTestHandler(t, s.now.Load, log)
	s.h.Status = func() any {
		if s.noStatus.Load() {
			return make(chan int)
		}
		return map[string]int{"tunnels": 7}
	}
	for _, l := range s.now.Load().Listeners() {
		var err error
		s.Socket, err = listen.New(l, listen.Options{
			Config:  func(key string) *listen.Config { return s.now.Load().Listener(key) },
			Handler: s.h, Log: log,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Start(context.Background())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), proxytest.Patience)
		defer cancel()
		s.h.Tunnels.Cut("test")
		s.Stop(ctx)
		s.now.Load().Close()
	})
	return s
}

// ask sends a request as it stands and returns the answer.
func (s *site) ask(t *testing.T, request string) (*http.Response, string) {
	t.Helper()
	client := proxytest.Dial(t, s.Addr().String())
	client.Send(request)
	method, _, _ := strings.Cut(request, " ")
	return client.Response(method)
}

// TestAnswers: a request, and what the client and the log are told.
func TestAnswers(t *testing.T) {
	mirror := proxytest.Mirror(t)
	closed := proxytest.Refused(t)
	silent := proxytest.NewRawBackend(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	garbage := proxytest.NewRawBackend(t, proxytest.AnswerOnce("nonsense\r\n\r\n"))
	s := newSite(t, `
pools:
  retried: {balance: round_robin, sticky: {cookie: TF}, backends: {a: {url: "ws://`+closed+`"}, b: {url: "ws://`+mirror.Addr+`"}}}
  full: {backends: {a: {url: "ws://`+mirror.Addr+`", disabled: true}}}
routes:
  mirror: {match: {path_prefix: /m}, to: "ws://`+mirror.Addr+`"}
  small: {match: {path: /small}, to: "ws://`+mirror.Addr+`", limits: {header_bytes: 100}}
  only: {match: {path: /only}, to: "ws://`+mirror.Addr+`", http_fallback: false}
  old: {match: {path_prefix: /old}, redirect: {to: "https://new.example", status: 301}}
  text: {match: {path: /text}, respond: {status: 418, body: short, headers: {A: b}}}
  none: {match: {path: /none}, respond: {status: 204}}
  status: {match: {path: /status}, to: "internal://status"}
  echo: {match: {path: /echo}, to: "internal://echo"}
  trace: {match: {path: /trace, methods: [TRACE]}, to: "ws://`+mirror.Addr+`"}
  gone: {match: {path: /gone}, to: "ws://`+closed+`"}
  silent: {match: {path: /silent}, to: "ws://`+silent.Addr+`", timeouts: {response: 50ms}}
  garbage: {match: {path: /garbage}, to: "ws://`+garbage.Addr+`"}
  retried: {match: {path: /retried}, to: "pool://retried"}
  full: {match: {path: /full}, to: "pool://full"}
  body: {match: {path: /body}, to: "ws://`+mirror.Addr+`", limits: {body_bytes: 3}}
`)
	get := func(path string, lines ...string) string {
		return "GET " + path + " HTTP/1.1\r\n" + strings.Join(append([]string{"Host: a"}, lines...), "\r\n") + "\r\n\r\n"
	}
	for name, tt := range map[string]struct {
		request string
		status  int
		body    string // in it
		log     string // in the request's line
	}{
		"a backend's page":                {get("/m/x"), 200, `"Target":"/m/x"`, "route=mirror"},
		"no route":                        {get("/nowhere"), 404, "no route matches", "no route"},
		"in JSON, where it is asked for":  {get("/nowhere", "Accept: application/json"), 404, `"status":404`, "no route"},
		"a bad path":                      {get("/m/%zz"), 400, "percent-encoding", ""},
		"a bad host":                      {"GET /m HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "", ""},
		"a head over the route's limit":   {get("/small", "X: "+strings.Repeat("x", 200)), 431, "too large", "route=small"},
		"upgrades only":                   {get("/only"), 426, "upgrades only", "route=only"},
		"a redirect":                      {get("/old/x"), 301, "", "route=old"},
		"an answer from the file":         {get("/text"), 418, "short", "route=text"},
		"and one without a body":          {get("/none"), 204, "", "route=none"},
		"the status":                      {get("/status"), 200, `"tunnels": 7`, "route=status"},
		"the echo":                        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", "route=echo"},
		"TRACE where it is not allowed":   {"TRACE /m HTTP/1.1\r\nHost: a\r\n\r\n", 405, "TRACE", ""},
		"TRACE that ends here":            {"TRACE /trace HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nCookie: secret\r\n\r\n", 200, "TRACE /trace", "route=trace"},
		"OPTIONS that ends here":          {"OPTIONS /m HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", 200, "", "route=mirror"},
		"no connection":                   {get("/gone"), 502, "no connection", "route=gone"},
		"no answer in time":               {get("/silent"), 504, "in time", "route=silent"},
		"no valid answer":                 {get("/garbage"), 502, "not valid", "route=garbage"},
		"a second backend":                {get("/retried"), 200, "Target", "route=retried"},
		"no backend":                      {get("/full"), 503, "no backend", "route=full"},
		"a body over the limit":           {"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789", 413, "too large", "route=body"},
		"a tunnel to the status":          {proxytest.Handshake{Target: "/status"}.String(), 404, "no tunnel", "route=status"},
		"a handshake of no version":       {proxytest.Handshake{Target: "/m", Change: map[string]string{"Sec-WebSocket-Version": "12"}}.String(), 426, "", "route=mirror"},
		"a handshake from another origin": {proxytest.Handshake{Target: "/m", Extra: []string{"Origin: https://evil.example"}}.String(), 403, "", "route=mirror"},
		"a handshake in vain":             {proxytest.Handshake{Target: "/gone"}.String(), 502, "no connection", "route=gone"},
		"one that is answered by a page":  {proxytest.Handshake{Target: "/m"}.String(), 200, "Target", "route=mirror"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := s.ask(t, tt.request)
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("answered %d %q, want %d with %q", resp.StatusCode, body, tt.status, tt.body)
			}
			if tt.log != "" {
				s.log.await(t, "msg=request", fmt.Sprint("status=", tt.status), tt.log)
			}
		})
	}
}

// TestTunnels: handshakes that become tunnels, on the ways that there are, with their
// lines in the log.
func TestTunnels(t *testing.T) {
	switching := proxytest.Switching(proxytest.SampleKey)
	scripted := func(head string) string {
		return proxytest.NewRawBackend(t, func(conn net.Conn) {
			if _, err := proxytest.ReadHead(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, head+"\x81\x02hi")
				_, _ = io.Copy(io.Discard, conn)
			}
		}).Addr
	}
	plain, slow, early := scripted(switching), scripted(switching), scripted("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"+switching)
	closed := proxytest.Refused(t)
	s := newSite(t, `
pools:
  queued: {queue: {length: 3, wait: 10s}, backends: {a: {url: "ws://`+slow+`"}}}
  retried: {balance: round_robin, backends: {a: {url: "ws://`+closed+`"}, b: {url: "ws://`+plain+`"}}}
routes:
  loop: {match: {path: /loop}, to: "ws://`+plain+`"}
  queued: {match: {path: /queued}, to: "pool://queued"}
  redials: {match: {path: /redials}, to: "ws://`+plain+`", on_backend_loss: redial}
  early: {match: {path: /early}, to: "ws://`+early+`"}
  retried: {match: {path: /retried}, to: "pool://retried"}
  echo: {match: {path: /echo}, to: "internal://echo"}
  limited: {match: {path: /limited}, to: "ws://`+plain+`", limits: {tunnels_per_client: 1}}
`)
	for _, route := range []string{"loop", "queued", "redials", "early", "retried", "echo", "limited"} {
		t.Run(route, func(t *testing.T) {
			client := proxytest.Dial(t, s.Addr().String())
			client.Send(proxytest.Handshake{Target: "/" + route}.String())
			resp, _ := client.Response("GET")
			if resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("answered %d", resp.StatusCode)
			}
			s.log.await(t, `msg="tunnel opened"`, "route="+route)
			if route == "limited" {
				if over, _ := s.ask(t, proxytest.Handshake{Target: "/limited"}.String()); over.StatusCode != http.StatusTooManyRequests {
					t.Errorf("a tunnel over the limit is answered %d", over.StatusCode)
				}
			}
			client.Send("\x88\x82\x00\x00\x00\x00\x03\xe8") // Close 1000
			client.CloseWrite()
			s.log.await(t, `msg="tunnel closed"`, "route="+route)
		})
	}
	if opened, ended := s.h.Counters.Opened.Load(), s.h.Counters.Ended.Load(); opened != 7 || ended != 7 {
		t.Errorf("%d opened and %d ended, want 7 of each", opened, ended)
	}
}

// TestRedial: a tunnel whose backend is lost goes on with another, and is told to end where
// there is none.
func TestRedial(t *testing.T) {
	first, second := proxytest.EchoServer(t, proxytest.EchoOptions{}), proxytest.EchoServer(t, proxytest.EchoOptions{})
	s := newSite(t, `
pools: {p: {balance: round_robin, backends: {a: {url: "ws://`+first.Addr+`"}, b: {url: "ws://`+second.Addr+`"}}}}
routes: {r: {to: "pool://p", on_backend_loss: redial}}
`)
	client := proxytest.Dial(t, s.Addr().String())
	client.Send(proxytest.Handshake{Target: "/"}.String())
	if resp, _ := client.Response("GET"); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered %d", resp.StatusCode)
	}
	echoed(t, client) // the backend has the tunnel, and can cut it
	first.Close()
	first.CutTunnels()
	s.log.await(t, `msg="tunnel redialled"`, second.Addr)
	echoed(t, client)
	second.Close()
	second.CutTunnels()
	s.log.await(t, `msg="tunnel not redialled"`)
	client.Conn.Close() // or it would have the time for an answer to its Close
	s.log.await(t, `msg="tunnel closed"`, "redials=1")
}

// echoed waits until a message has come back.
func echoed(t *testing.T, client *proxytest.Raw) {
	t.Helper()
	client.Send("\x81\x82\x00\x00\x00\x00hi")
	got := make([]byte, 4)
	if _, err := io.ReadFull(client.Reader, got); err != nil || string(got) != "\x81\x02hi" {
		t.Fatalf("echoed %q, %v", got, err)
	}
}
