package handler

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/routing/routingtest"
)

// TestHandshakesInVain: a backend that does not make the handshake, where the tunnel would
// be a loop's and where it would be the portable engine's.
func TestHandshakesInVain(t *testing.T) {
	silent := proxytest.NewRawBackend(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	closing := proxytest.NewRawBackend(t, func(conn net.Conn) { _, _ = proxytest.ReadHead(bufio.NewReader(conn)) })
	wrong := proxytest.NewRawBackend(t, proxytest.AnswerOnce(strings.Replace(proxytest.Switching(proxytest.SampleKey), "Accept: ", "Accept: x", 1)))
	refusing := proxytest.NewRawBackend(t, proxytest.AnswerOnce("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"))
	for _, loss := range []string{"close", "redial"} {
		s := newSite(t, fmt.Sprintf(`
routes:
  silent: {match: {path: /silent}, to: "ws://%s", on_backend_loss: %[5]s, timeouts: {handshake: 50ms}}
  closing: {match: {path: /closing}, to: "ws://%[2]s", on_backend_loss: %[5]s}
  wrong: {match: {path: /wrong}, to: "ws://%[3]s", on_backend_loss: %[5]s}
  refusing: {match: {path: /refusing}, to: "ws://%[4]s", on_backend_loss: %[5]s}
  slow: {match: {path: /slow}, to: "ws://%[1]s", on_backend_loss: %[5]s}
`, silent.Addr, closing.Addr, wrong.Addr, refusing.Addr, loss))
		for path, want := range map[string]string{"silent": "504 in time", "closing": "502 not valid", "wrong": "502 not valid", "refusing": "403 no"} {
			resp, body := s.ask(t, proxytest.Handshake{Target: "/" + path}.String())
			status, text, _ := strings.Cut(want, " ")
			if fmt.Sprint(resp.StatusCode) != status || !strings.Contains(body, text) {
				t.Errorf("%s, on loss %s: answered %d %q, want %s", path, loss, resp.StatusCode, body, want)
			}
			s.log.await(t, "msg=request", "route="+path, "status="+status)
		}
		before := silent.Accepted()
		client := proxytest.Dial(t, s.Addr().String())
		client.Send(proxytest.Handshake{Target: "/slow"}.String())
		for late := time.Now().Add(proxytest.Patience); silent.Accepted() == before && time.Now().Before(late); {
			time.Sleep(time.Millisecond)
		}
		client.Conn.Close()
		s.log.await(t, "msg=request", "route=slow", "status=499")
	}
}

// TestLaterHandshake: a handshake that is not its connection's first request comes by
// net/http.
func TestLaterHandshake(t *testing.T) {
	echo := proxytest.EchoServer(t, proxytest.EchoOptions{})
	s := newSite(t, "routes: {text: {match: {path: /text}, respond: {body: hi}}, r: {match: {path: /r}, to: \"ws://"+echo.Addr+"\"}}\n")
	client := proxytest.Dial(t, s.Addr().String())
	client.Send("GET http://a/text HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp, body := client.Response("GET"); resp.StatusCode != 200 || body != "hi" {
		t.Fatalf("answered %d %q", resp.StatusCode, body)
	}
	client.Send(proxytest.Handshake{Target: "/r"}.String())
	if resp, _ := client.Response("GET"); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered %d", resp.StatusCode)
	}
	client.Conn.Close()
	s.log.await(t, `msg="tunnel closed"`, "route=r")
}

// TestQueue: a request waits for a full pool, and leaves its queue with its client.
func TestQueue(t *testing.T) {
	asked, answer := make(chan struct{}, 9), make(chan struct{})
	backend := proxytest.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-answer }))
	s := newSite(t, `
pools:
  p: {queue: {length: 1, wait: 1h}, backends: {a: {url: "ws://`+backend.Addr+`", max_requests: 1}}}
  u: {backends: {a: {url: "ws://`+backend.Addr+`", max_requests: 1}}}
routes: {r: {to: "pool://p"}, u: {match: {path: /unqueued}, to: "pool://u"}}
`)
	get := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	first, second := proxytest.Dial(t, s.Addr().String()), proxytest.Dial(t, s.Addr().String())
	first.Send(get)
	<-asked
	second.Send(get)
	second.Conn.Close()
	s.log.await(t, "msg=request", "status=499")
	third := proxytest.Dial(t, s.Addr().String())
	third.Send(strings.Replace(get, "/", "/unqueued", 1))
	<-asked
	if resp, body := s.ask(t, strings.Replace(get, "/", "/unqueued", 1)); resp.StatusCode != 503 || !strings.Contains(body, "at capacity") {
		t.Errorf("over the capacity of a pool without a queue: answered %d %q", resp.StatusCode, body)
	}
	close(answer)
	if resp, _ := first.Response("GET"); resp.StatusCode != 200 {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// TestOverTLS: a handshake and HTTP/2 on a listener with TLS, and what an edit of its
// client_ca does to a connection that is open.
func TestOverTLS(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	pair := authority.Issue([]string{"127.0.0.1"})
	mirror := proxytest.Mirror(t)
	listener := func(more string) string {
		return "listeners: {s: {address: \"127.0.0.1:0\", tls: {certificates: [{certificate: " + pair.File + ", key: " + pair.KeyFile + "}]" + more + "}}}\n" +
			"routes:\n  m: {match: {path_prefix: /m}, to: \"ws://" + mirror.Addr + "\"}\n  e: {match: {path: /e}, to: \"internal://echo\"}\n  o: {match: {path: /old}, redirect: {to: \"https://new.example\"}}\n"
	}
	s := newSiteOf(t, listener(""))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: proxytest.Patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path, body string) (int, string) {
		t.Helper()
		r, _ := http.NewRequest(method, "https://"+s.Addr().String()+path, strings.NewReader(body))
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 {
			t.Errorf("%s came over %s", path, resp.Proto)
		}
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	if status, body := ask("POST", "/m/x", "hello"); status != 200 || !strings.Contains(body, `"Body":"hello"`) {
		t.Errorf("answered %d %q", status, body)
	}
	if status, _ := ask("GET", "/old", ""); status/100 != 3 {
		t.Errorf("the redirect is answered %d", status)
	}
	if status, _ := ask("GET", "/none", ""); status != 404 {
		t.Errorf("no route is answered %d", status)
	}
	conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: authority.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	raw := proxytest.RawOver(t, conn)
	raw.Send(proxytest.Handshake{Target: "/e"}.String())
	if resp, _ := raw.Response("GET"); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("the handshake is answered %d", resp.StatusCode)
	}
	conn.Close()
	s.log.await(t, `msg="tunnel closed"`, "route=e")
	s.now.Store(routingtest.Build(t, s.now.Load(), listener(", client_ca: "+authority.File)))
	if status, _ := ask("GET", "/m", ""); status != http.StatusMisdirectedRequest {
		t.Errorf("after the edit, a connection of before is answered %d", status)
	}
}

// TestSilentClient: a client that sends nothing is let go without an answer.
func TestSilentClient(t *testing.T) {
	closed := proxytest.Refused(t)
	s := newSiteOf(t, "listeners: {w: {address: \"127.0.0.1:0\", limits: {header_timeout: 20ms}}}\nroutes: {r: {to: \"ws://"+closed+"\"}}\n")
	client := proxytest.Dial(t, s.Addr().String())
	if rest := client.Rest(); rest != "" {
		t.Errorf("answered %q", rest)
	}
}

// TestRedialNeedsTheSameAnswer: another backend gets a tunnel only if it agrees to what the
// client was told.
func TestRedialNeedsTheSameAnswer(t *testing.T) {
	first := proxytest.EchoServer(t, proxytest.EchoOptions{Subprotocols: []string{"chat"}})
	other := proxytest.EchoServer(t, proxytest.EchoOptions{})
	busy := proxytest.NewRawBackend(t, proxytest.AnswerOnce("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
	s := newSite(t, `
pools: {p: {balance: round_robin, backends: {a: {url: "ws://`+first.Addr+`"}, b: {url: "ws://`+other.Addr+`"}, c: {url: "ws://`+busy.Addr+`"}}}}
routes: {r: {to: "pool://p", on_backend_loss: redial}}
`)
	client := proxytest.Dial(t, s.Addr().String())
	client.Send(proxytest.Handshake{Target: "/", Extra: []string{"Sec-WebSocket-Protocol: chat"}}.String())
	if resp, _ := client.Response("GET"); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered %d", resp.StatusCode)
	}
	s.log.await(t, `msg="tunnel opened"`, "subprotocol=chat")
	echoed(t, client)
	first.CloseClientConnections()
	first.CutTunnels()
	s.log.await(t, "trying another backend", "agrees to subprotocol")
	s.log.await(t, "trying another backend", "the backend answers 503")
	client.Conn.Close()
}

// TestOtherProtocols: a tunnel may be of any protocol that the route allows.
func TestOtherProtocols(t *testing.T) {
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		if _, err := proxytest.ReadHead(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chess\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	s := newSite(t, "routes: {r: {to: \"ws://"+backend.Addr+"\", upgrade: any}}\n")
	client := proxytest.Dial(t, s.Addr().String())
	client.Send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chess\r\n\r\n")
	if resp, _ := client.Response("GET"); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered %d", resp.StatusCode)
	}
	client.Conn.Close()
	s.log.await(t, `msg="tunnel closed"`)
	if resp, _ := s.ask(t, "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chess\r\nContent-Length: 1\r\n\r\nx"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("one with a body is answered %d", resp.StatusCode)
	}
}

// TestNoStatus: a status that is no JSON is an error, not a broken answer.
func TestNoStatus(t *testing.T) {
	s := newSite(t, "routes: {s: {to: \"internal://status\"}}\n")
	s.noStatus.Store(true)
	if resp, body := s.ask(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); resp.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "no status") {
		t.Errorf("answered %d %q", resp.StatusCode, body)
	}
}
