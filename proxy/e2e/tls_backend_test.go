package e2e

// TLS towards backends: which certificates the proxy accepts, which name it
// asks for, which certificate it shows; and WebSockets that are encrypted all the way.

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// seenTLS is a backend that answers which name it was asked for and whose
// certificate it was shown.
func seenTLS(t testing.TB, certificate *proxytest.Certificate) *proxytest.Server {
	return proxytest.ServeTLS(t, certificate, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			peer = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		io.WriteString(w, r.TLS.ServerName+" "+peer)
	}))
}

// TestBackendTLS: each key of backend_tls, on a route and on a backend of a pool,
// which goes first.
func TestBackendTLS(t *testing.T) {
	t.Parallel()
	authority, other := proxytest.NewAuthority(t), proxytest.NewAuthority(t)
	open := seenTLS(t, authority.Issue([]string{"127.0.0.1", "inside.test"}))
	named := seenTLS(t, authority.Issue([]string{"inside.test"}))
	picky := authority.Issue([]string{"127.0.0.1"})
	picky.Clients = authority
	closed := seenTLS(t, picky)
	own := authority.Issue([]string{"the-proxy"})
	p := start(t, web+fill(`
pools:
  named:   {backends: {a: {url: "https://$named", tls: {ca: $ca, server_name: inside.test}}}}
  closed:  {backends: {a: {url: "https://$closed", tls: {ca: $ca, certificate: $cert, key: $key}}}}
  trust:   {backends: {a: {url: "https://$open", tls: {insecure: true}}}}
  verify:  {backends: {a: {url: "https://$open", tls: {insecure: false}}}}
  mixed:   {backends: {a: {url: "https://$named", tls: {server_name: inside.test}}}}
routes:
  none:     {match: {path: /none}, to: "https://$open"}
  ca:       {match: {path: /ca}, to: "https://$open", backend_tls: {ca: $ca}}
  wrong:    {match: {path: /wrong-ca}, to: "https://$open", backend_tls: {ca: $other}}
  name:     {match: {path: /name}, to: "https://$named", backend_tls: {ca: $ca, server_name: inside.test}}
  badname:  {match: {path: /bad-name}, to: "https://$named", backend_tls: {ca: $ca, server_name: outside.test}}
  cert:     {match: {path: /cert}, to: "https://$closed", backend_tls: {ca: $ca, certificate: $cert, key: $key}}
  nocert:   {match: {path: /no-cert}, to: "https://$closed", backend_tls: {ca: $ca}}
  insecure: {match: {path: /insecure}, to: "https://$named", backend_tls: {insecure: true}}
  p-named:  {match: {path: /pool/named}, to: "pool://named"}
  p-closed: {match: {path: /pool/closed}, to: "pool://closed"}
  p-trust:  {match: {path: /pool/trust}, to: "pool://trust"}
  p-verify: {match: {path: /pool/verify}, to: "pool://verify", backend_tls: {insecure: true}}
  p-mixed:  {match: {path: /pool/mixed}, to: "pool://mixed", backend_tls: {ca: $ca, server_name: outside.test}}
`, map[string]string{
		"open": open.Addr, "named": named.Addr, "closed": closed.Addr, "ca": authority.File, "other": other.File,
		"cert": own.File, "key": own.KeyFile,
	}))
	for path, want := range map[string]string{ // "" is 502
		"/none": "", "/ca": " nobody", "/wrong-ca": "",
		"/name": "inside.test nobody", "/bad-name": "",
		"/cert": " the-proxy", "/no-cert": "",
		"/insecure":   " nobody",
		"/pool/named": "inside.test nobody", "/pool/closed": " the-proxy", "/pool/trust": " nobody",
		"/pool/verify": "", "/pool/mixed": "inside.test nobody",
	} {
		got := get(t, p.http(path))
		if want == "" && got.status != 502 || want != "" && (got.status != 200 || got.body != want) {
			t.Errorf("%s: %d %q, wanted %q", path, got.status, got.body, want)
		}
	}
}

// TestEncryptedAllTheWay: wss to the proxy, wss to the backend, and compressed
// messages pass as the bytes they are.
func TestEncryptedAllTheWay(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	certificate := authority.Issue([]string{"127.0.0.1"})
	backend := proxytest.EchoServer(t, proxytest.EchoOptions{TLS: certificate, Compression: true, Subprotocols: []string{"chat.v2"}})
	p := start(t, overTLS("", certificate)+"routes: {all: {to: \""+backend.WS()+"\", strict: true, backend_tls: {ca: "+authority.File+"}}}\n")
	dialer := websocket.Dialer{
		TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, EnableCompression: true, Subprotocols: []string{"chat.v1", "chat.v2"},
	}
	conn, answer := dialWith(t, "wss://"+p.address("web")+"/", dialer, nil)
	if got := answer.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate") || conn.Subprotocol() != "chat.v2" {
		t.Fatalf("extensions %q, subprotocol %q, wanted permessage-deflate and chat.v2", got, conn.Subprotocol())
	}
	text := strings.Repeat("compress me, please; ", 5000)
	echo(t, conn, text)
	echo(t, conn, "")
	conn.EnableWriteCompression(false)
	echo(t, conn, "not compressed")
	conn.Close()
	closed := p.waitLog("tunnel closed", fields{"messages_from_client": 3, "messages_from_backend": 3})
	for _, side := range []string{"bytes_from_client", "bytes_from_backend"} {
		if n := closed.number(t, side); n <= 0 || n > int64(len(text)/10) {
			t.Errorf("%s is %d for %d compressible ones: not passed on compressed", side, n, len(text))
		}
	}
}

func TestBadCertificates(t *testing.T) {
	t.Parallel()
	authority, stranger := proxytest.NewAuthority(t), proxytest.NewAuthority(t)
	here := []string{"127.0.0.1"}
	serve := func(certificate *proxytest.Certificate) string {
		return proxytest.ServeTLS(t, certificate, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "reached")
		})).Addr
	}
	picky := authority.Issue(here)
	picky.Clients = authority
	plain := proxytest.NewRawBackend(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	backends := map[string]struct{ address, because string }{
		"expired":   {serve(authority.Issue(here, proxytest.Expired)), "expired"},
		"name":      {serve(authority.Issue([]string{"other.example"})), "name mismatch"},
		"authority": {serve(stranger.Issue(here)), "unknown authority"},
		"client":    {serve(picky), "certificate"},
	}
	routes := web + "defaults: {backend_tls: {ca: " + authority.File + "}, timeouts: {connect: 10s}}\nroutes:\n"
	for name, b := range backends {
		routes += "  " + name + `: {match: {path: /` + name + `}, to: "wss://` + b.address + "/\"}\n"
	}
	routes += `  plain: {match: {path: /plain}, to: "wss://` + plain.Addr + `/", timeouts: {connect: 50ms}}` + "\n"
	p := start(t, routes)

	for name, b := range backends {
		for kind, text := range map[string]string{
			"a WebSocket": proxytest.Handshake{Target: "/" + name}.String(),
			"a GET":       request("GET /"+name+" HTTP/1.1", "Host: a"),
		} {
			m := p.log.mark()
			got := ask(t, connect(t, p), text)
			if got.status != 502 || strings.Contains(got.body, "reached") {
				t.Errorf("%s, %s: %d %q, wanted 502", name, kind, got.status, got.body)
			}
			mustNotTell(t, got)
			entry := p.waitLogAfter(m, "request", fields{"path": "/" + name})
			if !strings.Contains(entry.text("error"), b.because) {
				t.Errorf("%s, %s: logged %q, wanted %q in it", name, kind, entry.text("error"), b.because)
			}
		}
	}
	// A backend that never answers the ClientHello is out of time.
	mustBeOwn(t, p, ask(t, connect(t, p), proxytest.Handshake{Target: "/plain"}.String()), 504, "/plain")
}
