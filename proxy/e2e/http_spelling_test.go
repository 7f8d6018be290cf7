package e2e

// Header names keep the spelling in which they were sent, in every way that a request
// or an answer can go: some software compares case.

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// wantLines fails unless a head has each of these, from a line's beginning on.
func wantLines(t *testing.T, what, head string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !strings.Contains(head, "\r\n"+line) {
			t.Errorf("%s: no line %q in %q", what, line, head)
		}
	}
}

// noNames fails if a head has a line of one of these names, in this spelling.
func noNames(t *testing.T, what, head string, names ...string) {
	t.Helper()
	for _, name := range names {
		if strings.Contains(head, "\r\n"+name+":") {
			t.Errorf("%s: a line %s in %q", what, name, head)
		}
	}
}

// rawHead sends text and reads the answer's head as it is.
func rawHead(t *testing.T, client *proxytest.Raw, text string) string {
	t.Helper()
	client.Send(text)
	head, err := proxytest.ReadHead(client.Reader)
	if err != nil {
		t.Fatalf("%v after %q", err, head)
	}
	return head
}

// spelledLines are a client's: old names, two spellings of one, and what must not come
// through however it is spelled.
var spelledLines = []string{
	"SOAPAction: x", "api_key: k", "DNT: 1", "X-UNIFI: 1", "x-two: 1", "X-Two: 2", "X-Three: 1", "x-three: 2",
	"x-route-set: mine", "x-route-ADDED: mine", "X-ROUTE-removed: mine", "x_route_set: mine",
	"x-forwarded-for: 1.1.1.1", "X-REAL-IP: 1.1.1.1", "x-request-ID: mine", "x_forwarded_for: 1.1.1.1", "x-hop: 1", "PROXY-authorization: p",
}

func mustBeSpelled(t *testing.T, what, head string) {
	t.Helper()
	wantLines(t, what, head, "SOAPAction: x", "api_key: k", "DNT: 1", "X-UNIFI: 1", "x-two: 1", "x-two: 2", "X-Three: 1", "X-Three: 2",
		"X-Route-SET: rule", "X-route-added: mine", "X-route-added: rule", "X-Forwarded-For: 127.0.0.1\r\n", "X-Real-Ip: 127.0.0.1", "X-Request-Id: ")
	lower := strings.ToLower(head)
	noNames(t, what, lower, "x-hop", "proxy-authorization", "x_forwarded_for", "x_route_set", "x-route-removed")
	for _, once := range []string{"x-forwarded-for", "x-real-ip", "x-request-id", "x-route-set", "host"} {
		if n := strings.Count(lower, "\r\n"+once+":"); n != 1 {
			t.Errorf("%s: %d lines of %s in %q", what, n, once, head)
		}
	}
}

const spelledRoutes = `
defaults:
  headers:
    request:  {set: {X-Route-SET: rule}, add: {X-route-added: rule}, remove: [X-Route-Removed]}
    response: {set: {X-Answer-SET: rule}, remove: [x-answer-REMOVED]}
pools:
  waiting: {backends: {b: {url: "ws://$b"}}, queue: {length: 100, wait: 20s}}
routes:
  own:  {match: {path: /own}, respond: {headers: {X-OWN: "1"}, body: own}}
  only: {match: {path: /only, upgrade: websocket}, to: "ws://$b"}
  wait: {match: {path_prefix: /wait}, to: "pool://waiting"}
  all:  {match: {path_prefix: /}, to: "ws://$b"}
`

func TestSpellingOfRequests(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/ws": repeat(switching()), "/wait": repeat(switching())})
	values := map[string]string{"b": b.Addr}
	plain := start(t, web+fill(spelledRoutes, values))
	secure := start(t, overTLS("", proxytest.NewAuthority(t).Issue([]string{"a.test"}))+fill(spelledRoutes, values))
	for way, dial := range map[string]func() *proxytest.Raw{
		"plain": func() *proxytest.Raw { return connect(t, plain) },
		"TLS": func() *proxytest.Raw {
			client, _ := handshake(t, secure, &tls.Config{ServerName: "a.test", InsecureSkipVerify: true})
			return client
		},
	} {
		client := dial()
		for _, target := range []string{"/first", "/second"} {
			lines := append([]string{"POST " + target + "-" + way + " HTTP/1.1", "hOST: a", "CONNECTION: keep-alive, X-HOP", "content-LENGTH: 2"}, spelledLines...)
			ask(t, client, request(lines...)+"ab")
			head := b.headOf(t, target+"-"+way)
			mustBeSpelled(t, way+target, head)
			wantLines(t, way+target, head, "Content-Length: 2")
		}
		// What one request has spelled is nothing to the next.
		ask(t, client, request("GET /third-"+way+" HTTP/1.1", "Host: a", "Soapaction: x", "Dnt: 1"))
		wantLines(t, way, b.headOf(t, "/third-"+way), "Soapaction: x", "Dnt: 1")
		for _, target := range []string{"/ws", "/wait"} {
			for _, kept := range []string{"", "-kept"} {
				if kept == "" {
					client = dial()
				} else {
					client = dial()
					ask(t, client, request("GET /before HTTP/1.1", "Host: a", "x-before: 1"))
				}
				path := target + "-" + way + kept
				lines := append([]string{"GET " + path + " HTTP/1.1", "host: a", "upgrade: WebSocket", "connection: upgrade, X-HOP",
					"sec-websocket-KEY: " + proxytest.SampleKey, "SEC-WEBSOCKET-version: 13"}, spelledLines...)
				if answer := rawHead(t, client, request(lines...)); !strings.HasPrefix(answer, "HTTP/1.1 101 ") {
					t.Fatalf("%s: %q", path, answer)
				}
				head := b.headOf(t, path)
				mustBeSpelled(t, path, head)
				wantLines(t, path, head, "Sec-WebSocket-Key: "+proxytest.SampleKey, "Sec-WebSocket-Version: 13", "Upgrade: websocket", "Connection: Upgrade")
				noNames(t, path, head, "X-Before", "x-before")
			}
		}
	}
}

func TestSpellingOfAnswers(t *testing.T) {
	t.Parallel()
	lines := []string{"ETag: 1", "x-lower: 1", "X-Jenkins-JNLP-Port: 5", "x-answer-set: theirs", "X-ANSWER-Removed: r", "connection: X-HOP", "x-hop: 1"}
	mine := "\r\n" + strings.Join(lines, "\r\n")
	switched := strings.Replace(switching(), " Switching Protocols\r\n", " Web Socket Protocol Handshake"+mine+"\r\n", 1)
	switched = strings.Replace(switched, "connection: X-HOP", "connection: X-HOP, upgrade", 1)
	switched = strings.Replace(switched, "Connection: Upgrade\r\n", "", 1)
	upgrade := "HTTP/1.1 426 No" + mine + "\r\nUPGRADE: websocket\r\nsec-websocket-version: 13\r\ncontent-length: 0\r\n\r\n"
	b := newWire(t, map[string]script{
		"/ws":   repeat(switched),
		"/wait": repeat(switched),
		"/426":  keep(upgrade),
		"/http": keep("HTTP/1.1 200 Fine" + mine + "\r\ncontent-length: 2\r\ncontent-TYPE: text/x\r\nDATE: then\r\n\r\nok"),
		"/cut":  say("HTTP/1.1 200 Fine\r\nx-request-ID: 1\r\nALLOW: x\r\ncontent-length: 20\r\n\r\nok"),
	})
	p := start(t, web+fill(spelledRoutes, map[string]string{"b": b.Addr}))
	check := func(what, head, status string) {
		t.Helper()
		if !strings.HasPrefix(head, "HTTP/1.1 "+status) {
			t.Errorf("%s: %q, wanted %s", what, head, status)
		}
		wantLines(t, what, head, "ETag: 1", "x-lower: 1", "X-Jenkins-JNLP-Port: 5", "X-Answer-SET: rule")
		noNames(t, what, strings.ToLower(head), "x-answer-removed", "x-hop")
	}
	for _, kept := range []bool{false, true} {
		dial := func() *proxytest.Raw {
			client := connect(t, p)
			if kept {
				ask(t, client, request("GET /before HTTP/1.1", "Host: a"))
			}
			return client
		}
		for _, path := range []string{"/ws", "/wait"} {
			head := rawHead(t, dial(), proxytest.Handshake{Target: path}.String())
			check(path, head, "101 Web Socket Protocol Handshake\r\n")
			wantLines(t, path, head, "Sec-WebSocket-Accept: ", "Connection: Upgrade\r\n", "Upgrade: websocket")
		}
		head := rawHead(t, dial(), proxytest.Handshake{Target: "/426"}.String())
		check("/426", head, "426 ")
		wantLines(t, "/426", head, "Sec-WebSocket-Version: 13", "Upgrade: websocket")
		head = rawHead(t, dial(), request("GET /http HTTP/1.1", "Host: a"))
		check("/http", head, "200 ")
		wantLines(t, "/http", head, "Content-Length: 2", "Content-Type: text/x", "Date: then")
		for _, name := range []string{"content-length", "content-type", "date"} {
			if n := strings.Count(strings.ToLower(head), "\r\n"+name+":"); n != 1 {
				t.Errorf("%d lines of %s in %q", n, name, head)
			}
		}
	}
	// The proxy's own answers.
	wantLines(t, "/own", rawHead(t, connect(t, p), request("GET /own HTTP/1.1", "Host: a")), "X-OWN: 1", "X-Answer-SET: rule")
	old := rawHead(t, connect(t, p), strings.Replace(proxytest.Handshake{Target: "/ws"}.String(), "Version: 13", "Version: 7", 1))
	wantLines(t, "version 7", old, "Sec-WebSocket-Version: 13")
	noNames(t, "the answer that took the place of a broken one",
		rawHead(t, connect(t, p), request("GET /cut HTTP/1.1", "Host: a")), "x-request-ID", "ALLOW")
}

// TestSpellingOverHTTP2: names are lower case there, whatever they are on the other side.
func TestSpellingOverHTTP2(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/": keep("HTTP/1.1 200 OK\r\nX-ODD: 1\r\nx-lower: 2\r\nContent-Length: 0\r\n\r\n")})
	p := start(t, overTLS("", proxytest.NewAuthority(t).Issue([]string{"a.test"}))+fill(spelledRoutes, map[string]string{"b": b.Addr}))
	transport := &http.Transport{TLSClientConfig: &tls.Config{ServerName: "a.test", InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+p.address("web")+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Soapaction": {"x"}, "X-Route-Set": {"mine"}}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.ProtoMajor != 2 || answer.Header.Get("X-Odd") != "1" || answer.Header.Get("X-Lower") != "2" || answer.Header.Get("X-Answer-Set") != "rule" {
		t.Errorf("the client got %s %v", answer.Proto, answer.Header)
	}
	wantLines(t, "HTTP/2", b.last(t), "Soapaction: x", "X-Route-SET: rule")
}

// TestSpellingOfRedials: the second handshake is spelled as the first was.
func TestSpellingOfRedials(t *testing.T) {
	t.Parallel()
	leave := make(chan struct{})
	a := newWire(t, map[string]script{"/": func(conn net.Conn, _ *bufio.Reader, head string) bool {
		io.WriteString(conn, accepting(switching(), head))
		<-leave
		return false
	}})
	b := newWire(t, map[string]script{"/": repeat(switching())})
	urls := map[string]string{"a": "ws://" + a.Addr, "b": "ws://" + b.Addr}
	const route = "    headers: {request: {set: {X-Route-SET: rule}}}\n"
	p := start(t, redialling(urls, map[string]string{"b": ", standby: true"}, "", route))
	client := connect(t, p)
	rawHead(t, client, proxytest.Handshake{Target: "/", Extra: []string{"api_key: k", "DNT: 1", "x-two: 1", "X-Two: 2"}}.String())
	close(leave)
	p.waitLog("tunnel redialled", nil)
	sorted := func(head string) []string {
		lines := slices.DeleteFunc(strings.Split(head, "\r\n"), func(l string) bool {
			return strings.HasPrefix(l, "Sec-WebSocket-Key: ") || strings.HasPrefix(l, "Host: ")
		})
		slices.Sort(lines)
		return lines
	}
	wantLines(t, "redial", b.last(t), "api_key: k", "DNT: 1", "x-two: 1", "x-two: 2", "X-Route-SET: rule", "Sec-WebSocket-Key: ")
	if got, want := sorted(b.last(t)), sorted(a.last(t)); !slices.Equal(got, want) {
		t.Errorf("the second handshake was\n%q\nwanted\n%q", got, want)
	}
}

// TestSpellingOfProbes: as the file has it, and RFC 6455.
func TestSpellingOfProbes(t *testing.T) {
	t.Parallel()
	heads := map[string]chan string{"/ws": make(chan string, 100), "/http": make(chan string, 100)}
	noting := func(path string, answer script) script {
		return func(conn net.Conn, in *bufio.Reader, head string) bool {
			heads[path] <- head
			return answer(conn, in, head)
		}
	}
	b := newWire(t, map[string]script{"/ws": noting("/ws", repeat(switching())), "/http": noting("/http", keep(ok))})
	start(t, web+fill(`
pools:
  ws:   {backends: {b: {url: "ws://$b"}}, health: {interval: 1s, websocket: {path: /ws, headers: {api_key: k, DNT: "1"}}}}
  http: {backends: {b: {url: "http://$b"}}, health: {interval: 1s, http: {path: /http, headers: {api_key: k, DNT: "1"}}}}
routes:
  ws:   {match: {path: /ws}, to: "pool://ws"}
  http: {match: {path: /http}, to: "pool://http"}
`, map[string]string{"b": b.Addr}))
	wantLines(t, "websocket", <-heads["/ws"], "api_key: k", "DNT: 1", "Sec-WebSocket-Key: ", "Sec-WebSocket-Version: 13")
	wantLines(t, "http", <-heads["/http"], "api_key: k", "DNT: 1", "User-Agent: ")
}

// TestSpellingOfTrace: TRACE sends back what came.
func TestSpellingOfTrace(t *testing.T) {
	t.Parallel()
	p := start(t, web+"routes: {all: {match: {path_prefix: /, methods: [TRACE]}, to: \"http://127.0.0.1:9\"}}\n")
	got := ask(t, connect(t, p), request("TRACE / HTTP/1.1", "Host: a", "max-forwards: 0", "DNT: 1", "api_key: k", "COOKIE: c"))
	wantLines(t, "TRACE", got.body, "max-forwards: 0", "DNT: 1", "api_key: k")
	noNames(t, "TRACE", strings.ToLower(got.body), "cookie")
}
