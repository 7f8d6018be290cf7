package e2e

// Backends behind TLS that must not be believed: 502, and the log says which
// check failed.

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

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
