package e2e

// The ways that a request may go: what a route sets has to hold on each of them.

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// waysSite is a proxy whose route leads to one backend, on every way.
type waysSite struct {
	*proxy
	client *tls.Config
}

// startWays starts a proxy with these defaults and files, and the routes loop, wait and
// any that there are more of. $b in more is the backend's host and port.
func startWays(t *testing.T, b *backend, files map[string]string, defaults, more string) *waysSite {
	t.Helper()
	authority := proxytest.NewAuthority(t)
	certificate := authority.Issue([]string{"127.0.0.1"})
	routes := fmt.Sprintf(`version: 1
listeners:
  web:    {address: "127.0.0.1:0"}
  secure: {address: "127.0.0.1:0", tls: {certificates: [{certificate: %s, key: %s}]}}
defaults:
%s
pools:
  direct:  {backends: {b: {url: "ws://$b"}}}
  waiting: {backends: {b: {url: "ws://$b"}}, queue: {length: 10, wait: 20s}}
routes:
  loop: {match: {host: loop.example, path_prefix: /}, to: "pool://direct"}
  wait: {match: {host: wait.example, path_prefix: /}, to: "pool://waiting"}
%s`, certificate.File, certificate.KeyFile, defaults, more)
	all := map[string]string{routesFile: fill(routes, map[string]string{"b": b.authority()})}
	for name, text := range files {
		all[name] = text
	}
	return &waysSite{startFiles(t, all, routesFile), &tls.Config{RootCAs: authority.Pool()}}
}

// way asks for a path, with these lines in the header, and returns the answer.
type way struct {
	name      string
	handshake bool
	host      string
	ask       func(t *testing.T, path string, lines ...string) reply
}

func (s *waysSite) ways() []way {
	overTCP := func(t *testing.T) *proxytest.Raw { return connect(t, s.proxy) }
	overTLS := func(t *testing.T) *proxytest.Raw {
		conn, err := tls.Dial("tcp", s.address("secure"), s.client)
		if err != nil {
			t.Fatal(err)
		}
		return proxytest.RawOver(t, conn)
	}
	handshake := func(open func(*testing.T) *proxytest.Raw, host string, kept bool) func(*testing.T, string, ...string) reply {
		return func(t *testing.T, path string, lines ...string) reply {
			conn := open(t)
			if kept {
				ask(t, conn, request("GET /first HTTP/1.1", "Host: "+host))
			}
			return ask(t, conn, proxytest.Handshake{Target: path, Host: host, Extra: lines}.String())
		}
	}
	plain := func(open func(*testing.T) *proxytest.Raw) func(*testing.T, string, ...string) reply {
		return func(t *testing.T, path string, lines ...string) reply {
			return ask(t, open(t), request(append([]string{"GET " + path + " HTTP/1.1", "Host: loop.example"}, lines...)...))
		}
	}
	return []way{
		{"event loop", true, "loop.example", handshake(overTCP, "loop.example", false)},
		{"goroutine", true, "wait.example", handshake(overTCP, "wait.example", false)},
		{"kept connection", true, "loop.example", handshake(overTCP, "loop.example", true)},
		{"TLS", true, "loop.example", handshake(overTLS, "loop.example", false)},
		{"HTTP", false, "loop.example", plain(overTCP)},
		{"HTTP over TLS", false, "loop.example", plain(overTLS)},
		{"HTTP/2", false, "loop.example", s.overHTTP2},
	}
}

func (s *waysSite) overHTTP2(t *testing.T, path string, lines ...string) reply {
	transport := &http.Transport{TLSClientConfig: s.client.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.address("secure")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "loop.example"
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.ProtoMajor != 2 {
		t.Fatalf("%s, %v", answer.Proto, err)
	}
	return reply{answer.StatusCode, answer.Header, string(body)}
}

// secure reports whether the way goes over TLS.
func (w way) secure() bool {
	return slices.Contains([]string{"TLS", "HTTP over TLS", "HTTP/2"}, w.name)
}

// good is the status of an answer to a request that is not refused.
func (w way) good() int {
	if w.handshake {
		return http.StatusSwitchingProtocols
	}
	return http.StatusOK
}
