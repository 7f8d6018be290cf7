package routefile

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const allAuth = `version: 1
routes:
  x:
    match: {path: "/devices/{id}"}
    to: "internal://echo"
    auth:
      - jwt:
          issuer: https://id.example.com
          audience: [chat, b]
          keys: {url: "https://id.example.com/jwks.json", refresh: 1h}
          algorithms: [ES256]
          from: [header, {cookie: token}, {query: access_token}, {subprotocol: bearer.}, {header: X-Token}]
          claims: {scope: {regex: chat}, sub: "{id}"}
          leeway: 1s
          on_expiry: {close: 4401, reason: bye}
          headers: {X-User: sub}
          forward_credential: false
      - basic: {users: users, realm: r, user: "{id}", forward_credential: true}
      - api_key: {keys: keys, from: [{query: key}], forward_credential: true}
      - client_certificate: {names: ["{id}.example.com"], spiffe: ["spiffe://example.com/*"], header: Client-Cert}
      - forward: {url: "http://auth/verify", headers: [Cookie], copy: [X-User], user: X-User, timeout: 1s, cache: 10s}
`

func TestAuth(t *testing.T) {
	f := mustParse(t, "/e/r.yaml", allAuth)
	want := []AuthEntry{
		{JWT: &JWTAuth{
			Issuer: "https://id.example.com", Audience: []string{"chat", "b"}, Keys: TokenKeys{URL: "https://id.example.com/jwks.json", Refresh: time.Hour},
			Algorithms: []string{"ES256"},
			From:       []AuthPlace{{Header: "Authorization"}, {Cookie: "token"}, {Query: "access_token"}, {Subprotocol: "bearer."}, {Header: "X-Token"}},
			Claims:     []AuthClaim{{Name: "scope", Regex: "chat"}, {Name: "sub", Value: "{id}"}}, Leeway: time.Second,
			OnExpiry: OnExpiry{Close: 4401, Reason: "bye"}, Headers: map[string]string{"X-User": "sub"}, ForwardCredential: Off,
		}},
		{Basic: &BasicAuth{Users: "/e/users", Realm: "r", User: "{id}", ForwardCredential: On}},
		{APIKey: &APIKeyAuth{Keys: "/e/keys", From: []AuthPlace{{Query: "key"}}, ForwardCredential: On}},
		{ClientCertificate: &CertificateAuth{Names: []string{"{id}.example.com"}, SPIFFE: []string{"spiffe://example.com/*"}, Header: "Client-Cert"}},
		{Forward: &ForwardAuth{URL: "http://auth/verify", Headers: []string{"Cookie"}, Copy: []string{"X-User"}, User: "X-User", Timeout: time.Second, Cache: 10 * time.Second}},
	}
	got := f.Routes["x"].Settings.Auth
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	back := parseOne(t, InRoutes, InRoutes.encode(f.Routes["x"])).Routes["x"].Settings.Auth
	if !reflect.DeepEqual(back, want) {
		t.Errorf("written and read: %+v", back)
	}
	plain := f.Plain(InRoutes, "x")
	again := parseOne(t, InRoutes, InRoutes.FromPlain(plain)).Routes["x"].Settings.Auth
	again[1].Basic.Users, again[2].APIKey.Keys = "/e/users", "/e/keys"
	if !reflect.DeepEqual(again, want) {
		t.Errorf("by plain values: %+v", again)
	}
	if inputs := Inputs(NewSet(f)); !reflect.DeepEqual(inputs, []string{"/e/keys", "/e/users"}) {
		t.Errorf("inputs %q", inputs)
	}
}

// TestAuthForms: one entry without a list, off, and what the defaults give.
func TestAuthForms(t *testing.T) {
	f := mustParse(t, "/e/r.yaml", `version: 1
defaults: {auth: {basic: {users: all}}}
routes:
  a: {match: {path: /a}, to: "internal://echo"}
  b: {match: {path: /b}, to: "internal://echo", auth: off}
  c: {match: {path: /c}, to: "internal://echo", auth: []}
  d: {match: {path: /d}, to: "internal://echo", auth: [{api_key: {keys: k}}]}
  e: {match: {path: /e}, to: "internal://echo", timeouts: {idle: 1m}}
  f: {match: {path: /f}, to: "internal://echo", auth: {jwt: {issuer: i, audience: any, keys: {secret: {file: s}}, on_expiry: keep}}}
  g: {match: {path: /g}, to: "internal://echo", auth: {jwt: {issuer: i, audience: b, keys: {file: k}}}}
`)
	set := NewSet(f)
	basic := []AuthEntry{{Basic: &BasicAuth{Users: "/e/all", Realm: "restricted"}}}
	for name, want := range map[string][]AuthEntry{
		"a": basic, "b": {}, "c": {}, "e": basic,
		"d": {{APIKey: &APIKeyAuth{Keys: "/e/k", From: []AuthPlace{{Header: "X-Api-Key"}}}}},
		"f": {{JWT: &JWTAuth{
			Issuer: "i", Audience: []string{"any"}, Keys: TokenKeys{Secret: &SecretFile{"/e/s"}, Refresh: 10 * time.Minute}, Algorithms: []string{"HS256"},
			From: []AuthPlace{{Header: "Authorization"}}, Leeway: 30 * time.Second, OnExpiry: OnExpiry{Keep: true, Close: 1008, Reason: "token expired"},
		}}},
		"g": {{JWT: &JWTAuth{
			Issuer: "i", Audience: []string{"b"}, Keys: TokenKeys{File: "/e/k", Refresh: 10 * time.Minute}, Algorithms: []string{"RS256", "ES256", "EdDSA"},
			From: []AuthPlace{{Header: "Authorization"}}, Leeway: 30 * time.Second, OnExpiry: OnExpiry{Close: 1008, Reason: "token expired"},
		}}},
	} {
		if got := set.Routes[name].Resolved.Auth; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestAuthMistakes(t *testing.T) {
	for auth, want := range map[string]string{
		"{}":                                  "needs exactly one of jwt, basic, api_key, client_certificate or forward, has none",
		"on":                                  `is a text, wanted a mapping or off or a list of mappings`,
		"{basic: {}}":                         "is missing the key users",
		"{basic: {users: u, user: '{nope}'}}": `auth "{nope}"`,
		"[{forward: {url: 'http://a/'}}, {basic: {users: u}}]":                            "forward must be the last entry",
		"{forward: {url: 'ftp://a/'}}":                                                    "wanted http://host/path or https://host/path",
		"{forward: {url: 'http://user@a/'}}":                                              "wanted http://host/path or https://host/path",
		"{jwt: {issuer: i, audience: a, keys: {file: f, url: 'https://a/'}}}":             "needs exactly one of file, url or secret, has file and url",
		"{jwt: {issuer: i, audience: a, keys: {url: 'http://a/'}}}":                       "http is accepted for localhost",
		"{jwt: {issuer: i, audience: a, keys: {file: f, refresh: 1m}}}":                   "refresh goes with url",
		"{jwt: {issuer: i, audience: a, keys: {file: f}, algorithms: [HS256]}}":           "HS256 does not go with these keys",
		"{jwt: {issuer: i, audience: a, keys: {secret: {file: f}}, algorithms: [RS256]}}": "RS256 does not go with these keys",
		"{jwt: {issuer: i, audience: a, keys: {file: f}, algorithms: [none]}}":            `"none": wanted RS256`,
		"{jwt: {issuer: i, audience: a, keys: {file: f}, on_expiry: {close: 1000}}}":      "on_expiry.close",
		"{jwt: {issuer: i, audience: a, keys: {file: f}, on_expiry: {close: 2000}}}":      "wanted 1008, or 3000 to 4999",
		"{jwt: {issuer: i, audience: a, keys: {file: f}, headers: {Connection: sub}}}":    "cannot be changed",
		"{jwt: {issuer: i, audience: a, keys: {file: f}, claims: {sub: '{nope}'}}}":       `auth "{nope}"`,
		"{jwt: {issuer: i, audience: a, keys: {file: f}, claims: {sub: {regex: '('}}}}":   "missing closing )",
		"{jwt: {issuer: i, audience: [], keys: {file: f}}}":                               "is an empty list",
		"{jwt: {issuer: i, audience: a, keys: {file: f}, from: [{cookie: a, query: b}]}}": "needs exactly one of header, cookie, query or subprotocol",
		"{jwt: {issuer: i, audience: a, keys: {file: f}, from: [cookie]}}":                "wanted header or a mapping",
		"{client_certificate: {spiffe: ['https://a']}}":                                   "wanted spiffe://domain/path",
	} {
		f, _ := Parse("r.yaml", []byte("version: 1\nroutes:\n  x: {match: {path: '/d/{id}'}, to: 'internal://echo', auth: "+auth+"}\n"))
		if errs := Check(f); len(errs) == 0 || !strings.Contains(errs.Error(), want) {
			t.Errorf("%s: %v, want %q", auth, errs, want)
		}
	}
	for _, tt := range []struct{ more, want string }{
		{"auth: {basic: {users: u}}, origins: any", "list the origins, or write cross_site: allow"},
		{"auth: {jwt: {issuer: i, audience: a, keys: {file: f}, from: [{cookie: t}]}}, origins: any", "list the origins, or write cross_site: allow"},
		{"auth: {basic: {users: u}}, origins: any, cross_site: allow", ""},
		{"auth: {jwt: {issuer: i, audience: a, keys: {file: f}}}, origins: any", ""},
		{"auth: {basic: {users: u}}", ""},
	} {
		f, _ := Parse("r.yaml", []byte("version: 1\nroutes:\n  x: {match: {path: /d}, to: 'internal://echo', "+tt.more+"}\n"))
		if got := Check(f).Error(); tt.want == "" && len(Check(f)) > 0 || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %v, want %q", tt.more, got, tt.want)
		}
	}
}
