package e2e

// auth: who may use a route, what the backend learns of it, and which tunnels end when a
// credential is taken away or expires.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func basicAuth(user, password string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}}
}

const hmacSecret = "thirty-two bytes of shared secret"

// signedToken signs claims with the shared secret.
func signedToken(t testing.TB, claims map[string]any) string {
	t.Helper()
	data, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(`{"alg":"HS256"}`)) + "." + b64(data)
	mac := hmac.New(sha256.New, []byte(hmacSecret))
	mac.Write([]byte(text))
	return text + "." + b64(mac.Sum(nil))
}

func claimsOf(user string, lifetime time.Duration) map[string]any {
	return map[string]any{"iss": "https://id.example.com", "aud": "chat", "sub": user, "exp": time.Now().Add(lifetime).Unix()}
}

// TestAuthBasic: passwords and API keys, in order; the backend gets what it is to get, and
// nobody else anything.
func TestAuthBasic(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := startFiles(t, map[string]string{
		"users": "ann:$tf-sha256$" + sha256Hex("secret of ann") + "\nbob:$tf-sha256$" + sha256Hex("secret of bob") + "\n",
		"keys":  "ci sha256:" + sha256Hex("key of ci") + "\n",
		routesFile: web + fill(`
defaults: {auth: {basic: {users: users, realm: chat}}}
routes:
  devices: {match: {path: "/devices/{id}"}, to: "$b", auth: {basic: {users: users, user: "{id}"}}}
  both:
    match: {path: /both}
    to: "$b"
    auth:
      - basic: {users: users, forward_credential: false}
      - api_key: {keys: keys, from: [{header: X-Api-Key}, {query: key}]}
  respond: {match: {path: /respond}, respond: {body: hello}}
  open:    {match: {path: /open}, to: "$b", auth: off}
`, map[string]string{"b": b.url("ws")})}, routesFile)

	for _, tt := range []struct {
		path   string
		header http.Header
		status int
	}{
		{"/devices/ann", basicAuth("ann", "secret of ann"), 200},
		{"/devices/%61nn", basicAuth("ann", "secret of ann"), 200},
		{"/devices/ann", basicAuth("bob", "secret of bob"), 403},
		{"/devices/ann", basicAuth("ann", "secret of bob"), 401},
		{"/devices/ann", nil, 401},
		{"/both", basicAuth("bob", "secret of bob"), 200},
		{"/both", http.Header{"X-Api-Key": {"key of ci"}}, 200},
		{"/both?key=key+of+ci", nil, 200},
		{"/both?key=key", nil, 401},
		{"/both", nil, 401},
		{"/respond", basicAuth("ann", "secret of ann"), 200},
		{"/respond", nil, 401},
		{"/open", nil, 200},
	} {
		asked := len(b.requests())
		if got := getWith(t, p.http(tt.path), tt.header); got.status != tt.status {
			t.Errorf("GET %s with %v: %d %q, wanted %d", tt.path, tt.header, got.status, got.body, tt.status)
		} else if tt.status == 401 && got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("GET %s: a 401 without a challenge", tt.path)
		}
		if tt.status != 200 {
			refused := refused(t, p.ws(tt.path), tt.header)
			if refused.StatusCode != tt.status {
				t.Errorf("a handshake of %s: %d, wanted %d", tt.path, refused.StatusCode, tt.status)
			}
			if len(b.requests()) != asked {
				t.Errorf("%s: the backend was asked all the same", tt.path)
			}
		}
	}

	conn, _ := dialWith(t, p.ws("/devices/ann"), websocket.Dialer{}, basicAuth("ann", "secret of ann"))
	echo(t, conn, "let in")
	p.waitLog("tunnel opened", fields{"route": "devices", "user": "ann"})
	if b.last(t).Header.Get("Authorization") == "" {
		t.Error("the backend got no Authorization, which it is to get by default")
	}
	conn, _ = dialWith(t, p.ws("/both?a=1&key=key+of+ci&b=2"), websocket.Dialer{}, nil)
	echo(t, conn, "let in")
	if got := b.last(t).URL.RawQuery; got != "a=1&b=2" {
		t.Errorf("the backend got the query %q, wanted it without the key", got)
	}
	dialWith(t, p.ws("/both"), websocket.Dialer{}, basicAuth("bob", "secret of bob"))
	if got := b.last(t).Header.Get("Authorization"); got != "" {
		t.Errorf("the backend got Authorization %q, wanted none", got)
	}
	challenges := fmt.Sprint(getWith(t, p.http("/both"), nil).header.Values("WWW-Authenticate"))
	if !strings.Contains(challenges, `Basic realm="restricted"`) || !strings.Contains(challenges, "ApiKey") {
		t.Errorf("challenges %s, wanted one for each way in", challenges)
	}
}

// TestAuthTakenAway: the tunnels of a user or key that leaves its file end with 1008, also
// where the route keeps its tunnels; the others stay, and a broken file changes nothing.
func TestAuthTakenAway(t *testing.T) {
	t.Parallel()
	ann, bob := "ann:$tf-sha256$"+sha256Hex("a")+"\n", "bob:$tf-sha256$"+sha256Hex("b")+"\n"
	routes := web + `routes: {echo: {match: {path: /echo}, to: "internal://echo", drain: {keep: true, window: 10m}, auth: {basic: {users: users}}}}` + "\n"
	b := newBackend(t, "b")
	routes = strings.Replace(routes, `"internal://echo"`, `"`+b.url("ws")+`"`, 1)
	p := startFiles(t, map[string]string{"users": ann + bob, routesFile: routes}, routesFile)
	first, _ := dialWith(t, p.ws("/echo"), websocket.Dialer{}, basicAuth("ann", "a"))
	second, _ := dialWith(t, p.ws("/echo"), websocket.Dialer{}, basicAuth("bob", "b"))

	m := p.log.mark()
	p.write("users", ann+"bob:$apr1$x$y\n")
	p.waitLogAfter(m, "routes refused", nil)
	echo(t, first, "still open")
	echo(t, second, "still open")
	if got := getWith(t, p.http("/echo"), basicAuth("bob", "b")); got.status != 200 {
		t.Errorf("a broken file took effect: %d", got.status)
	}

	p.write("users", ann)
	if code, _ := closeCode(t, second); code != 1008 {
		t.Errorf("the tunnel of a user that is gone ended with %d, wanted 1008", code)
	}
	echo(t, first, "not concerned")
	if got := refused(t, p.ws("/echo"), basicAuth("bob", "b")); got.StatusCode != 401 {
		t.Errorf("a user that is gone: %d, wanted 401", got.StatusCode)
	}

	p.edit(strings.Replace(routes, "auth: {basic: {users: users}}", "auth: {basic: {users: users, user: carl}}", 1))
	if code, _ := closeCode(t, first); code != 1008 {
		t.Errorf("the tunnel of an entry that changed ended with %d, wanted 1008", code)
	}
}

// TestAuthJWT: tokens in every place, what of them the backend gets, and the end of a tunnel
// whose token expires.
func TestAuthJWT(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := startFiles(t, map[string]string{"secret": hmacSecret, routesFile: web + fill(`
defaults:
  auth:
    - jwt:
        issuer: https://id.example.com
        audience: [chat]
        keys: {secret: {file: secret}}
        from: [header, {cookie: token}, {query: access_token}, {subprotocol: bearer.}]
        headers: {X-User: sub, X-Tenant: tenant}
        leeway: 0
        on_expiry: {close: 4401, reason: log in again}
  headers: {request: {set: {X-Told: "user={user}"}}}
routes:
  all:  {match: {path_prefix: /}, to: "$b"}
  mine:
    match: {path: "/users/{id}"}
    to: "$b"
    auth: {jwt: {issuer: "https://id.example.com", audience: any, keys: {secret: {file: secret}}, claims: {sub: "{id}", scope: {regex: '\bchat\b'}}}}
`, map[string]string{"b": b.url("ws")})}, routesFile)
	good := signedToken(t, claimsOf("ann", time.Hour))
	forged := func(h http.Header) http.Header {
		h["X-User"], h["X_user"], h["x_tenant"] = []string{"admin"}, []string{"admin"}, []string{"admin"}
		return h
	}
	dialer := websocket.Dialer{Subprotocols: []string{"bearer." + good, "chat.v2"}}
	for name, dial := range map[string]func() *http.Response{
		"header": func() *http.Response {
			_, r := dialWith(t, p.ws("/"), websocket.Dialer{}, forged(http.Header{"Authorization": {"Bearer " + good}}))
			return r
		},
		"cookie": func() *http.Response {
			_, r := dialWith(t, p.ws("/"), websocket.Dialer{}, forged(http.Header{"Cookie": {"a=1; token=" + good}}))
			return r
		},
		"query": func() *http.Response {
			_, r := dialWith(t, p.ws("/?a=1&access_token="+good), websocket.Dialer{}, forged(http.Header{"Referer": {"https://a.example/?access_token=" + good}}))
			return r
		},
		"subprotocol": func() *http.Response { _, r := dialWith(t, p.ws("/"), dialer, forged(http.Header{})); return r },
	} {
		answer := dial()
		asked := b.last(t)
		if got := asked.Header; fmt.Sprint(got["X-User"]) != "[ann]" || got["X_user"] != nil || got["X-Tenant"] != nil || got["X_tenant"] != nil || got.Get("X-Told") != "user=ann" {
			t.Errorf("%s: the backend got %v", name, got)
		}
		rest := fmt.Sprint(asked.Header["Referer"], asked.Header["Sec-Websocket-Protocol"], asked.URL, answer.Header)
		if strings.Contains(rest, good) {
			t.Errorf("%s: the token went on to %s", name, rest)
		}
		if name == "subprotocol" && answer.Header.Get("Sec-WebSocket-Protocol") != "chat.v2" {
			t.Errorf("the answer selects %q, wanted chat.v2", answer.Header.Get("Sec-WebSocket-Protocol"))
		}
	}

	bearer := func(claims map[string]any) http.Header {
		return http.Header{"Authorization": {"Bearer " + signedToken(t, claims)}}
	}
	with := func(claims map[string]any, name string, value any) map[string]any {
		claims[name] = value
		return claims
	}
	for _, tt := range []struct {
		name, path string
		header     http.Header
		status     int
	}{
		{"none", "/", nil, 401},
		{"garbage", "/", http.Header{"Authorization": {"Bearer garbage"}}, 401},
		{"expired", "/", bearer(claimsOf("ann", -time.Minute)), 401},
		{"another audience", "/", bearer(with(claimsOf("ann", time.Hour), "aud", "mail")), 401},
		{"a claim that cannot be sent", "/", bearer(with(claimsOf("ann", time.Hour), "tenant", "a\r\nX-Admin: 1")), 403},
		{"the path's own", "/users/ann", bearer(with(claimsOf("ann", time.Hour), "scope", "mail chat")), 200},
		{"without the scope", "/users/ann", bearer(with(claimsOf("ann", time.Hour), "scope", "chats")), 403},
		{"another's path", "/users/bob", bearer(with(claimsOf("ann", time.Hour), "scope", "chat")), 403},
	} {
		if got := getWith(t, p.http(tt.path), tt.header); got.status != tt.status {
			t.Errorf("%s: %d %q, wanted %d", tt.name, got.status, got.body, tt.status)
		}
	}

	short, _ := dialWith(t, p.ws("/"), websocket.Dialer{}, bearer(claimsOf("ann", 3*time.Second)))
	if code, reason := closeCode(t, short); code != 4401 || reason != "log in again" {
		t.Errorf("the token expired: %d %q, wanted 4401 and the reason", code, reason)
	}
	p.waitLog("tunnel closed", fields{"reason": "expired"})
	for _, secret := range []string{good, hmacSecret} {
		p.log.mu.Lock()
		if strings.Contains(fmt.Sprint(p.log.lines, p.log.noise), secret) {
			t.Error("the log has a secret")
		}
		p.log.mu.Unlock()
	}
}

// TestAuthKeyServer: keys that are fetched, while their server is there and while it is not.
func TestAuthKeyServer(t *testing.T) {
	t.Parallel()
	type key struct {
		id      string
		private *ecdsa.PrivateKey
	}
	newKey := func(id string) key {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key{id, private}
	}
	b64 := base64.RawURLEncoding.EncodeToString
	sign := func(k key) http.Header {
		claims, _ := json.Marshal(claimsOf("ann", time.Hour))
		text := b64([]byte(`{"alg":"ES256","kid":"`+k.id+`"}`)) + "." + b64(claims)
		digest := sha256.Sum256([]byte(text))
		r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return http.Header{"Authorization": {"Bearer " + text + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))}}
	}
	old, young := newKey("old"), newKey("young")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		point, _ := old.private.PublicKey.Bytes()
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}]}`, old.id, b64(point[1:33]), b64(point[33:]))
	}))
	defer server.Close()
	p := start(t, web+`routes: {r: {match: {path: /r}, respond: {body: "{user}"}, auth: {jwt: {issuer: "https://id.example.com", audience: [chat], algorithms: [ES256], keys: {url: "`+server.URL+`", refresh: 1h}}}}}`+"\n")
	if got := getWith(t, p.http("/r"), sign(old)); got.status != 200 || got.body != "ann" {
		t.Fatalf("%d %q, wanted the user's name", got.status, got.body)
	}
	if got := getWith(t, p.http("/r"), sign(young)); got.status != 401 {
		t.Errorf("an unknown key: %d, wanted 401", got.status)
	}
	server.Close()
	if got := getWith(t, p.http("/r"), sign(old)); got.status != 200 {
		t.Errorf("while the key server is away: %d, wanted 200", got.status)
	}
	away := start(t, web+`routes: {r: {match: {path: /r}, respond: {body: hi}, auth: {jwt: {issuer: "https://id.example.com", audience: [chat], keys: {url: "`+server.URL+`"}}}}}`+"\n")
	if got := getWith(t, away.http("/r"), sign(old)); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("without any keys: %d, wanted 503 with Retry-After", got.status)
	}
}

// TestAuthForward: the service is asked about what the route has matched; what it answers
// goes to the backend, to the client, or both.
func TestAuthForward(t *testing.T) {
	t.Parallel()
	asked := make(chan http.Header, 100)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header
		switch r.Header.Get("Cookie") {
		case "s=ann":
			w.Header().Set("X-User", "ann")
			w.Header().Set("Set-Cookie", "s=renewed")
		case "s=broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "":
			if r.Header.Get("Authorization") == "" {
				w.WriteHeader(http.StatusForbidden)
			}
		default:
			http.Redirect(w, r, "https://id.example.com/login", http.StatusFound)
		}
	}))
	defer service.Close()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  all:
    match: {path_prefix: /app/}
    to: "$b"
    auth: {forward: {url: "$s/verify", headers: [Cookie], copy: [X-User], user: X-User, timeout: 20s}}
  cached: {match: {path: /cached}, to: "$b", auth: {forward: {url: "$s/verify", headers: [Authorization], cache: 1h, timeout: 20s}}}
`, map[string]string{"b": b.url("ws"), "s": service.URL}))
	cookie := func(value string) http.Header {
		return http.Header{"Cookie": {value}, "X-User": {"admin"}, "X-Forwarded-Uri": {"/public"}}
	}

	got := getWith(t, p.http("/app/x/../y?a=1"), cookie("s=ann"))
	if got.status != 200 || got.header.Get("Set-Cookie") != "s=renewed" {
		t.Errorf("%d %v, wanted 200 with the service's cookie", got.status, got.header)
	}
	if h := <-asked; h.Get("X-Forwarded-Uri") != "/app/y?a=1" || h.Get("X-Forwarded-Method") != "GET" || h.Get("X-Forwarded-Proto") != "http" || h.Get("X-User") != "" {
		t.Errorf("the service was asked with %v", h)
	}
	if h := b.last(t).Header; fmt.Sprint(h["X-User"]) != "[ann]" {
		t.Errorf("the backend got X-User %v, wanted ann alone", h["X-User"])
	}
	conn, answer := dialWith(t, p.ws("/app/ws"), websocket.Dialer{}, cookie("s=ann"))
	echo(t, conn, "let in")
	if answer.Header.Get("Set-Cookie") != "s=renewed" {
		t.Errorf("the 101 has %v, wanted the service's cookie", answer.Header)
	}
	p.waitLog("tunnel opened", fields{"user": "ann"})

	if got := getWith(t, p.http("/app/"), cookie("s=x")); got.status != 302 || got.header.Get("Location") != "https://id.example.com/login" {
		t.Errorf("without a session: %d %v, wanted the service's redirect", got.status, got.header)
	}
	if got := refused(t, p.ws("/app/ws"), cookie("s=x")); got.StatusCode != 401 || got.Header.Get("Location") != "" {
		t.Errorf("a handshake without a session: %d %v, wanted 401", got.StatusCode, got.Header)
	}
	if got := getWith(t, p.http("/app/"), cookie("s=broken")); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("a broken service: %d, wanted 503 with Retry-After", got.status)
	}
	known := http.Header{"Authorization": {"Bearer x"}}
	for _, tt := range []struct {
		header        http.Header
		status, asked int
	}{{known, 200, 1}, {known, 200, 0}, {nil, 403, 1}, {nil, 403, 1}} {
		before := len(asked)
		if got := getWith(t, p.http("/cached"), tt.header); got.status != tt.status || len(asked)-before != tt.asked {
			t.Errorf("/cached with %v: %d after asking %d times, wanted %d and %d", tt.header, got.status, len(asked)-before, tt.status, tt.asked)
		}
	}

	service.Close()
	if got := getWith(t, p.http("/app/"), cookie("s=ann")); got.status != 503 {
		t.Errorf("no service: %d, wanted 503", got.status)
	}
}

// TestAuthClientCertificate: a device may use its own path, over HTTP/2 too.
func TestAuthClientCertificate(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	b := newBackend(t, "b")
	p := start(t, overTLS(", client_ca: "+authority.File, authority.Issue([]string{"127.0.0.1"}))+fill(`
routes:
  devices:
    match: {path: "/devices/{id}"}
    to: "$b"
    auth: {client_certificate: {names: ["{id}.devices.example.com"], header: X-Cert}}
  services: {match: {path: /services}, to: "$b", auth: {client_certificate: {spiffe: ["spiffe://example.com/chat/*"]}}}
`, map[string]string{"b": b.url("ws")}))
	pair := authority.Issue([]string{"a7.devices.example.com"}).Pair
	config := &tls.Config{RootCAs: authority.Pool(), Certificates: []tls.Certificate{pair}}
	base := "://" + p.address("web") + "/devices/"

	conn, _ := dialWith(t, "wss"+base+"a7", websocket.Dialer{TLSClientConfig: config}, http.Header{"X-Cert": {":Zm9yZ2Vk:"}, "X_cert": {"x"}})
	echo(t, conn, "known")
	want := ":" + base64.StdEncoding.EncodeToString(pair.Certificate[0]) + ":"
	if h := b.last(t).Header; fmt.Sprint(h["X-Cert"]) != "["+want+"]" || h["X_cert"] != nil {
		t.Errorf("the backend got X-Cert %v and %v", h["X-Cert"], h["X_cert"])
	}
	p.waitLog("tunnel opened", fields{"user": "a7.devices.example.com"})
	transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	for path, want := range map[string]int{"a7": 200, "a8": 403, "../services": 403} {
		answer, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https" + base + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want || answer.ProtoMajor != 2 {
			t.Errorf("%s: %s %d, wanted HTTP/2 %d", path, answer.Proto, answer.StatusCode, want)
		}
	}
}

// TestAuthFailures: a client that tries passwords is stopped; a preflight, which has no
// credential, is let through where the route says so.
func TestAuthFailures(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := startFiles(t, map[string]string{"users": "ann:$tf-sha256$" + sha256Hex("a") + "\n", routesFile: web + fill(`
defaults: {auth: {basic: {users: users}}}
routes:
  limited: {match: {path: /limited}, to: "$b", limits: {auth_failures: 3}}
  cors:    {match: {path: /cors}, to: "$b", auth_preflight: backend, origins: any, cross_site: allow}
  strict:  {match: {path: /strict}, to: "$b"}
`, map[string]string{"b": b.url("http")})}, routesFile)
	for range 3 {
		if got := getWith(t, p.http("/limited"), basicAuth("ann", "x")); got.status != 401 {
			t.Fatalf("%d, wanted 401", got.status)
		}
	}
	if got := getWith(t, p.http("/limited"), basicAuth("ann", "a")); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("after three bad passwords: %d, wanted 429 with Retry-After", got.status)
	}
	for path, want := range map[string]int{"/cors": 200, "/strict": 401} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, p.http(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"GET"}}
		if got := do(t, r); got.status != want {
			t.Errorf("a preflight of %s: %d, wanted %d", path, got.status, want)
		}
	}
	if got := getWith(t, p.http("/cors"), nil); got.status != 401 {
		t.Errorf("a GET of /cors: %d, wanted 401", got.status)
	}
}

// TestAuthRevoked: an operator sees who a tunnel's client is, and ends the tunnels of one.
func TestAuthRevoked(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("ann:$tf-sha256$"+sha256Hex("a")+"\nbob:$tf-sha256$"+sha256Hex("b")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := steer(t, web+`routes: {echo: {match: {path: /echo}, to: "internal://echo", auth: {basic: {users: "`+users+`"}}}}`+"\n")
	ann, _ := dialWith(t, s.ws("/echo"), websocket.Dialer{}, basicAuth("ann", "a"))
	echo(t, ann, "hello")
	bob, _ := dialWith(t, s.ws("/echo"), websocket.Dialer{}, basicAuth("bob", "b"))
	echo(t, bob, "hello")

	var list statusapi.TunnelList
	s.read(&list, http.MethodGet, "/v1/tunnels?user=bob", "")
	if len(list.Tunnels) != 1 || list.Tunnels[0].User != "bob" {
		t.Errorf("%+v, wanted bob's tunnel alone", list.Tunnels)
	}
	var closed statusapi.Closed
	s.read(&closed, http.MethodDelete, "/v1/tunnels?user=bob", "")
	if code, reason := closeCode(t, bob); closed.Tunnels != 1 || code != 1008 || reason != "revoked" {
		t.Errorf("%d tunnels, closed with %d %q, wanted one with 1008", closed.Tunnels, code, reason)
	}
	echo(t, ann, "not concerned")
}
