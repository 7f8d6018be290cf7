package handler

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/routing/routingtest"
)

// TestPhases is the table of a handshake's phases: what follows each outcome.
func TestPhases(t *testing.T) {
	for p, want := range map[phase][4]phase{
		//           succeeded    rerouted   anotherBackend  failed
		reserving:   {connecting, reserving, reserving, finished},
		connecting:  {awaitAnswer, reserving, reserving, finished},
		awaitAnswer: {finished, reserving, reserving, finished},
	} {
		for o, want := range want {
			if got := p.after(outcome(o)); got != want {
				t.Errorf("phase %d, outcome %d: %d, want %d", p, o, got, want)
			}
		}
	}
}

// ways are the ways by which a handshake can be made: text before its request, and how its
// backend is named.
var ways = map[string]struct{ before, host string }{
	"loop":     {"", "127.0.0.1"},
	"worker":   {"", "localhost"},
	"net/http": {"GET /text HTTP/1.1\r\nHost: a\r\n\r\n", "127.0.0.1"},
}

// dialWay sends a handshake for /r by a way.
func dialWay(t *testing.T, s *site, way string) *proxytest.Raw {
	t.Helper()
	client := proxytest.Dial(t, s.Addr().String())
	if before := ways[way].before; before != "" {
		client.Send(before)
		if resp, _ := client.Response("GET"); resp.StatusCode != 200 {
			t.Fatalf("the request before is answered %d", resp.StatusCode)
		}
	}
	client.Send(proxytest.Handshake{Target: "/r", Extra: []string{"Origin: https://b.example"}}.String())
	return client
}

// urlBy is how a route names a backend for that way.
func urlBy(way, addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return "ws://" + ways[way].host + ":" + port
}

// routesTo leads /r to a target, for pages of one origin.
func routesTo(to, more string) string { return routesFor("https://b.example", to, more) }

func routesFor(origin, to, more string) string {
	return "routes: {text: {match: {path: /text}, respond: {body: hi}}, r: {match: {path: /r}, to: \"" + to + "\", origins: [\"" + origin + "\"]" + more + "}}\n"
}

// TestLostAccess: a handshake that waits for its 101 is answered at once when a reload
// takes its route away, or its client's access, or sends it to another backend; and its
// backend is left.
func TestLostAccess(t *testing.T) {
	other := proxytest.EchoServer(t, proxytest.EchoOptions{})
	for way := range ways {
		for want, after := range map[string]func(backend string) string{
			"404": func(string) string { return "routes: {s: {match: {path: /s}, respond: {body: hi}}}\n" },
			"403": func(backend string) string { return routesFor("https://a.example", backend, "") },
			"101": func(string) string { return routesTo("ws://"+other.Addr, "") },
		} {
			t.Run(way+" "+want, func(t *testing.T) {
				left := make(chan error, 1)
				backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
					_, err := io.Copy(io.Discard, conn)
					left <- err
				})
				s := newSite(t, routesTo(urlBy(way, backend.Addr), ""))
				client := dialWay(t, s, way)
				awaitAccepted(t, backend)
				old := s.now.Load()
				now := routingtest.Build(t, old, "listeners: {w: {address: \"127.0.0.1:0\"}}\n"+after(urlBy(way, backend.Addr)))
				s.now.Store(now)
				s.h.Tunnels.Evaluate(func(f drain.Facts) drain.Decision { return now.Evaluate(f, nil) })
				if resp, body := client.Response("GET"); fmt.Sprint(resp.StatusCode) != want {
					t.Errorf("answered %d %q", resp.StatusCode, body)
				}
				<-left
				client.Conn.Close()
				awaitNone(t, s, old.Route("r"))
			})
		}
	}
}

func awaitAccepted(t *testing.T, backend *proxytest.RawBackend) {
	t.Helper()
	for late := time.Now().Add(proxytest.Patience); backend.Accepted() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the backend is not asked")
		}
	}
}

// awaitNone waits until nothing is counted that was reserved for a handshake or a tunnel.
func awaitNone(t *testing.T, s *site, r *routing.Route) {
	t.Helper()
	for late := time.Now().Add(proxytest.Patience); ; time.Sleep(time.Millisecond) {
		open, _ := s.h.Tunnels.Len()
		counts := []int64{int64(open), int64(r.Counts.Tunnels.Open()), r.Target.Pool.Members()[0].Backend.Tunnels(), int64(s.Connections())}
		if slices.Max(counts) == 0 {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("tunnels in the group, at the route, at the backend, and connections: %v, want none", counts)
		}
	}
}

// TestBugReleases: a panic of ours between what was reserved and the tunnel leaves nothing
// counted and no connection open, whatever has the handshake.
func TestBugReleases(t *testing.T) {
	echo, closed := proxytest.EchoServer(t, proxytest.EchoOptions{}), proxytest.Refused(t)
	for way := range ways {
		for name, tt := range map[string]struct{ line, routes string }{
			"opening":                  {"tunnel opened", routesTo(urlBy(way, echo.Addr), "")},
			"opening one that redials": {"tunnel opened", routesTo(urlBy(way, echo.Addr), ", on_backend_loss: redial")},
			"retrying": {"trying another backend", "pools: {p: {balance: round_robin, backends: {a: {url: \"" + urlBy(way, closed) + "\"}, b: {url: \"" + urlBy(way, echo.Addr) + "\"}}}}\n" +
				routesTo("pool://p", "")},
		} {
			t.Run(way+" "+name, func(t *testing.T) {
				s := newSite(t, tt.routes)
				s.log.panicAt(tt.line)
				client := dialWay(t, s, way)
				s.log.await(t, "msg=bug")
				client.Conn.Close()
				awaitNone(t, s, s.now.Load().Route("r"))
			})
		}
	}
}

// TestLoopsServeTLS: over TLS, too, a loop has the connection: net/http never reads a
// handshake, and gets back what is none with all its bytes.
func TestLoopsServeTLS(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	pair := authority.Issue([]string{"127.0.0.1", "localhost"})
	secure := proxytest.EchoServer(t, proxytest.EchoOptions{TLS: pair})
	plain := proxytest.EchoServer(t, proxytest.EchoOptions{})
	_, port, _ := net.SplitHostPort(secure.Addr)
	s := newSiteOf(t, "listeners: {s: {address: \"127.0.0.1:0\", tls: {certificates: [{certificate: "+pair.File+", key: "+pair.KeyFile+"}]}}}\n"+`
routes:
  plain:  {match: {path: /plain}, to: "ws://`+plain.Addr+`"}
  secure: {match: {path: /secure}, to: "wss://localhost:`+port+`", backend_tls: {ca: `+authority.File+`}}
  redial: {match: {path: /redial}, to: "wss://localhost:`+port+`", backend_tls: {ca: `+authority.File+`}, on_backend_loss: redial}
  echo:   {match: {path: /echo}, to: "internal://echo"}
  text:   {match: {path: /text}, respond: {body: hi}}
`)
	for _, path := range []string{"/plain", "/secure", "/redial", "/echo", "/text"} {
		for _, split := range []bool{false, true} {
			t.Run(fmt.Sprint(path[1:], " ", split), func(t *testing.T) {
				conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: authority.Pool()})
				if err != nil {
					t.Fatal(err)
				}
				client := proxytest.RawOver(t, conn)
				request := proxytest.Handshake{Target: path}.String()
				if split {
					client.Send(request[:9])
					request = request[9:]
				}
				client.Send(request)
				resp, _ := client.Response("GET")
				if path == "/text" {
					if resp.StatusCode != http.StatusOK {
						t.Errorf("answered %d", resp.StatusCode)
					}
					return
				}
				if resp.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("answered %d", resp.StatusCode)
				}
				echoed(t, client)
				conn.Close()
				s.log.await(t, `msg="tunnel closed"`, "route="+path[1:])
			})
		}
	}
}

// TestAnswerReadersForget: a reader that is used again keeps no connection in memory.
func TestAnswerReadersForget(t *testing.T) {
	a := &handshake{requestCtx: &requestCtx{r: &http.Request{Method: "GET"}}}
	if _, err := a.readAnswer(strings.NewReader("nonsense\r\n\r\n")); err == nil {
		t.Fatal("no error")
	}
	r := answerReaders.Get().(interface{ ReadByte() (byte, error) })
	defer func() {
		if recover() == nil {
			t.Error("it can be read from")
		}
	}()
	_, _ = r.ReadByte()
}
