package e2e

// Certificates are watched like the routes: missing ones are refused until they
// come, renewed ones are served to the next client.

import (
	"crypto/tls"
	"math/big"
	"os"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

const secure = `version: 1
listeners: {web: {address: "127.0.0.1:0", tls: {certificates: [{certificate: tls/site.crt, key: tls/site.key}]}}}
routes: {echo: {match: {path: /echo}, to: "internal://echo"}}
`

// install puts a certificate where the routes file names it.
func install(t *testing.T, p *proxy, c *proxytest.Certificate) {
	t.Helper()
	for name, from := range map[string]string{"tls/site.key": c.KeyFile, "tls/site.crt": c.File} {
		pem, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		p.write(name, string(pem))
	}
}

// serial is the number of the certificate that a new connection is shown.
func serial(t *testing.T, p *proxy, authority *proxytest.Authority) *big.Int {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address("web"), &tls.Config{RootCAs: authority.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// TestCertificateIsRenewed: without an edit of the routes file, and without a drop.
func TestCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	old, young := authority.Issue([]string{"127.0.0.1"}), authority.Issue([]string{"127.0.0.1"})
	p := start(t, web+"routes: {}\n")
	install(t, p, old)
	p.edit(secure)
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}
	conn, _ := dialWith(t, "wss://"+p.address("web")+"/echo", dialer, nil)
	if got := serial(t, p, authority); got.Cmp(old.Pair.Leaf.SerialNumber) != 0 {
		t.Errorf("served certificate %v, wanted %v", got, old.Pair.Leaf.SerialNumber)
	}
	m := p.log.mark()
	install(t, p, young)
	p.waitLogAfter(m, "routes loaded", fields{"revision": revision(secure)})
	if got := serial(t, p, authority); got.Cmp(young.Pair.Leaf.SerialNumber) != 0 {
		t.Errorf("after the renewal certificate %v is served, wanted %v", got, young.Pair.Leaf.SerialNumber)
	}
	echo(t, conn, "open all along")
}

// TestCertificateIsMissing: the file is refused, and taken when the certificate
// has come; one that breaks later changes nothing.
func TestCertificateIsMissing(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	certificate := authority.Issue([]string{"127.0.0.1"})
	p := start(t, web+`routes: {echo: {match: {path: /echo}, to: "internal://echo"}}`+"\n")
	conn := dial(t, p.ws("/echo"))
	if mistakes := p.spoil(secure); len(mistakes) != 2 || mistakes[0].text("line") != "2" {
		t.Errorf("the mistakes are %v, wanted the certificate and its key", mistakes)
	}
	echo(t, conn, "not concerned")
	m := p.log.mark()
	install(t, p, certificate)
	p.waitLogAfter(m, "routes loaded", fields{"revision": revision(secure)})
	echo(t, conn, "still open")

	m = p.log.mark()
	p.write("tls/site.key", "not a key")
	p.waitLogAfter(m, "mistake", fields{"line": 2})
	if got := serial(t, p, authority); got.Cmp(certificate.Pair.Leaf.SerialNumber) != 0 {
		t.Errorf("with a broken key certificate %v is served, wanted %v", got, certificate.Pair.Leaf.SerialNumber)
	}
	m = p.log.mark()
	install(t, p, certificate)
	p.waitLogAfter(m, "routes restored", nil)
	if n := p.countLog("tunnel closed", nil); n != 0 {
		t.Errorf("%d tunnels closed, wanted none", n)
	}
}
