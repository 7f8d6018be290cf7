package e2e

// Backends that authenticate connections (NTLM, Negotiate): a client that has
// logged in is served by that connection, and no other client is.

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// loginServer is a backend as IIS is: three steps log a connection in. It says which
// user it takes the client for, and by which connection; tunnels are echoes, for
// users that have logged in.
func loginServer(t *testing.T) (b *proxytest.RawBackend, ended chan int64) {
	t.Helper()
	var count atomic.Int64
	ended = make(chan int64, 100)
	b = proxytest.NewRawBackend(t, func(conn net.Conn) {
		n := count.Add(1)
		defer func() { ended <- n }()
		in, user, step := bufio.NewReader(conn), "nobody", 0
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			status, challenge := "200 OK", ""
			switch credentials := r.Header.Get("Authorization"); {
			case credentials == "NTLM one":
				status, challenge, step = "401 Unauthorized", "NTLM two", 1
			case strings.HasPrefix(credentials, "NTLM three-") && step == 1:
				user = strings.TrimPrefix(credentials, "NTLM three-")
			case user == "nobody":
				status, challenge = "401 Unauthorized", "Negotiate\r\nWWW-Authenticate: NTLM"
			}
			if status == "200 OK" && r.Header.Get("Upgrade") != "" {
				fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-User: %s %d\r\nSec-WebSocket-Accept: %s\r\n\r\n",
					user, n, proxytest.Accept(r.Header.Get("Sec-WebSocket-Key")))
				io.Copy(conn, in)
				return
			}
			if challenge != "" {
				challenge = "WWW-Authenticate: " + challenge + "\r\n"
			}
			body := fmt.Sprintf("%s %d", user, n)
			fmt.Fprintf(conn, "HTTP/1.1 %s\r\n%sX-User: %s\r\nContent-Length: %d\r\n\r\n", status, challenge, body, len(body))
			if r.Method != "HEAD" {
				io.WriteString(conn, body)
			}
			if r.URL.Path == "/close" {
				return
			}
		}
	})
	return b, ended
}

// step asks with these credentials; upgrade makes it a handshake.
func step(t *testing.T, client *proxytest.Raw, credentials string, upgrade bool, path string) reply {
	t.Helper()
	lines := []string{"GET " + path + " HTTP/1.1", "Host: a"}
	if upgrade {
		lines = handshakeLines(path)
	}
	if credentials != "" {
		lines = append(lines, "Authorization: "+credentials)
	}
	return ask(t, client, request(lines...))
}

// logIn goes the three steps, the last of which must be answered with status.
func logIn(t *testing.T, client *proxytest.Raw, user string, upgrade bool, status int) reply {
	t.Helper()
	if got := step(t, client, "", upgrade, "/"); got.status != 401 {
		t.Fatalf("without a login: %d %q, wanted 401", got.status, got.body)
	}
	if got := step(t, client, "NTLM one", upgrade, "/"); got.status != 401 || got.header.Get("Www-Authenticate") != "NTLM two" {
		t.Fatalf("step one: %d %v", got.status, got.header)
	}
	got := step(t, client, "NTLM three-"+user, upgrade, "/")
	if got.status != status || !strings.HasPrefix(got.header.Get("X-User"), user+" ") {
		t.Fatalf("step three: %d %v %q, wanted %s to be in", got.status, got.header, got.body, user)
	}
	return got
}

// strangersAreNobody fails if a client that has not logged in is taken for one
// that has.
func strangersAreNobody(t *testing.T, p *proxy) {
	t.Helper()
	for range 6 {
		if got := step(t, connect(t, p), "", false, "/"); got.status != 401 || !strings.HasPrefix(got.body, "nobody ") {
			t.Fatalf("a stranger got %d %q", got.status, got.body)
		}
	}
}

func TestLoginIsOneClients(t *testing.T) {
	t.Parallel()
	b, ended := loginServer(t)
	routes := `routes: {all: {match: {path_prefix: /}, to: "http://` + b.Addr + `"%s}}`
	p := start(t, web+fmt.Sprintf(routes, ""))
	strangersAreNobody(t, p)
	alice, bob := connect(t, p), connect(t, p)
	in := logIn(t, alice, "alice", false, 200)
	strangersAreNobody(t, p)
	logIn(t, bob, "bob", false, 200)

	// Whatever comes next, edits and other methods between, is alice's.
	p.edit(web + fmt.Sprintf(routes, ", preserve_host: true"))
	for _, text := range []string{
		request("GET /a HTTP/1.1", "Host: a"),
		request("HEAD /a HTTP/1.1", "Host: a"),
		request("POST /a HTTP/1.1", "Host: a", "Content-Length: 4") + "body",
		request("POST /a HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "4\r\nbody\r\n0\r\n\r\n",
		request("POST /a HTTP/1.1", "Host: a", "Content-Length: 4", "Expect: 100-continue") + "body",
		request("GET /a HTTP/1.1", "Host: a", "Authorization: Basic eDp5"),
	} {
		if got := ask(t, alice, text); got.header.Get("X-User") != in.body {
			t.Errorf("%q: %d %q, wanted %q", text, got.status, got.header.Get("X-User"), in.body)
		}
	}
	strangersAreNobody(t, p)
	if got := step(t, bob, "", false, "/"); !strings.HasPrefix(got.body, "bob ") {
		t.Errorf("bob is %q", got.body)
	}

	// Her upgrade too. The connection ends with the tunnel, and bob's with bob.
	if got := step(t, alice, "", true, "/socket"); got.status != 101 || got.header.Get("X-User") != in.body {
		t.Fatalf("the upgrade: %d %v, wanted 101 for %q", got.status, got.header, in.body)
	}
	echoBytes(t, alice, "\x81\x82\x00\x00\x00\x00me")
	strangersAreNobody(t, p)
	for len(ended) > 0 {
		<-ended
	}
	alice.Close()
	if got := fmt.Sprint("alice ", arrives(t, ended)); got != in.body {
		t.Errorf("%q ended with alice, wanted %q", got, in.body)
	}
	bob.Close()
	arrives(t, ended)
}

// TestLoginInHandshakes: a browser opens a WebSocket by a connection of its own and
// logs that one in, by handshakes alone.
func TestLoginInHandshakes(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"direct": "", "by name": ", on_backend_loss: redial"} {
		t.Run(name, func(t *testing.T) {
			b, _ := loginServer(t)
			p := start(t, web+`routes: {all: {match: {path_prefix: /}, to: "ws://`+b.Addr+`"`+key+`}}`)
			alice := connect(t, p)
			logIn(t, alice, "alice", true, 101)
			strangersAreNobody(t, p)
			echoBytes(t, alice, "\x81\x82\x00\x00\x00\x00me")

			mixed := connect(t, p) // handshakes and requests go by one connection
			step(t, mixed, "NTLM one", true, "/")
			in := step(t, mixed, "NTLM three-bob", false, "/")
			if got := step(t, mixed, "", true, "/"); got.status != 101 || got.header.Get("X-User") != in.body || !strings.HasPrefix(in.body, "bob ") {
				t.Errorf("the upgrade: %d for %q, wanted %q", got.status, got.header.Get("X-User"), in.body)
			}
			strangersAreNobody(t, p)
		})
	}
}

// TestLoginKeepsItsBackend: of a pool's backends it is the one that knows the user.
func TestLoginKeepsItsBackend(t *testing.T) {
	t.Parallel()
	one, _ := loginServer(t)
	two, _ := loginServer(t)
	p := start(t, web+fill(`
pools: {iis: {balance: round_robin, backends: {one: {url: "http://$one"}, two: {url: "http://$two"}}}}
routes: {all: {match: {path_prefix: /}, to: "pool://iis", retry: {others: 1}}}
`, map[string]string{"one": one.Addr, "two": two.Addr}))
	alice := connect(t, p)
	in := logIn(t, alice, "alice", false, 200)
	for range 4 {
		strangersAreNobody(t, p)
		if got := step(t, alice, "", false, "/"); got.body != in.body {
			t.Errorf("alice is %q, wanted %q", got.body, in.body)
		}
	}
	// The backend ends the connection: the login is gone, and alice with it.
	step(t, alice, "", false, "/close")
	if got := step(t, alice, "", false, "/"); got.status != 401 || !strings.HasPrefix(got.body, "nobody ") {
		t.Errorf("after the backend has closed: %d %q, wanted 401", got.status, got.body)
	}
	if got := step(t, alice, "", true, "/"); got.status != 401 {
		t.Errorf("a handshake after that: %d, wanted 401", got.status)
	}
}

// TestLoginThroughAProxy: a trusted proxy's connections may carry many users, and
// an HTTP/2 connection many requests at once.
func TestLoginThroughAProxy(t *testing.T) {
	t.Parallel()
	b, _ := loginServer(t)
	routes := fill(`
trusted_proxies: [127.0.0.0/8]
routes:
  all: {match: {path_prefix: /}, to: "http://$b"}
  one: {match: {path_prefix: /one}, to: "http://$b/", ntlm: pin_through_proxy}
`, map[string]string{"b": b.Addr})
	p := start(t, web+routes)
	client := connect(t, p)
	accepted := b.Accepted()
	for _, upgrade := range []bool{false, true} {
		path := fmt.Sprint("/x", upgrade)
		got := step(t, client, "NTLM one", upgrade, path)
		entry := mustBeOwn(t, p, got, 502, path)
		if !strings.Contains(entry.text("error"), "ntlm: pin_through_proxy") {
			t.Errorf("upgrade %v: the log says %q, and not what to write", upgrade, entry.text("error"))
		}
		if b.Accepted() != accepted {
			t.Errorf("upgrade %v: the backend has seen the credentials", upgrade)
		}
		path = fmt.Sprint("/y", upgrade)
		mustBeOwn(t, p, step(t, client, "", upgrade, path), 502, path) // the backend asks for a login
		accepted = b.Accepted()
	}
	in := connect(t, p)
	step(t, in, "NTLM one", false, "/one/")
	if got := step(t, in, "NTLM three-carol", false, "/one/"); !strings.HasPrefix(got.body, "carol ") {
		t.Errorf("pin_through_proxy: %d %q, wanted carol", got.status, got.body)
	}
}

func TestLoginOverHTTP2(t *testing.T) {
	t.Parallel()
	b, _ := loginServer(t)
	authority := proxytest.NewAuthority(t)
	p := start(t, overTLS("", authority.Issue([]string{"127.0.0.1"}))+`routes: {all: {match: {path_prefix: /}, to: "http://`+b.Addr+`"}}`)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}
	defer transport.CloseIdleConnections()
	for _, credentials := range []string{"", "NTLM one", "Negotiate YII="} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+p.address("web")+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if credentials != "" {
			r.Header.Set("Authorization", credentials)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.ProtoMajor != 2 || answer.StatusCode != 502 || !strings.Contains(string(text), "HTTP/2") {
			t.Errorf("%q: %s %d %q, wanted 502 with a hint", credentials, answer.Proto, answer.StatusCode, text)
		}
	}
}
