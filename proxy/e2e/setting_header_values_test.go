package e2e

// Values of headers: from files, as defaults, and the Host that a backend is asked for.

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestHeadersOnEveryWay: set.Host, defaults and values from files, whichever way a request
// goes.
func TestHeadersOnEveryWay(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	s := startWays(t, b, map[string]string{"token": "Bearer $s3cr3t {client}\n", "answer": "from a file\r\n"}, `
  preserve_host: true
  headers:
    request:
      set: {Host: "inner.example:81", Authorization: {file: token}}
      add: {X-Many: [one, {file: token}]}
      default: {X-Env: prod, X-Tier: edge}
    response:
      set: {X-Answer: {file: answer}}
      default: {X-Served-By: proxy, Content-Type: text/x-default}`, "")
	for _, w := range s.ways() {
		t.Run(w.name, func(t *testing.T) {
			got := w.ask(t, "/x", "Authorization: Bearer forged", "X-Env: test", "X_Tier: forged", "Origin: http://"+w.host)
			asked := b.last(t)
			if asked.Host != "inner.example:81" || asked.Header.Get("X-Forwarded-Host") != w.host {
				t.Errorf("the backend was asked for host %q, for %q", asked.Host, asked.Header.Get("X-Forwarded-Host"))
			}
			for name, want := range map[string]string{
				"Authorization": "Bearer $s3cr3t {client}", "X-Many": "one, Bearer $s3cr3t {client}", "X-Env": "test", "X-Tier": "edge", "X_tier": "",
			} {
				if have := strings.Join(asked.Header[name], ", "); have != want {
					t.Errorf("the backend got %s: %q, wanted %q", name, have, want)
				}
			}
			if h := got.header; got.status != w.good() || h.Get("X-Answer") != "from a file" || h.Get("X-Served-By") != "proxy" ||
				!w.handshake && h.Get("Content-Type") == "text/x-default" {
				t.Errorf("the client got %d %v", got.status, h)
			}
		})
	}
}

// TestHostOfRedials: the next backend is asked for the same host as the first.
func TestHostOfRedials(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	const headers = `    headers: {request: {set: {Host: "{listener}.example", X-Client: "{client}"}}}
`
	both := map[string]string{"a": a.url("ws"), "b": b.url("ws")}
	p := start(t, redialling(both, map[string]string{"b": ", drain: true"}, "", headers))
	conn := startDialogue(dial(t, p.ws("/")))
	p.edit(redialling(both, map[string]string{"a": ", drain: true"}, "", headers))
	p.waitLog("tunnel redialled", nil)
	conn.mustContinue(t)
	conn.mustEnd(t)
	for _, asked := range []*backend{a, b} {
		if r := asked.last(t); r.Host != "web.example" || r.Header.Get("X-Client") != "127.0.0.1" {
			t.Errorf("backend %s was asked for %q with %v", asked.name, r.Host, r.Header)
		}
	}
}

// TestHostOfProbes: a probe asks for the host that the route sets, unless it has its own.
func TestHostOfProbes(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	start(t, web+fill(`
pools:
  set:   {backends: {a: {url: "$a"}}, health: {http: {path: /probe}, interval: 50ms}}
  named: {backends: {b: {url: "$b"}}, health: {http: {path: /probe, host: own.example}, interval: 50ms}}
routes:
  x-set: {match: {path_prefix: /set}, to: "pool://set", headers: {request: {set: {Host: inner.example}}}}
  a-set: {match: {path_prefix: /plain}, to: "pool://set"}
  named: {match: {path_prefix: /named}, to: "pool://named", headers: {request: {set: {Host: inner.example}}}}
`, map[string]string{"a": a.url("http"), "b": b.url("http")}))
	for asked, want := range map[*backend]string{a: "inner.example", b: "own.example"} {
		eventually(t, func() (bool, string) { return len(asked.requests()) > 0, "no probe has come" })
		if got := asked.last(t).Host; got != want {
			t.Errorf("backend %s is probed for %q, wanted %q", asked.name, got, want)
		}
	}
}

// TestHostWithPlaceholders: what is no host any more is 400.
func TestHostWithPlaceholders(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  tenant: {match: {path: "/t/{name}"}, to: "$b", headers: {request: {set: {Host: "{name}.inner.example"}}}}
`, map[string]string{"b": b.url("ws")}))
	ask(t, connect(t, p), proxytest.Handshake{Target: "/t/blue"}.String())
	if host := b.last(t).Host; host != "blue.inner.example" {
		t.Errorf("the backend was asked for %q", host)
	}
	for _, target := range []string{"/t/a%20b", "/t/a:1"} {
		for _, text := range []string{proxytest.Handshake{Target: target}.String(), request("GET "+target+" HTTP/1.1", "Host: a")} {
			if got := ask(t, connect(t, p), text); got.status != 400 {
				t.Errorf("%s: %d, wanted 400", target, got.status)
			}
		}
	}
	if n := len(b.requests()); n != 1 {
		t.Errorf("the backend was asked %d times, wanted once", n)
	}
}

// TestHeaderFiles: a value is read again when its file changes. One that cannot be sent is a
// mistake with its position, the last good value stays, and no value is ever shown.
func TestHeaderFiles(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	routes := web + fill(`
pools:
  p: {backends: {b: {url: "$b"}}, health: {http: {path: /probe, headers: {X-Probe: {file: keys/token}}}, interval: 50ms}}
routes:
  all:  {match: {path_prefix: /}, to: "pool://p", headers: {request: {set: {X-Token: {file: keys/token}}}}}
  text: {match: {path: /text}, respond: {headers: {X-Token: {file: keys/token}}}}
`, map[string]string{"b": b.url("http")})
	p := start(t, web+"routes: {}\n")
	if mistakes := p.spoil(routes); len(mistakes) != 3 || mistakes[0].text("line") != "5" {
		t.Errorf("the mistakes are %v, wanted the file's three places", mistakes)
	}
	sent := func() string {
		t.Helper()
		client := get(t, p.http("/text")).header.Get("X-Token")
		get(t, p.http("/x"))
		for i := len(b.requests()) - 1; i >= 0; i-- {
			if asked := b.requests()[i]; asked.URL.Path == "/x" {
				if got := asked.Header.Get("X-Token"); got != client {
					t.Errorf("the backend got %q, the client %q", got, client)
				}
				break
			}
		}
		return client
	}
	m := p.log.mark()
	p.write("keys/token", "first-secret\n")
	p.waitLogAfter(m, "routes loaded", nil)
	if got := sent(); got != "first-secret" {
		t.Errorf("sent %q", got)
	}
	m = p.log.mark()
	p.write("keys/token", "second-secret")
	p.waitLogAfter(m, "routes loaded", nil)
	if got := sent(); got != "second-secret" {
		t.Errorf("after the change %q is sent", got)
	}
	eventually(t, func() (bool, string) {
		requests := b.requests()
		last := ""
		for _, asked := range requests {
			if asked.URL.Path == "/probe" {
				last = asked.Header.Get("X-Probe")
			}
		}
		return last == "second-secret", "the last probe has " + last
	})
	for _, spoilt := range []string{"third-secret\nX-Evil: 1\n", "", "third-secret \n"} {
		m = p.log.mark()
		p.write("keys/token", spoilt)
		p.waitLogAfter(m, "mistake", fields{"line": 7})
		if got := sent(); got != "second-secret" {
			t.Errorf("with %q, %q is sent", spoilt, got)
		}
	}
	m = p.log.mark()
	if err := os.Remove(p.path("keys/token")); err != nil {
		t.Fatal(err)
	}
	p.waitLogAfter(m, "mistake", fields{"line": 7})
	if got := sent(); got != "second-secret" {
		t.Errorf("without the file %q is sent", got)
	}
	for _, l := range p.log.all() {
		if strings.Contains(fmt.Sprint(l), "-secret") {
			t.Errorf("the log has a secret: %v", l)
		}
	}
}
