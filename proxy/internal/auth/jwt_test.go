package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var (
	rsaPrivate = sync1(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	ecPrivate  = sync1(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	edPrivate  = sync1(func() (ed25519.PrivateKey, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err })
)

func sync1[T any](make func() (T, error)) T {
	v, err := make()
	if err != nil {
		panic(err)
	}
	return v
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// keySetJSON is the public halves, as a key server gives them.
func keySetJSON(more ...string) string {
	point, _ := ecPrivate.PublicKey.Bytes()
	keys := []string{
		fmt.Sprintf(`{"kty":"RSA","kid":"r1","use":"sig","alg":"RS256","n":%q,"e":"AQAB"}`, b64(rsaPrivate.N.Bytes())),
		fmt.Sprintf(`{"kty":"EC","kid":"e1","crv":"P-256","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:])),
		fmt.Sprintf(`{"kty":"OKP","kid":"d1","crv":"Ed25519","x":%q}`, b64(edPrivate.Public().(ed25519.PublicKey))),
		fmt.Sprintf(`{"kty":"RSA","kid":"enc","use":"enc","n":%q,"e":"AQAB"}`, b64(rsaPrivate.N.Bytes())),
		`{"kty":"unknown","kid":"u"}`,
	}
	return `{"keys":[` + strings.Join(append(keys, more...), ",") + `]}`
}

type object map[string]any

// sign makes a token by hand, so that it can be as wrong as a test wants.
func sign(header, claims object) string {
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	text := b64(h) + "." + b64(c)
	digest := sha256.Sum256([]byte(text))
	var sig []byte
	switch header["alg"] {
	case "RS256":
		sig, _ = rsa.SignPKCS1v15(nil, rsaPrivate, crypto.SHA256, digest[:])
	case "PS256":
		sig, _ = rsa.SignPSS(rand.Reader, rsaPrivate, crypto.SHA256, digest[:], nil)
	case "ES256":
		r, s, _ := ecdsa.Sign(rand.Reader, ecPrivate, digest[:])
		sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "EdDSA":
		sig = ed25519.Sign(edPrivate, []byte(text))
	case "HS256":
		mac := hmac.New(sha256.New, []byte(secretText))
		mac.Write([]byte(text))
		sig = mac.Sum(nil)
	}
	return text + "." + b64(sig)
}

const secretText = "a shared secret of 32 bytes or so"

func good() object {
	return object{"iss": "https://id.example.com", "aud": "chat", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(), "scope": "chat",
		"groups": []string{"ops", "dev"}, "room": "blue", "level": 7, "admin": true}
}

// with is good with changes; nil removes a claim.
func with(changes object) object {
	claims := good()
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func mustKeySet(t *testing.T, text string) KeySet {
	t.Helper()
	keys, err := ParseKeySet([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestJWT(t *testing.T) {
	rs := object{"alg": "RS256", "kid": "r1", "typ": "JWT"}
	spec := JWT{
		Issuer: "https://id.example.com", Audience: []string{"chat", "other"}, Keys: mustKeySet(t, keySetJSON()),
		Algorithms: []string{"RS256", "ES256", "EdDSA"}, From: []Place{{Kind: InAuthorization}}, Leeway: 30 * time.Second,
	}
	p := New(NewState(), 0, []Entry{{JWT: &spec}})
	now := time.Now().Unix()
	const refused = "Unauthorized bad_credential"
	for _, tt := range []struct{ name, token, want string }{
		{"RS256", sign(rs, good()), "ann"},
		{"ES256", sign(object{"alg": "ES256", "kid": "e1"}, good()), "ann"},
		{"EdDSA", sign(object{"alg": "EdDSA", "kid": "d1"}, good()), "ann"},
		{"no kid", sign(object{"alg": "ES256"}, good()), "ann"},
		{"audience in a list", sign(rs, with(object{"aud": []string{"x", "chat"}})), "ann"},
		{"expired within leeway", sign(rs, with(object{"exp": now - 10})), "ann"},
		{"not before within leeway", sign(rs, with(object{"nbf": now + 10})), "ann"},

		// RFC 8725, section by section.
		{"none", sign(object{"alg": "none", "kid": "r1"}, good()), refused},
		{"None", sign(object{"alg": "None"}, good()), refused},
		{"no alg", sign(object{"kid": "r1"}, good()), refused},
		{"HS256 with the public key", sign(object{"alg": "HS256", "kid": "r1"}, good()), refused},
		{"an algorithm that is not listed", sign(object{"alg": "PS256", "kid": "r1"}, good()), refused},
		{"the kid of another type", sign(object{"alg": "ES256", "kid": "r1"}, good()), refused},
		{"a key of another use", sign(object{"alg": "RS256", "kid": "enc"}, good()), refused},
		{"an unknown kid", sign(object{"alg": "RS256", "kid": "../../etc/passwd"}, good()), refused},
		{"a kid that is no text", sign(object{"alg": "RS256", "kid": 1}, good()), refused},
		{"critical header", sign(object{"alg": "RS256", "kid": "r1", "crit": []string{"exp"}}, good()), refused},
		{"a key inside", sign(object{"alg": "RS256", "jwk": object{"kty": "RSA"}, "kid": "x"}, good()), refused},
		{"changed", sign(rs, good())[:len(sign(rs, good()))-4] + "AAAA", refused},
		{"no signature", strings.Join(strings.Split(sign(rs, good()), ".")[:2], ".") + ".", refused},
		{"two parts", "a.b", refused},
		{"encrypted", "a.b.c.d.e", refused},
		{"not base64", "!.!.!", refused},
		{"padded", sign(rs, good()) + "=", refused},
		{"huge", strings.Repeat("a", maxToken+1), refused},

		{"another issuer", sign(rs, with(object{"iss": "https://id.example.com/"})), refused},
		{"no issuer", sign(rs, with(object{"iss": nil})), refused},
		{"another audience", sign(rs, with(object{"aud": "chats"})), refused},
		{"no audience", sign(rs, with(object{"aud": nil})), refused},
		{"expired", sign(rs, with(object{"exp": now - 60})), refused},
		{"no expiry", sign(rs, with(object{"exp": nil})), refused},
		{"expiry is a text", sign(rs, with(object{"exp": "9999999999"})), refused},
		{"expiry beyond all time", sign(rs, with(object{"exp": json.Number("1e300")})), refused},
		{"not yet", sign(rs, with(object{"nbf": now + 60})), refused},
	} {
		if got := outcome(p.Check(t.Context(), request("Authorization: Bearer "+tt.token))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	// What a refusal says is no oracle, and quotes nothing.
	token := sign(rs, with(object{"iss": "x"}))
	_, rf := p.Check(t.Context(), request("Authorization: Bearer "+token))
	if rf.Text != "the credential is not valid" || strings.Contains(rf.Err.Error(), token[:8]) {
		t.Errorf("text %q, error %v", rf.Text, rf.Err)
	}
}

func TestJWTClaims(t *testing.T) {
	spec := JWT{Issuer: "https://id.example.com", Keys: mustKeySet(t, keySetJSON()), Algorithms: []string{"ES256"}, From: []Place{{Kind: InAuthorization}},
		OnExpiry: OnExpiry{Code: 1008}}
	for _, tt := range []struct {
		name   string
		claim  Claim
		claims object
		want   string
	}{
		{"exact", Claim{Name: "scope", Value: ParseTemplate("chat")}, good(), "ann"},
		{"not exact", Claim{Name: "scope", Value: ParseTemplate("chat")}, with(object{"scope": "chat admin"}), "Forbidden not_allowed"},
		{"regex", Claim{Name: "scope", Regex: regexp.MustCompile(`\bchat\b`)}, with(object{"scope": "chat admin"}), "ann"},
		{"in a list", Claim{Name: "groups", Value: ParseTemplate("dev")}, good(), "ann"},
		{"not in a list", Claim{Name: "groups", Value: ParseTemplate("ops,dev")}, good(), "Forbidden not_allowed"},
		{"capture", Claim{Name: "room", Value: ParseTemplate("{room}")}, good(), "ann"},
		{"another capture", Claim{Name: "room", Value: ParseTemplate("{room}")}, with(object{"room": "red"}), "Forbidden not_allowed"},
		{"number", Claim{Name: "level", Value: ParseTemplate("7")}, good(), "ann"},
		{"truth value", Claim{Name: "admin", Value: ParseTemplate("true")}, good(), "ann"},
		{"absent", Claim{Name: "nope", Value: ParseTemplate("")}, good(), "Forbidden not_allowed"},
		{"object", Claim{Name: "room", Regex: regexp.MustCompile("")}, with(object{"room": object{"a": 1}}), "Forbidden not_allowed"},
	} {
		spec.Claims = []Claim{tt.claim}
		p := New(NewState(), 0, []Entry{{JWT: &spec}})
		if got := outcome(p.Check(t.Context(), request("Authorization: Bearer "+sign(object{"alg": "ES256"}, tt.claims)))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestJWTHeaders(t *testing.T) {
	spec := JWT{Issuer: "https://id.example.com", Keys: mustKeySet(t, keySetJSON()), Algorithms: []string{"ES256"}, From: []Place{{Kind: InAuthorization}},
		Headers: []ClaimHeader{{"X-Value", "value"}}}
	p := New(NewState(), 0, []Entry{{JWT: &spec}})
	for _, tt := range []struct {
		value any
		want  string // "!" is refused, "" no header
	}{
		{"text", "text"}, {12, "12"}, {1.5, "1.5"}, {json.Number("12345678901234567890"), "12345678901234567890"}, {false, "false"},
		{[]any{"a", 2, true}, "a,2,true"}, {[]any{}, ""}, {nil, ""},
		{"a,b", "a,b"}, {[]any{"a,b"}, "!"}, {"a\r\nX-Admin: 1", "!"}, {[]any{"a\x00"}, "!"}, {object{"a": 1}, "!"}, {[]any{[]any{"a"}}, "!"}, {" a", "!"}, {"\u0085", "!"},
	} {
		g, rf := p.Check(t.Context(), request("Authorization: Bearer "+sign(object{"alg": "ES256"}, with(object{"value": tt.value}))))
		got := ""
		switch {
		case rf != nil:
			if got = "!"; rf.Cause != CauseUnsendable || rf.Status != http.StatusForbidden {
				t.Errorf("%v: %d %s", tt.value, rf.Status, rf.Cause)
			}
		case len(g.Set) > 0:
			got = g.Set[0].Value
		}
		if got != tt.want {
			t.Errorf("%#v: %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestSecret(t *testing.T) {
	secret, err := ParseSecret([]byte(secretText + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	spec := JWT{Issuer: "https://id.example.com", Keys: secret, Algorithms: []string{"HS256"}, From: []Place{{InCookie, "token"}}}
	p := New(NewState(), 0, []Entry{{JWT: &spec}})
	if got := outcome(p.Check(t.Context(), request("Cookie: token="+sign(object{"alg": "HS256"}, good())))); got != "ann" {
		t.Error(got)
	}
	if _, err := ParseSecret([]byte("short")); err == nil {
		t.Error("a secret of five bytes was taken")
	}
}

func TestParseKeySet(t *testing.T) {
	small := sync1(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) })
	for text, want := range map[string]string{
		"":            "not a JSON Web Key Set: unexpected end of JSON input",
		`{"keys":[]}`: "contains no key that verifies signatures",
		`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`:                                                                             "key 1: is private or symmetric: a key set has public keys only",
		fmt.Sprintf(`{"keys":[{"kty":"RSA","n":%q,"e":"AQAB"}]}`, b64(small.N.Bytes())):                                       "key 1: RSA key of 1024 bits with exponent 65537: wanted at least 2048 bits",
		fmt.Sprintf(`{"keys":[{"kty":"RSA","n":%q,"e":"AQ"}]}`, b64(rsaPrivate.N.Bytes())):                                    "key 1: RSA key of 2048 bits with exponent 1: wanted at least 2048 bits",
		fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","x":%q,"y":%q}]}`, b64(make([]byte, 32)), b64(make([]byte, 32))):      "key 1: the point is not on the curve",
		fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","x":%q,"y":%q}]}`, b64(big.NewInt(1).Bytes()), b64(make([]byte, 32))): "key 1: coordinates of 1 and 32 bytes, wanted 32",
		`{"keys":[` + strings.Repeat(`{},`, 100) + `{}]}`:                                                                     "101 keys, wanted at most 100",
	} {
		if _, err := ParseKeySet([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%.80q: %v, want %s", text, err, want)
		}
	}
}

func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(keySetJSON()))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseKeySet(data)
		if err == nil && slices.ContainsFunc(keys, func(k webKey) bool { return k.public == nil }) {
			t.Error("a key without a public half")
		}
	})
}

// TestKeyURL: keys are fetched once for many tokens, again for an unknown key id, and the last
// good ones are kept while the server is away.
func TestKeyURL(t *testing.T) {
	var fetched atomic.Int32
	var body atomic.Value
	body.Store(`{"keys":[]}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		fmt.Fprint(w, body.Load())
	}))
	defer server.Close()
	state := NewState()
	source := state.KeyURL(server.URL, time.Hour).(*keyURL)
	if state.KeyURL(server.URL, time.Hour) != KeySource(source) {
		t.Error("one URL has two sources")
	}
	spec := JWT{Issuer: "https://id.example.com", Keys: source, Algorithms: []string{"ES256"}, From: []Place{{Kind: InAuthorization}}}
	p := New(state, 0, []Entry{{JWT: &spec}})
	check := func(kid string) string {
		return outcome(p.Check(t.Context(), request("Authorization: Bearer "+sign(object{"alg": "ES256", "kid": kid}, good()))))
	}
	if got := check("e1"); got != "Service Unavailable auth_unavailable" {
		t.Errorf("without keys: %s", got)
	}
	body.Store(keySetJSON())
	source.tried = time.Time{} // the pause is over
	if got := check("e1"); got != "ann" {
		t.Errorf("with keys: %s", got)
	}
	before := fetched.Load()
	for range 20 {
		if got := check("made-up"); got != "Unauthorized bad_credential" {
			t.Errorf("unknown key: %s", got)
		}
	}
	if n := fetched.Load() - before; n > 1 {
		t.Errorf("twenty unknown keys were %d fetches, want one at most", n)
	}
	body.Store(strings.ReplaceAll(keySetJSON(), `"e1"`, `"e9"`))
	source.fetched, source.tried = time.Now().Add(-3*time.Hour), time.Time{}
	if got := check("e1"); got != "Unauthorized bad_credential" {
		t.Errorf("a key that was withdrawn while no token came: %s", got)
	}
	body.Store(keySetJSON())
	source.fetched, source.tried = time.Now().Add(-3*time.Hour), time.Time{}
	if got := check("e1"); got != "ann" {
		t.Errorf("a key that is back: %s", got)
	}
	server.Close()
	source.fetched, source.tried = time.Time{}, time.Time{}
	if got := check("e1"); got != "ann" {
		t.Errorf("while the server is away: %s", got)
	}
}

// TestKeyURLRedirect: keys never come from another host.
func TestKeyURLRedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, keySetJSON()) }))
	defer other.Close()
	first := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer first.Close()
	source := NewState().KeyURL(first.URL, time.Hour)
	if _, err := source.find(t.Context(), "e1", "ES256"); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("%v", err)
	}
}
