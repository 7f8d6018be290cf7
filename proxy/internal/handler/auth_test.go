package handler

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// authSite serves routes that a service lets in, as X-User ann and X-Forwarded-Groups staff,
// and by a key in the query. The backend repeats what it gets, with the trailers.
func authSite(t *testing.T) *site {
	t.Helper()
	backend := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("Upgrade") == "x" {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "x")
			w.WriteHeader(http.StatusSwitchingProtocols)
			return
		}
		fmt.Fprintf(w, "%s\n%v\n%v", r.RequestURI, r.Header, r.Trailer)
	}))
	service := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-User", "ann")
		w.Header().Set("X-Forwarded-Groups", "staff")
		w.Header().Set("Set-Cookie", "s=renewed")
	}))
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, fmt.Appendf(nil, "ci sha256:%x\n", sha256.Sum256([]byte("secret-key"))), 0o600); err != nil {
		t.Fatal(err)
	}
	return newSite(t, fmt.Sprintf(`
defaults: {origins: any, cross_site: allow, auth_preflight: backend}
routes:
  asked: {match: {path: /asked}, to: "ws://%[1]s", auth: {forward: {url: "http://%[2]s/", copy: [X-User, X-Forwarded-Groups], timeout: 1m}}}
  key:
    match: {path: /key}
    to: "ws://%[1]s"
    upgrade: any
    auth: [{api_key: {keys: %[3]q, from: [{query: key}]}}, {client_certificate: {header: X-User}}]
  say: {match: {path: /say}, respond: {body: hello}, auth: {forward: {url: "http://%[2]s/", timeout: 1m}}}
  leave: {match: {path: /leave}, redirect: {to: /away}, auth: {forward: {url: "http://%[2]s/", timeout: 1m}}}
  echo: {match: {path: /echo}, to: "internal://echo", auth: {forward: {url: "http://%[2]s/", timeout: 1m}}}
  own: {match: {path: /own}, to: "internal://echo", auth: {api_key: {keys: %[3]q}}}
  status: {match: {path: /status}, to: "internal://status", auth: {api_key: {keys: %[3]q}}}
  text: {match: {path: /text}, respond: {body: hello}, auth: {api_key: {keys: %[3]q}}}
`, backend.Addr, service.Addr, keys))
}

// TestIdentityIsTheProxys: a client can neither remove what the backend is told of it, nor say
// it behind the body.
func TestIdentityIsTheProxys(t *testing.T) {
	s := authSite(t)
	_, got := s.ask(t, "GET /asked HTTP/1.1\r\nHost: a\r\nConnection: X-User, X-Forwarded-Groups\r\nX-User: admin\r\nX.User: admin\r\nX-Forwarded-Groups: wheel\r\n\r\n")
	if !strings.Contains(got, "X-User:[ann]") || !strings.Contains(got, "X-Forwarded-Groups:[staff]") || strings.Contains(got, "admin") {
		t.Errorf("the backend got %s", got)
	}
	_, got = s.ask(t, "POST /asked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-User, X_User, Sum\r\n\r\n1\r\nx\r\n0\r\nX-User: admin\r\nX_User: admin\r\nSum: 1\r\n\r\n")
	if strings.Contains(got, "admin") || !strings.Contains(got, "Sum:[1]") {
		t.Errorf("with trailers the backend got %s", got)
	}
}

// TestServicesCookie: the client gets it with whatever answer, once.
func TestServicesCookie(t *testing.T) {
	s := authSite(t)
	for _, path := range []string{"/asked", "/say", "/leave", "/echo"} {
		resp, _ := s.ask(t, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := resp.Header["Set-Cookie"]; len(got) != 1 || got[0] != "s=renewed" {
			t.Errorf("%s: answered %d with cookies %q", path, resp.StatusCode, got)
		}
	}
	resp, _ := s.ask(t, proxytest.Handshake{Target: "/echo"}.String())
	if got := resp.Header["Set-Cookie"]; resp.StatusCode != http.StatusSwitchingProtocols || len(got) != 1 {
		t.Errorf("a handshake: answered %d with cookies %q", resp.StatusCode, got)
	}
}

// TestPreflight: a preflight has no identity, and opens nothing but a backend's answer.
func TestPreflight(t *testing.T) {
	s := authSite(t)
	preflight := func(path, more string) string {
		return "OPTIONS " + path + " HTTP/1.1\r\nHost: a\r\nOrigin: https://b.example\r\nAccess-Control-Request-Method: GET\r\n" + more + "\r\n"
	}
	resp, got := s.ask(t, preflight("/key?key=secret-key&a=1", "X-User: admin\r\nX_User: admin\r\n"))
	if resp.StatusCode != 200 || strings.Contains(got, "admin") || !strings.HasPrefix(got, "/key?a=1\n") {
		t.Errorf("answered %d %s", resp.StatusCode, got)
	}
	for path, more := range map[string]string{"/own": "", "/key": "Connection: Upgrade\r\nUpgrade: x\r\n", "/status": "", "/text": ""} {
		if resp, got := s.ask(t, preflight(path, more)); resp.StatusCode != 401 {
			t.Errorf("%s: answered %d %s, want 401", path, resp.StatusCode, got)
		}
	}
}

// TestRefusedCredentialIsNotLogged: nor is what the page's own URL has of it.
func TestRefusedCredentialIsNotLogged(t *testing.T) {
	s := authSite(t)
	for key, status := range map[string]string{"wrong-key": "401", "secret-key": "200"} {
		s.ask(t, "GET /key?key="+key+" HTTP/1.1\r\nHost: a\r\nReferer: https://a.example/?key="+key+"\r\nUser-Agent: test\r\n\r\n")
		s.log.await(t, "msg=request", "route=key", "status="+status, "referer=https://a.example/ ")
	}
	s.log.mu.Lock()
	if log := s.log.text.String(); strings.Contains(log, "-key") {
		t.Errorf("the log has a key:\n%s", log)
	}
	s.log.mu.Unlock()
	if _, got := s.ask(t, "GET /key?key=secret-key HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.HasPrefix(got, "/key\n") {
		t.Errorf("the backend got %s", got)
	}
}
