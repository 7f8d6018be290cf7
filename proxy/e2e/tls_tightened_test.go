package e2e

// A listener that asks more of its clients after an edit: connections that were
// let in before it must not be a way around.

import (
	"crypto/tls"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestListenerTightened: a connection that a client keeps open across the edit
// is told to go and come in by the new rules, with its next request.
func TestListenerTightened(t *testing.T) {
	t.Parallel()
	authority, next := proxytest.NewAuthority(t), proxytest.NewAuthority(t)
	certificate := authority.Issue([]string{"127.0.0.1"})
	const routes = "routes: {all: {respond: {body: inside}}}\n"
	anybody := overTLS("", certificate) + routes
	known := overTLS(", client_ca: "+authority.File, certificate) + routes
	others := overTLS(", client_ca: "+next.File, certificate) + routes
	mine := &tls.Config{RootCAs: authority.Pool(), Certificates: []tls.Certificate{authority.Issue([]string{"me"}).Pair}}

	t.Run("client_ca is added", func(t *testing.T) {
		p := start(t, anybody)
		client, _ := handshake(t, p, &tls.Config{RootCAs: authority.Pool()})
		mustLetIn(t, client)
		p.edit(known)
		mustSendAway(t, client)
	})
	t.Run("client_ca is another", func(t *testing.T) {
		p := start(t, known)
		client, _ := handshake(t, p, mine)
		mustLetIn(t, client)
		p.edit(known + "# the same\n")
		mustLetIn(t, client)
		p.edit(others)
		mustSendAway(t, client)
	})
	t.Run("client_ca is taken out", func(t *testing.T) {
		p := start(t, known)
		client, _ := handshake(t, p, mine)
		p.edit(anybody)
		mustLetIn(t, client)
	})
	t.Run("tls is added", func(t *testing.T) {
		p := start(t, web+routes)
		client := connect(t, p)
		mustLetIn(t, client)
		p.edit(anybody)
		mustSendAway(t, client)
	})
}

func mustLetIn(t *testing.T, client *proxytest.Raw) {
	t.Helper()
	if got := ask(t, client, request("GET / HTTP/1.1", "Host: a")); got.status != 200 || got.body != "inside" {
		t.Fatalf("%d %q, wanted the route's answer", got.status, got.body)
	}
}

func mustSendAway(t *testing.T, client *proxytest.Raw) {
	t.Helper()
	got := ask(t, client, request("GET / HTTP/1.1", "Host: a"))
	if got.status != 421 {
		t.Fatalf("%d %q, wanted 421", got.status, got.body)
	}
	if rest := client.Rest(); rest != "" {
		t.Errorf("the connection goes on with %q, wanted its end", rest)
	}
}
