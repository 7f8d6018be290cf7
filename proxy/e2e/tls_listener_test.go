package e2e

// TLS towards clients: which certificate they are shown, which of theirs is
// asked for, and what becomes of clients without TLS.

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// files is a certificate as a listener's.
func files(c *proxytest.Certificate) string {
	return fmt.Sprintf("{certificate: %s, key: %s}", c.File, c.KeyFile)
}

// overTLS begins a routes file with one listener, web, that shows these certificates.
func overTLS(more string, certificates ...*proxytest.Certificate) string {
	var all []string
	for _, c := range certificates {
		all = append(all, files(c))
	}
	return fmt.Sprintf("version: 1\nlisteners: {web: {address: \"127.0.0.1:0\", tls: {certificates: [%s]%s}}}\n", strings.Join(all, ", "), more)
}

// handshake opens a bare connection over TLS.
func handshake(t testing.TB, p *proxy, config *tls.Config) (*proxytest.Raw, tls.ConnectionState) {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address("web"), config)
	if err != nil {
		t.Fatal(err)
	}
	return proxytest.RawOver(t, conn), conn.ConnectionState()
}

// TestSNI: the name that the client asks for chooses the certificate; without
// one of its own it is shown the first.
func TestSNI(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	p := start(t, overTLS("", authority.Issue([]string{"first.test"}), authority.Issue([]string{"*.wild.test", "wild.test"}), authority.Issue([]string{"last.test"}))+
		"routes: {all: {respond: {body: secure}}}\n")
	for name, want := range map[string]string{
		"first.test": "first.test", "last.test": "last.test", "LAST.test": "last.test",
		"a.wild.test": "*.wild.test", "wild.test": "*.wild.test", "a.b.wild.test": "first.test",
		"unknown.test": "first.test", "": "first.test",
	} {
		client, state := handshake(t, p, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if got := state.PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("asked for %q: shown %q, wanted %q", name, got, want)
		}
		if state.Version < tls.VersionTLS12 {
			t.Errorf("asked for %q: TLS version %x", name, state.Version)
		}
		if got := ask(t, client, request("GET / HTTP/1.1", "Host: a")); got.body != "secure" {
			t.Errorf("asked for %q: %d %q", name, got.status, got.body)
		}
	}
}

// TestOldTLS is refused: 1.2 is the least.
func TestOldTLS(t *testing.T) {
	t.Parallel()
	p := start(t, overTLS("", proxytest.NewAuthority(t).Issue([]string{"a.test"}))+"routes: {}\n")
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", p.address("web"), config); err == nil {
		conn.Close()
		t.Error("TLS 1.1 was taken, wanted a refusal")
	}
}

// TestClientCertificates: with client_ca no client is served without a certificate
// of that authority, and the backend is told which it was (RFC 9440).
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	authority, stranger := proxytest.NewAuthority(t), proxytest.NewAuthority(t)
	b := newBackend(t, "b")
	p := start(t, overTLS(", client_ca: "+authority.File, authority.Issue([]string{"127.0.0.1"}))+
		"routes: {all: {to: \""+b.url("ws")+"\"}}\n")

	known := authority.Issue([]string{"somebody"}).Pair
	config := &tls.Config{RootCAs: authority.Pool(), Certificates: []tls.Certificate{known}}
	want := ":" + base64.StdEncoding.EncodeToString(known.Certificate[0]) + ":"
	forged := http.Header{"Client-Cert": {":Zm9yZ2Vk:"}, "Client_Cert": {":Zm9yZ2Vk:"}, "Client-Cert-Chain": {":Zm9yZ2Vk:"}}
	conn, _ := dialWith(t, "wss://"+p.address("web")+"/", websocket.Dialer{TLSClientConfig: config}, forged)
	echo(t, conn, "verified")
	mustTellCertificate(t, b.last(t).Header, want)

	client, _ := handshake(t, p, config)
	if got := ask(t, client, request("GET / HTTP/1.1", "Host: a", "Client-Cert: :Zm9yZ2Vk:")); got.status != 200 {
		t.Fatalf("%d %q, wanted the backend's answer", got.status, got.body)
	}
	mustTellCertificate(t, b.last(t).Header, want)
	if got := b.last(t).Header.Get("X-Forwarded-Proto"); got != "https" {
		t.Errorf("the backend got X-Forwarded-Proto %q, wanted https", got)
	}

	for name, certificates := range map[string][]tls.Certificate{
		"none":       nil,
		"a stranger": {stranger.Issue([]string{"somebody"}).Pair},
		"expired":    {authority.Issue([]string{"somebody"}, proxytest.Expired).Pair},
	} {
		asked := len(b.requests())
		mustNotBeHeard(t, p, &tls.Config{RootCAs: authority.Pool(), Certificates: certificates}, name)
		if len(b.requests()) != asked {
			t.Errorf("%s: the backend was asked all the same", name)
		}
	}
}

func mustTellCertificate(t *testing.T, got http.Header, want string) {
	t.Helper()
	if fmt.Sprint(got["Client-Cert"]) != "["+want+"]" || got["Client-Cert-Chain"] != nil || got["Client_cert"] != nil {
		t.Errorf("the backend got Client-Cert %v, -Chain %v, _ %v, wanted the client's alone", got["Client-Cert"], got["Client-Cert-Chain"], got["Client_cert"])
	}
}

// mustNotBeHeard: TLS 1.3's client only learns of its certificate's refusal when it reads.
func mustNotBeHeard(t *testing.T, p *proxy, config *tls.Config, name string) {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address("web"), config)
	if err != nil {
		return
	}
	defer conn.Close()
	setDeadline(t, conn)
	fmt.Fprint(conn, request("GET / HTTP/1.1", "Host: a"))
	if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
		t.Errorf("%s: answered %s, wanted no answer", name, answer.Status)
	}
}

// TestStrangersClientCert: without client_ca a Client-Cert header is any client's claim.
func TestStrangersClientCert(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+"routes: {all: {to: \""+b.url("ws")+"\"}}\n")
	for _, text := range []string{
		request("GET / HTTP/1.1", "Host: a", "Client-Cert: :Zm9yZ2Vk:", "Client-Cert-Chain: :Zm9yZ2Vk:", "client_cert: x"),
		proxytest.Handshake{Extra: []string{"Client-Cert: :Zm9yZ2Vk:", "CLIENT-CERT-CHAIN: :Zm9yZ2Vk:", "Client_Cert: x"}}.String(),
	} {
		ask(t, connect(t, p), text)
		for name := range b.last(t).Header {
			if strings.HasPrefix(strings.ToLower(strings.ReplaceAll(name, "_", "-")), "client-cert") {
				t.Errorf("the backend got %s", name)
			}
		}
	}
}

// TestPlaintextToTLS: a client that speaks HTTP to a TLS listener is told so, and the
// listener goes on.
func TestPlaintextToTLS(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	p := start(t, overTLS("", authority.Issue([]string{"127.0.0.1"}))+"routes: {echo: {to: \"internal://echo\"}}\n")
	for _, text := range []string{
		request("GET / HTTP/1.1", "Host: a"),
		request("POST /path HTTP/1.1", "Host: a", "Content-Length: 3") + "abc",
		request("CONNECT a:1 HTTP/1.1", "Host: a:1"),
		request("TRACE / HTTP/1.1", "Host: a"),
		proxytest.Handshake{}.String(),
	} {
		client := connect(t, p)
		got := ask(t, client, text)
		if got.status != 400 || !strings.Contains(got.body, "https://") || !strings.Contains(got.body, "wss://") {
			t.Errorf("%q: %d %q, wanted 400 and which schemes to use", text, got.status, got.body)
		}
	}
	client := connect(t, p)
	client.Send("\x00\x01 neither TLS nor HTTP \r\n\r\n")
	if rest := client.Rest(); strings.Contains(rest, "HTTP") {
		t.Errorf("neither TLS nor HTTP: answered %q", rest)
	}
	conn, _ := dialWith(t, "wss://"+p.address("web")+"/", websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}, nil)
	echo(t, conn, "over TLS")
}

// TestHTTP2: offered where TLS is on, unless the file says no; a client that
// speaks it gets the same routes.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	certificate := files(authority.Issue([]string{"127.0.0.1"}))
	b := newBackend(t, "b")
	p := start(t, fill(`version: 1
listeners:
  web: {address: "127.0.0.1:0", tls: {certificates: [$c]}}
  off: {address: "127.0.0.1:0", tls: {certificates: [$c]}, http2: false}
routes:
  all: {match: {path_prefix: /}, to: "$b", limits: {header_bytes: 2KiB, body_bytes: 10}}
`, map[string]string{"c": certificate, "b": b.url("http")}))
	for listener, want := range map[string]int{"web": 2, "off": 1} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		send := func(body string, header string) (int, int) {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+p.address(listener)+"/x", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Padding", header)
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			return answer.ProtoMajor, answer.StatusCode
		}
		for _, tt := range []struct {
			body, header string
			status       int
		}{
			{"fits", "", 200},
			{"more than ten", "", 413},
			{"fits", strings.Repeat("a", 3000), 431},
		} {
			if proto, status := send(tt.body, tt.header); proto != want || status != tt.status {
				t.Errorf("%s: HTTP/%d %d, wanted HTTP/%d %d", listener, proto, status, want, tt.status)
			}
		}
	}
	// A WebSocket on a listener with HTTP/2 goes over HTTP/1.1.
	conn, _ := dialWith(t, "wss://"+p.address("web")+"/", websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), NextProtos: []string{"http/1.1"}}}, nil)
	echo(t, conn, "beside HTTP/2")
}

// TestCertificateIsWatched: a new certificate under the same name is taken live,
// and the open tunnel goes on.
func TestCertificateIsWatched(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	before, after := authority.Issue([]string{"127.0.0.1", "before.test"}), authority.Issue([]string{"127.0.0.1", "after.test"})
	const routes = `version: 1
listeners: {web: {address: "127.0.0.1:0", tls: {certificates: [{certificate: tls/site.crt, key: tls/site.key}]}}}
routes: {echo: {to: "internal://echo"}}
`
	p := startFiles(t, map[string]string{
		routesFile: routes, "tls/site.crt": read(t, before.File), "tls/site.key": read(t, before.KeyFile),
	}, routesFile)
	config := &tls.Config{RootCAs: authority.Pool()}
	conn, _ := dialWith(t, "wss://"+p.address("web")+"/", websocket.Dialer{TLSClientConfig: config}, nil)
	echo(t, conn, "before")

	m := p.log.mark()
	p.write("tls/site.key", read(t, after.KeyFile)) // for a moment the two do not belong together
	p.write("tls/site.crt", read(t, after.File))
	p.waitLogAfter(m, "routes loaded", nil)
	_, state := handshake(t, p, config)
	if err := state.PeerCertificates[0].VerifyHostname("after.test"); err != nil {
		t.Error(err)
	}
	echo(t, conn, "after")
}
