package auth

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

var client = netip.MustParseAddr("192.0.2.7")

// request is a GET with the header lines, each "Name: value".
func request(lines ...string) *Request {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return &Request{Method: "GET", Scheme: "https", Host: "chat.example.com", Path: "/rooms/blue", Header: h, Client: client, Handshake: true,
		Capture: func(name string) (string, bool) { return "blue", name == "room" }}
}

func basicHeader(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func mustUsers(t *testing.T, text string) *Users {
	t.Helper()
	u, err := ParseUsers([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func mustKeys(t *testing.T, text string) KeyFile {
	t.Helper()
	k, err := ParseKeyFile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// outcome is "user" of a grant, or "status cause" of a refusal.
func outcome(g *Grant, rf *Refusal) string {
	if rf != nil {
		return strings.TrimSpace(http.StatusText(rf.Status) + " " + rf.Cause)
	}
	return g.User
}

func TestBasic(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := mustUsers(t, "# people\nann:"+strings.Replace(string(hash), "$2a$", "$2y$", 1)+"\r\n\nblue:$tf-sha256$"+sum("device secret")+"\n")
	for _, tt := range []struct {
		name string
		user Template
		r    *Request
		want string
	}{
		{"right", Template{}, request(basicHeader("ann", "secret")), "ann"},
		{"right, from the cache", Template{}, request(basicHeader("ann", "secret")), "ann"},
		{"wrong", Template{}, request(basicHeader("ann", "Secret")), "Unauthorized bad_credential"},
		{"empty", Template{}, request(basicHeader("ann", "")), "Unauthorized bad_credential"},
		{"unknown user", Template{}, request(basicHeader("bob", "secret")), "Unauthorized bad_credential"},
		{"hash as the password", Template{}, request(basicHeader("ann", string(hash))), "Unauthorized bad_credential"},
		{"device", Template{}, request(basicHeader("blue", "device secret")), "blue"},
		{"password of another", Template{}, request(basicHeader("ann", "device secret")), "Unauthorized bad_credential"},
		{"scheme in lower case", Template{}, request("Authorization: basic " + base64.StdEncoding.EncodeToString([]byte("ann:secret"))), "ann"},
		{"no base64", Template{}, request("Authorization: Basic ann:secret"), "Unauthorized bad_credential"},
		{"no colon", Template{}, request("Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ann"))), "Unauthorized bad_credential"},
		{"control character", Template{}, request(basicHeader("ann\n", "secret")), "Unauthorized bad_credential"},
		{"two lines", Template{}, request(basicHeader("ann", "secret"), basicHeader("bob", "x")), "Unauthorized bad_credential"},
		{"another scheme", Template{}, request("Authorization: Bearer x"), "Unauthorized no_credential"},
		{"none", Template{}, request(), "Unauthorized no_credential"},
		{"user is the capture", ParseTemplate("{room}"), request(basicHeader("blue", "device secret")), "blue"},
		{"user is not the capture", ParseTemplate("{room}"), request(basicHeader("ann", "secret")), "Forbidden not_allowed"},
	} {
		p := New(NewState(), 0, []Entry{{Basic: &Basic{Users: users, Realm: `a "b"`, User: tt.user}}})
		if got := outcome(p.Check(t.Context(), tt.r)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	p := New(NewState(), 0, []Entry{{Basic: &Basic{Users: users, Realm: `a "b"`}}})
	if _, rf := p.Check(t.Context(), request()); !slices.Equal(rf.Challenges, []string{`Basic realm="a \"b\"", charset="UTF-8"`}) {
		t.Errorf("challenges %q", rf.Challenges)
	}
}

// TestPasswordCache: a right password is remembered for its stored hash alone.
func TestPasswordCache(t *testing.T) {
	c := newPasswordCache()
	c.add("hash", "ann", "secret")
	for _, tt := range []struct {
		hash, user, password string
		want                 bool
	}{
		{"hash", "ann", "secret", true}, {"other", "ann", "secret", false}, {"hash", "bob", "secret", false},
		{"hash", "ann", "Secret", false}, {"hasha", "nn", "secret", false},
	} {
		if got := c.has(tt.hash, tt.user, tt.password); got != tt.want {
			t.Errorf("%q %q %q: %v", tt.hash, tt.user, tt.password, got)
		}
	}
}

func TestParseUsers(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "contains no user",
		"ann":                    "line 1: wanted NAME:HASH",
		"# x\nann:$apr1$abc$def": `line 2: user "ann": MD5 hashes can be guessed: use bcrypt, htpasswd -B`,
		"ann:{SHA}abc":           `line 1: user "ann": SHA-1 hashes can be guessed: use bcrypt, htpasswd -B`,
		"ann:secret":             `line 1: user "ann": the hash is none of bcrypt, argon2id and $tf-sha256$: use htpasswd -B`,
		"ann:$2y$10$short":       `line 1: user "ann": this is not a bcrypt hash`,
		"ann:$tf-sha256$00":      `line 1: user "ann": wanted 64 hexadecimal digits`,
		"ann:$tf-sha256$" + sum("a") + "\nann:$tf-sha256$" + sum("b"):             `line 2: user "ann" is there already`,
		"ann:$argon2id$v=19$m=4194304,t=3,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA": `line 1: user "ann": argon2id with m=4194304, t=3: wanted at most m=262144, t=16`,
		"ann:$argon2id$v=16$m=64,t=3,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA":      `line 1: user "ann": this is not an argon2id hash in PHC form`,
	} {
		if _, err := ParseUsers([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestArgon2id: "password" by the reference implementation, argon2 -id -t 2 -m 16 -p 1.
func TestArgon2id(t *testing.T) {
	u := mustUsers(t, "ann:$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if !u.hashes["ann"].matches("password") || u.hashes["ann"].matches("Password") {
		t.Error("argon2id does not agree with its reference vector")
	}
}

func TestAPIKeys(t *testing.T) {
	keys := mustKeys(t, "ci sha256:"+sum("key of ci")+"\nops sha256:"+strings.ToUpper(sum("key of ops"))+"\n")
	header, query := Place{InHeader, "X-Api-Key"}, Place{InQuery, "key"}
	p := New(NewState(), 0, []Entry{{APIKeys: &APIKeys{Keys: keys, From: []Place{header, query, {Kind: InAuthorization}}}}})
	withQuery := func(query string, lines ...string) *Request {
		r := request(lines...)
		r.Query = query
		return r
	}
	for _, tt := range []struct {
		name string
		r    *Request
		want string
	}{
		{"header", request("X-Api-Key: key of ci"), "ci"},
		{"bearer", request("Authorization: Bearer key of ci"), "ci"},
		{"query", withQuery("a=1&key=key+of%20ops"), "ops"},
		{"the first place decides", withQuery("key=key+of+ops", "X-Api-Key: key of ci"), "ci"},
		{"a bad one in the first place", withQuery("key=key+of+ops", "X-Api-Key: x"), "Unauthorized bad_credential"},
		{"twice", withQuery("key=key+of+ops&key=x"), "Unauthorized bad_credential"},
		{"twice, once encoded", withQuery("key=key+of+ops&%6bey=x"), "Unauthorized bad_credential"},
		{"the hash", request("X-Api-Key: " + sum("key of ci")), "Unauthorized bad_credential"},
		{"empty", request("X-Api-Key: "), "Unauthorized no_credential"},
		{"none", request(), "Unauthorized no_credential"},
	} {
		if got := outcome(p.Check(t.Context(), tt.r)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	g, _ := p.Check(t.Context(), request("X-Api-Key: key of ci"))
	if slices.Contains(g.Cut, header) || !slices.Contains(g.Cut, query) {
		t.Errorf("cut %v: want the query's, and not the header's", g.Cut)
	}
	id := g.Identity
	fewer := New(NewState(), 0, []Entry{{APIKeys: &APIKeys{Keys: mustKeys(t, "ops sha256:"+sum("key of ops")), From: []Place{header}}}})
	if !p.Still(&id) || fewer.Still(&id) || p.Still(nil) {
		t.Errorf("still: %v with the key, %v without it, %v without an identity", p.Still(&id), fewer.Still(&id), p.Still(nil))
	}
}

func TestParseKeyFile(t *testing.T) {
	for text, want := range map[string]string{
		"":             "contains no key",
		"ci":           "line 1: wanted NAME sha256:HEX",
		"ci md5:00":    "line 1: wanted sha256:HEX",
		"ci sha256:zz": "line 1: wanted 64 hexadecimal digits",
		"ci sha256:" + sum("a") + "\nci sha256:" + sum("b"):  `line 2: the name "ci" is there already`,
		"ci sha256:" + sum("a") + "\nops sha256:" + sum("a"): `line 2: "ci" and "ops" have the same key`,
	} {
		if _, err := ParseKeyFile([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestOrder: an entry without its credential passes the request on, one with a bad
// credential does not, and a 401 names every way in.
func TestOrder(t *testing.T) {
	users := mustUsers(t, "ann:$tf-sha256$"+sum("secret"))
	keys := mustKeys(t, "ci sha256:"+sum("key"))
	p := New(NewState(), 0, []Entry{
		{Basic: &Basic{Users: users, Realm: "r"}},
		{APIKeys: &APIKeys{Keys: keys, From: []Place{{InHeader, "X-Api-Key"}}}},
	})
	for _, tt := range []struct {
		r    *Request
		want string
	}{
		{request("X-Api-Key: key"), "ci"},
		{request(basicHeader("ann", "secret")), "ann"},
		{request("X-Api-Key: key", basicHeader("ann", "wrong")), "Unauthorized bad_credential"},
		{request("X-Api-Key: wrong", basicHeader("ann", "secret")), "ann"},
		{request(), "Unauthorized no_credential"},
	} {
		g, rf := p.Check(t.Context(), tt.r)
		if got := outcome(g, rf); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.r.Header, got, tt.want)
		}
		if rf != nil && len(rf.Challenges) != 2 {
			t.Errorf("challenges %q, want one for each entry", rf.Challenges)
		}
	}
}

// TestFailures: bad credentials use up a client's allowance, good ones and missing ones do
// not, and another client is not concerned.
func TestFailures(t *testing.T) {
	keys := mustKeys(t, "ci sha256:"+sum("key"))
	p := New(NewState(), 3, []Entry{{APIKeys: &APIKeys{Keys: keys, From: []Place{{InHeader, "X-Api-Key"}}}}})
	good, wrong := request("X-Api-Key: key"), request("X-Api-Key: x")
	for range 10 {
		if got := outcome(p.Check(t.Context(), good)); got != "ci" {
			t.Fatal(got)
		}
	}
	for range 3 {
		if got := outcome(p.Check(t.Context(), wrong)); got != "Unauthorized bad_credential" {
			t.Fatal(got)
		}
	}
	for _, r := range []*Request{good, wrong} {
		if got := outcome(p.Check(t.Context(), r)); got != "Too Many Requests auth_failures" {
			t.Error(got)
		}
	}
	good.Client = netip.MustParseAddr("192.0.2.8")
	if got := outcome(p.Check(t.Context(), good)); got != "ci" {
		t.Errorf("another client: %s", got)
	}
}

// TestFailuresAtOnce: credentials that were checked at the same time, before any of them had
// failed, count too, and keep a client out for two minutes at most.
func TestFailuresAtOnce(t *testing.T) {
	g := guard{State: NewState(), failuresPerMinute: 3}
	for range 1000 {
		g.failed(client, bad(nil))
	}
	later := func(d time.Duration) bool {
		return g.failures.limiter(client, 3, false).TokensAt(time.Now().Add(d)) >= 1
	}
	if later(time.Minute) || !later(2*time.Minute+time.Second) {
		t.Errorf("may try again after one minute: %v, after two: %v; want false and true", later(time.Minute), later(2*time.Minute+time.Second))
	}
}

// TestFailuresBounded: the table of failing clients does not grow without bound, and a
// client whose /64 has failed is known by any of its addresses.
func TestFailuresBounded(t *testing.T) {
	f := NewState().failures
	addr := netip.MustParseAddr("2001:db8::1")
	for range maxFailingClients + 1000 {
		f.limiter(addr, 30, true).Allow()
		b := addr.As16()
		for i := 7; i >= 4; i-- { // the next /64
			if b[i]++; b[i] != 0 {
				break
			}
		}
		addr = netip.AddrFrom16(b)
	}
	if len(f.clients) > maxFailingClients+1 {
		t.Errorf("%d clients are kept, want at most %d", len(f.clients), maxFailingClients+1)
	}
	if f.limiter(netip.MustParseAddr("2001:db8::1"), 30, true) != f.limiter(netip.MustParseAddr("2001:db8::ffff"), 30, true) {
		t.Error("two addresses of one /64 are two clients")
	}
}

func TestClientCertificate(t *testing.T) {
	uri, _ := url.Parse("spiffe://example.com/chat/blue")
	leaf := &x509.Certificate{Raw: []byte("der"), DNSNames: []string{"Blue.devices.example.com", "*.example.com", "k.example.com"}, URIs: []*url.URL{uri}, NotAfter: time.Now().Add(time.Hour)}
	old := *leaf
	old.NotAfter = time.Now().Add(-time.Second)
	expired := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{&old}}, PeerCertificates: []*x509.Certificate{&old}}
	verified := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}, PeerCertificates: []*x509.Certificate{leaf}}
	unverified := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	for _, tt := range []struct {
		name          string
		names, spiffe string
		tls           *tls.ConnectionState
		want          string
	}{
		{"name", "{room}.devices.example.com", "", verified, "blue.devices.example.com"},
		{"another name", "red.devices.example.com", "", verified, "Forbidden not_allowed"},
		{"its wildcard is no name", "a.example.com", "", verified, "Forbidden not_allowed"},
		{"spiffe", "", "spiffe://example.com/chat/blue", verified, "spiffe://example.com/chat/blue"},
		{"spiffe below", "", "spiffe://example.com/chat/*", verified, "spiffe://example.com/chat/blue"},
		{"spiffe elsewhere", "", "spiffe://example.com/ch", verified, "Forbidden not_allowed"},
		{"a capture is no wildcard", "", "spiffe://example.com/chat/{any}", verified, "Forbidden not_allowed"},
		{"a wildcard behind a capture", "", "spiffe://example.com/{any}*", verified, "Forbidden not_allowed"},
		{"a Kelvin sign is no k", "{kelvin}.example.com", "", verified, "Forbidden not_allowed"},
		{"expired since the handshake", "", "", expired, "Forbidden not_allowed"},
		{"any", "", "", verified, "spiffe://example.com/chat/blue"},
		{"not verified", "", "", unverified, "Forbidden no_credential"},
		{"no TLS", "", "", nil, "Forbidden no_credential"},
	} {
		spec := ClientCertificate{Header: "Client-Cert"}
		if tt.names != "" {
			spec.Names = []Template{ParseTemplate(tt.names)}
		}
		if tt.spiffe != "" {
			spec.SPIFFE = []Template{ParseTemplate(tt.spiffe)}
		}
		r := request()
		r.TLS = tt.tls
		r.Capture = func(name string) (string, bool) {
			return map[string]string{"room": "blue", "any": "*", "kelvin": "\u212a"}[name], true
		}
		g, rf := New(NewState(), 0, []Entry{{ClientCertificate: &spec}}).Check(t.Context(), r)
		if got := outcome(g, rf); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if g != nil && (len(g.Set) != 1 || g.Set[0] != Header{"Client-Cert", ":ZGVy:"}) {
			t.Errorf("%s: headers %v", tt.name, g.Set)
		}
	}
}

// TestOwned: what an entry may set is the policy's under every spelling.
func TestOwned(t *testing.T) {
	p := New(NewState(), 0, []Entry{
		{ClientCertificate: &ClientCertificate{Header: "Client-Cert"}},
		{Forward: &Forward{URL: "http://127.0.0.1:1/", Copy: []string{"X-User"}}},
	})
	for _, name := range []string{"Client-Cert", "client_cert", "CLIENT-cert", "X-User", "X_User", "x-user", "X.User", "x~USER"} {
		if !p.Owns(name) {
			t.Errorf("%s is the client's to set", name)
		}
	}
	if p.Owns("X-Users") || p.Owns("XUser") {
		t.Error("too much is owned")
	}
}

// TestHashingQueue: beyond the queue a comparison is refused, not kept waiting.
func TestHashingQueue(t *testing.T) {
	h := newHasher()
	for range cap(h.running) {
		h.running <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, maxWaitingHashes)
	for range maxWaitingHashes {
		go func() {
			_, err := h.matches(ctx, bcryptHash(""), "x")
			results <- err
		}()
	}
	for h.waiting.Load() < maxWaitingHashes {
		runtime.Gosched()
	}
	if _, err := h.matches(t.Context(), bcryptHash(""), "x"); err != errHashingBusy {
		t.Errorf("%v, want %v", err, errHashingBusy)
	}
	cancel()
	for range maxWaitingHashes {
		if err := <-results; err != context.Canceled {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
	}
}
