package admin

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// lineFor is a line of a token file.
func lineFor(name, scope, token string) string {
	sum := sha256.Sum256([]byte(token))
	return fmt.Sprintf("%s %s sha256:%s\n", name, scope, hex.EncodeToString(sum[:]))
}

// someTokens have the names of their scopes, and are themselves NAME-token.
func someTokens(t *testing.T) *Tokens {
	t.Helper()
	tokens, err := ParseTokens("# comment\n\n" + lineFor("reader", "read", "reader-token") +
		lineFor("writer", "write", "writer-token") + lineFor("tapper", "tap", "tapper-token") +
		lineFor("all", "read", "all-token") + lineFor("all", "write", "all-token") + lineFor("all", "tap", "all-token"))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// TestAccess goes through each need, network and kind of caller.
func TestAccess(t *testing.T) {
	type change = func(*http.Request)
	bearer := func(token string) change {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	overTLS := func(with change) change {
		return func(r *http.Request) {
			r.TLS = &tls.ConnectionState{}
			if with != nil {
				with(r)
			}
		}
	}
	certificate := func(r *http.Request) {
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: "ops"}}}}}
	}
	type row struct {
		name                                           string
		local                                          net.Addr
		change                                         change
		nothing, public, read, token, write, tap, noTk int // noTk: a write where there are no tokens
	}
	rows := []row{
		{"unix", socket, nil, 200, 200, 200, 401, 200, 200, 200},
		{"loopback", loopback, nil, 200, 200, 200, 401, 401, 401, 403},
		{"loopback, wrong token", loopback, bearer("guess"), 200, 200, 200, 401, 401, 401, 403},
		{"loopback, reader", loopback, bearer("reader-token"), 200, 200, 200, 200, 403, 403, 403},
		{"loopback, writer", loopback, bearer("writer-token"), 200, 200, 200, 200, 200, 403, 403},
		{"loopback, tapper", loopback, bearer("tapper-token"), 200, 200, 200, 200, 403, 200, 403},
		{"loopback, all", loopback, bearer("all-token"), 200, 200, 200, 200, 200, 200, 403},
		{"loopback, the hash for the token", loopback, bearer(strings.Fields(lineFor("x", "write", "writer-token"))[2]), 200, 200, 200, 401, 401, 401, 403},
		{"remote, plain", remote, bearer("all-token"), 200, 403, 403, 403, 403, 403, 403},
		{"remote, TLS", remote, overTLS(nil), 200, 401, 401, 401, 401, 401, 403},
		{"remote, TLS, reader", remote, overTLS(bearer("reader-token")), 200, 200, 200, 200, 403, 403, 403},
		{"remote, TLS, writer", remote, overTLS(bearer("writer-token")), 200, 200, 200, 200, 200, 403, 403},
		{"remote, certificate", remote, certificate, 200, 200, 200, 401, 403, 403, 403},
	}
	tokens := someTokens(t)
	for _, row := range rows {
		for _, c := range []struct {
			need need
			want int
		}{{needsNothing, row.nothing}, {needsPublic, row.public}, {needsRead, row.read}, {needsToken, row.token}, {needsWrite, row.write}, {needsTap, row.tap}} {
			if got := admitted(t, tokens, row.local, c.need, row.change); got != c.want {
				t.Errorf("%s, need %d: %d, want %d", row.name, c.need, got, c.want)
			}
		}
		if got := admitted(t, nil, row.local, needsWrite, row.change); got != row.noTk {
			t.Errorf("%s, a write without tokens: %d, want %d", row.name, got, row.noTk)
		}
	}
}

// admitted is the status of a call with that need.
func admitted(t *testing.T, tokens *Tokens, local net.Addr, n need, change func(*http.Request)) int {
	t.Helper()
	a := newAPI(withDefaults(Options{Tokens: func() *Tokens { return tokens }}))
	w := httptest.NewRecorder()
	a.admit(call{need: n, handle: func(http.ResponseWriter, *http.Request) {}})(w, newRequest(t, local, "POST", "/", "", change))
	return w.Code
}

func TestPublicMetrics(t *testing.T) {
	p := &fakeProxy{status: statusapi.Status{Ready: true}}
	o := Options{Proxy: p, PublicMetrics: true}
	overTLS := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	if w := askWith(t, o, remote, "GET", "/v1/status", "", overTLS); w.Code != 200 {
		t.Errorf("the status: %d, want 200", w.Code)
	}
	if w := askWith(t, o, remote, "GET", "/v1/records", "", overTLS); w.Code != 401 {
		t.Errorf("the records: %d, want 401", w.Code)
	}
}

func TestAdminHosts(t *testing.T) {
	p := &fakeProxy{status: statusapi.Status{Ready: true}}
	for host, want := range map[string]int{"admin.example:9901": 200, "ADMIN.example": 200, "sub.admin.example": 403, "": 403} {
		w := askWith(t, Options{Proxy: p, Hosts: []string{"admin.example"}}, loopback, "GET", "/v1/status", "",
			func(r *http.Request) { r.Host = host })
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}

// TestSession: a page gets a cookie for a token, and the cookie changes nothing without the
// page's Origin, nor after the token is gone.
func TestSession(t *testing.T) {
	tokens := someTokens(t)
	a := newAPI(withDefaults(Options{Tokens: func() *Tokens { return tokens }}))
	call := func(n need, handle http.HandlerFunc, change func(*http.Request)) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		a.admit(call{need: n, handle: handle})(w, newRequest(t, loopback, "POST", "/", "", change))
		return w
	}
	opened := call(needsToken, a.openSession, func(r *http.Request) { r.Header.Set("Authorization", "bearer writer-token") })
	cookies := opened.Result().Cookies()
	if opened.Code != http.StatusNoContent || len(cookies) != 1 {
		t.Fatalf("%d with cookies %v", opened.Code, cookies)
	}
	cookie := cookies[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || strings.Contains(cookie.Value, "writer") {
		t.Errorf("cookie %v", cookie)
	}
	nothing := func(http.ResponseWriter, *http.Request) {}
	with := func(origin string) func(*http.Request) {
		return func(r *http.Request) {
			r.AddCookie(cookie)
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
		}
	}
	if w := call(needsWrite, nothing, with("http://127.0.0.1:9901")); w.Code != 200 {
		t.Errorf("a write of the page: %d, want 200", w.Code)
	}
	if w := call(needsWrite, nothing, with("")); w.Code != 403 {
		t.Errorf("a write without Origin: %d, want 403", w.Code)
	}
	if w := call(needsTap, nothing, with("http://127.0.0.1:9901")); w.Code != 403 {
		t.Errorf("a tap without that scope: %d, want 403", w.Code)
	}
	if w := call(needsToken, a.openSession, with("http://127.0.0.1:9901")); w.Code != 401 {
		t.Errorf("a session from a session: %d, want 401", w.Code)
	}
	tokens = &Tokens{}
	if w := call(needsWrite, nothing, with("http://127.0.0.1:9901")); w.Code != 401 {
		t.Errorf("a write after the token is gone: %d, want 401", w.Code)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := newSessions()
	first := s.open(hashOf("a"))
	for range maxSessions {
		s.open(hashOf("b"))
	}
	if _, ok := s.find(first); ok || len(s.all) != maxSessions {
		t.Errorf("the first is there: %v; %d sessions, want %d", ok, len(s.all), maxSessions)
	}
}

func TestParseTokens(t *testing.T) {
	good := lineFor("ci", "read", "secret")
	for text, want := range map[string]string{
		"ci read":                                  "line 1: 2 words",
		"\n" + good + "ci admin x":                 "line 3: the second word is no scope",
		"ci read sha256:abcd":                      "line 1: the third word is no hash",
		"ci read secret-token":                     "line 1: the third word is no hash",
		strings.TrimSpace(good) + "0":              "line 1: the third word is no hash",
		good + lineFor("other", "write", "secret"): `line 2: the token of "other" is that of "ci" too`,
	} {
		_, err := ParseTokens(text)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret-token") {
			t.Errorf("the error has what may be the token: %v", err)
		}
	}
}

// TestAuditLog: a line for what is changed and for what is refused; without the log nothing
// is changed.
func TestAuditLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	tokens := someTokens(t)
	a := newAPI(withDefaults(Options{Tokens: func() *Tokens { return tokens }, Audit: path}))
	changed := 0
	c := call{need: needsWrite, handle: func(w http.ResponseWriter, r *http.Request) {
		changed++
		writeError(w, http.StatusConflict, "")
	}}
	ask := func(token string) int {
		w := httptest.NewRecorder()
		a.admit(c)(w, newRequest(t, loopback, "POST", "/v1/drain?x=1", `{"all":true}`, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+token)
		}))
		return w.Code
	}
	ask("writer-token")
	for range 3 * maxDenials {
		ask("guess")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var first, second auditLine
	if len(lines) < 2 || json.Unmarshal([]byte(lines[0]), &first) != nil || json.Unmarshal([]byte(lines[1]), &second) != nil {
		t.Fatalf("%s", text)
	}
	if first.Token != "writer" || first.Path != "/v1/drain" || first.Query != "x=1" || string(first.Body) != `{"all":true}` || first.Result != 409 {
		t.Errorf("%s", lines[0])
	}
	if second.Token != "" || second.Result != 401 || second.From == "" {
		t.Errorf("%s", lines[1])
	}
	if len(lines) > 1+2*maxDenials { // in at most two seconds, or as many as it took
		t.Errorf("%d lines of refusals", len(lines)-1)
	}
	if strings.Contains(string(text), "-token") || strings.Contains(string(text), "guess") {
		t.Errorf("a token is in it: %s", text)
	}
	a.audit.path = filepath.Join(t.TempDir(), "missing", "audit.log")
	if got := ask("writer-token"); got != 503 || changed != 1 {
		t.Errorf("without the log: %d, and %d changes; want 503 and 1", got, changed)
	}
}
