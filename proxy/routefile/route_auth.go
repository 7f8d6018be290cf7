package routefile

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Authentication: who may use a route.

// AuthEntry is one way into a route: exactly one of the pointers is set.
type AuthEntry struct {
	JWT               *JWTAuth
	Basic             *BasicAuth
	APIKey            *APIKeyAuth
	ClientCertificate *CertificateAuth
	Forward           *ForwardAuth
}

// JWTAuth lets in by a signed token.
type JWTAuth struct {
	Issuer            string
	Audience          []string // one of them; "any" alone is any
	Keys              TokenKeys
	Algorithms        []string
	From              []AuthPlace
	Claims            []AuthClaim // sorted by name
	Leeway            time.Duration
	OnExpiry          OnExpiry
	Headers           map[string]string // header to claim
	ForwardCredential Switch
}

// TokenKeys is where the keys that verify tokens are: exactly one of File, URL and Secret.
type TokenKeys struct {
	File    string // JSON Web Key Set
	URL     string // of one
	Refresh time.Duration
	Secret  *SecretFile
}

// SecretFile is a secret in a file.
type SecretFile struct{ File string }

// AuthPlace is where a credential may be: exactly one field is set. Header is
// "Authorization" for the short form.
type AuthPlace struct {
	Header, Cookie, Query, Subprotocol string
}

// AuthClaim is a condition on one claim: Regex, or exactly Value.
type AuthClaim struct {
	Name, Value, Regex string
}

// OnExpiry is how a tunnel ends when its token expires.
type OnExpiry struct {
	Keep   bool
	Close  int
	Reason string
}

// BasicAuth lets in by user and password.
type BasicAuth struct {
	Users             string // file
	Realm             string
	User              string // what the user must be; may have captures
	ForwardCredential Switch
}

// APIKeyAuth lets in by key.
type APIKeyAuth struct {
	Keys              string // file
	From              []AuthPlace
	ForwardCredential Switch
}

// CertificateAuth lets in by client certificate.
type CertificateAuth struct {
	Names  []string
	SPIFFE []string
	Header string
}

// ForwardAuth asks a service.
type ForwardAuth struct {
	URL     string
	Headers []string
	Copy    []string
	User    string
	Timeout time.Duration
	Cache   time.Duration
}

// authKey reads a list of entries, one entry, or off.
func authKey() *Key {
	item := key("[]", "One way in.", mapping(self[AuthEntry], authEntryKeys()...), exactlyOne("jwt", "basic", "api_key", "client_certificate", "forward"),
		example("{basic: {users: users.htpasswd}}"))
	open := func(p *parser, s *Settings, _ node) *AuthEntry {
		s.Auth = append(s.Auth, AuthEntry{})
		return &s.Auth[len(s.Auth)-1]
	}
	k := listOf(func(s *Settings) []AuthEntry { return s.Auth }, open, item)
	k.Short = []Short{
		{Kind: KindText, Enum: []string{"off"}, Meaning: "everybody may come in"},
		{Kind: KindMapping, Meaning: "one entry"},
	}
	k.short = func(p *parser, k *Key, n node, dst any) bool {
		s := dst.(*Settings)
		switch {
		case n.Kind == yamledit.ScalarNode && n.Value == "off", n.Kind == yamledit.SequenceNode && len(n.Content) == 0:
			s.Auth = []AuthEntry{}
			return true
		case n.Kind == yamledit.MappingNode:
			p.value(k.index["[]"], n, open(p, s, n))
			return true
		}
		return false
	}
	k.none = func(src any) node {
		if src.(*Settings).Auth == nil {
			return nil
		}
		return yamledit.WordNode("off")
	}
	return k
}

func authEntryKeys() []*Key {
	return []*Key{
		key("jwt", "Lets in by a signed JSON Web Token.",
			optional(func(e *AuthEntry) **JWTAuth { return &e.JWT }, jwtKeys()...), afterwards(finishJWT), example("{issuer: https://id.example.com, audience: [chat], keys: {file: jwks.json}}")),
		key("basic", "Lets in by user and password (HTTP Basic).",
			optional(func(e *AuthEntry) **BasicAuth { return &e.Basic }, basicKeys()...), example("{users: users.htpasswd}")),
		key("api_key", "Lets in by a key that is known by its hash.",
			optional(func(e *AuthEntry) **APIKeyAuth { return &e.APIKey }, apiKeyKeys()...), example("{keys: keys, from: [{header: X-Api-Key}]}")),
		key("client_certificate", "Lets in by a client certificate that the listener's client_ca has signed.",
			optional(func(e *AuthEntry) **CertificateAuth { return &e.ClientCertificate }, certificateKeys()...), example(`{names: ["{id}.devices.example.com"]}`)),
		key("forward", "Asks a service about each request; must be the last entry.",
			optional(func(e *AuthEntry) **ForwardAuth { return &e.Forward }, forwardAuthKeys()...), example("{url: http://auth.internal/verify, copy: [X-User]}")),
	}
}

// tokenAlgorithms need a public key, secretAlgorithms a shared secret.
var (
	tokenAlgorithms  = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	secretAlgorithms = []string{"HS256", "HS384", "HS512"}
)

func jwtKeys() []*Key {
	type T = JWTAuth
	return []*Key{
		key("issuer", "The token's iss claim, exactly.",
			text(func(j *T) *string { return &j.Issuer }, checkNotEmpty), required, example("https://id.example.com")),
		key("audience", "Audiences of which the token's aud claim must have one; any accepts every audience.",
			texts(func(j *T) *[]string { return &j.Audience }, checkNotEmpty), required, filled, example("[chat]")),
		key("keys", "The keys that verify the token.",
			mapping(func(j *T) *TokenKeys { return &j.Keys }, tokenKeysKeys()...), exactlyOne("file", "url", "secret"), required, example("{url: https://id.example.com/jwks.json}")),
		key("algorithms", "The only algorithms that a token may be signed with. With keys.secret the default is HS256.",
			texts(func(j *T) *[]string { return &j.Algorithms }, nil), enum(slices.Concat(tokenAlgorithms, secretAlgorithms)...), filled, byDefault("[RS256, ES256, EdDSA]"), example("[ES256]")),
		key("from", "Where the token may be; the first place that has one decides. header is Authorization: Bearer.",
			authPlaces(func(j *T) *[]AuthPlace { return &j.From }), filled, byDefault("[header]"), example("[header, {cookie: token}, {query: access_token}, {subprotocol: bearer.}]")),
		claimsKey(),
		key("leeway", "Difference of clocks that is tolerated.",
			duration(func(j *T) *dur { return &j.Leeway }, true), byDefault("30s"), example("10s")),
		key("on_expiry", "What happens to an open tunnel when its token expires.",
			mapping(func(j *T) *OnExpiry { return &j.OnExpiry }, onExpiryKeys()...), example("{close: 4401}"), shortKeep),
		key("headers", "Headers to the backend, each with the claim that it gets. A client's own headers of these names are removed.",
			textMap(func(j *T) *map[string]string { return &j.Headers }, checkClaimHeader), example("{X-User: sub}")),
		forwardCredentialKey(func(j *T) *Switch { return &j.ForwardCredential }),
	}
}

func tokenKeysKeys() []*Key {
	type T = TokenKeys
	return []*Key{
		key("file", "File with a JSON Web Key Set. Changes of the file are loaded.",
			file(func(k *T) *string { return &k.File }), example("jwks.json")),
		key("url", "An https URL of a JSON Web Key Set. http is accepted for addresses of this machine.",
			text(func(k *T) *string { return &k.URL }, checkKeyURL), example("https://id.example.com/jwks.json")),
		key("refresh", "Age at which the keys of url are fetched again. A token with an unknown key id fetches them at most every 30 seconds.",
			duration(func(k *T) *dur { return &k.Refresh }, false), byDefault("10m"), example("1h")),
		key("secret", "A shared secret of at least 32 bytes, for the HS algorithms.",
			optional(func(k *T) **SecretFile { return &k.Secret }, key("file", "File with the secret. Changes of the file are loaded.",
				file(func(s *SecretFile) *string { return &s.File }), required, example("jwt.secret"))), example("{file: jwt.secret}")),
	}
}

func onExpiryKeys() []*Key {
	return []*Key{
		key("keep", "The tunnel stays open. Only true is allowed.",
			onlyTrue(func(o *OnExpiry) *bool { return &o.Keep }, "remove the key instead"), example("true")),
		key("close", "Close code: 1008, or 3000 to 4999.",
			expiryCodeKey(), byDefault("1008"), example("4401")),
		key("reason", fmt.Sprintf("Close reason, at most %d bytes.", maxReason),
			text(func(o *OnExpiry) *string { return &o.Reason }, checkReason), byDefault("token expired"), example("please log in again")),
	}
}

func expiryCodeKey() *Key {
	k := whole(func(o *OnExpiry) *int { return &o.Close }, 1008, 4999)
	set := k.set
	k.set = func(p *parser, k *Key, n node, dst any) {
		before := len(p.errs)
		set(p, k, n, dst)
		if code := dst.(*OnExpiry).Close; len(p.errs) == before && code != 1008 && code < 3000 {
			p.bad(n, "wanted 1008, or 3000 to 4999")
		}
	}
	return k
}

// shortKeep is `on_expiry: keep`.
func shortKeep(k *Key) {
	k.Short = []Short{{Kind: KindText, Enum: []string{"keep"}, Meaning: "the tunnel stays open"}}
	k.short = func(p *parser, k *Key, n node, dst any) bool {
		if n.Kind != yamledit.ScalarNode || n.Value != "keep" {
			return false
		}
		k.open(dst).(*OnExpiry).Keep = true
		return true
	}
}

// claimsKey makes a mapping of claims to conditions, sorted by name.
func claimsKey() *Key {
	type T = JWTAuth
	one := key("*", "The claim's exact value, or one of the keys below.", mapping(self[AuthClaim],
		key("regex", "An RE2 expression that matches in the value.",
			text(func(c *AuthClaim) *string { return &c.Regex }, checkExpression), required, example(`"\\bchat\\b"`)),
	), example("chat"), func(k *Key) {
		k.Short = []Short{{Kind: KindValue, Meaning: "the value is exactly this; may have captures"}}
		k.short = func(p *parser, k *Key, n node, dst any) bool {
			if n.Kind != yamledit.ScalarNode || yamledit.IsNull(n) {
				return false
			}
			dst.(*AuthClaim).Value = n.Value
			return true
		}
		k.write = func(src any) node {
			if c := src.(*AuthClaim); c.Regex == "" {
				return yamledit.TextNode(c.Value)
			}
			return nil
		}
	})
	each := func(p *parser, dst any, name string, key node) any {
		j := dst.(*T)
		j.Claims = append(j.Claims, AuthClaim{Name: name})
		return &j.Claims[len(j.Claims)-1]
	}
	all := func(src any) iter.Seq2[string, any] {
		return func(yield func(string, any) bool) {
			claims := src.(*T).Claims
			for i := range claims {
				if !yield(claims[i].Name, &claims[i]) {
					return
				}
			}
		}
	}
	sorted := func(_ *parser, _ node, j *T) {
		slices.SortStableFunc(j.Claims, func(a, b AuthClaim) int { return strings.Compare(a.Name, b.Name) })
	}
	return key("claims", "Claims that the token must have: an exact value, which may have captures of the path, or one of the keys below. Of a list, one item must have it.",
		&Key{Kind: KindNamed, keys: []*Key{one}, each: each, all: all}, afterwards(sorted), example(`{scope: chat, sub: "{id}"}`))
}

// authPlaces reads a list of places.
func authPlaces[T any](field func(*T) *[]AuthPlace) *Key {
	type P = AuthPlace
	item := key("[]", "One place.", mapping(self[P],
		key("header", "A header, of which the whole value is the credential.",
			text(func(p *P) *string { return &p.Header }, checkToken), example("X-Api-Key")),
		key("cookie", "A cookie.",
			text(func(p *P) *string { return &p.Cookie }, checkToken), example("token")),
		key("query", "A query parameter.",
			text(func(p *P) *string { return &p.Query }, checkNotEmpty), example("access_token")),
		key("subprotocol", "A WebSocket subprotocol that begins with this text; k8s is the form of Kubernetes, base64url.bearer.authorization.k8s.io. and the token in base64url.",
			text(func(p *P) *string { return &p.Subprotocol }, checkToken), example("bearer.")),
	), exactlyOne("header", "cookie", "query", "subprotocol"), example("{cookie: token}"), func(k *Key) {
		k.Short = []Short{{Kind: KindText, Enum: []string{"header"}, Meaning: "the Authorization header"}}
		k.short = func(p *parser, k *Key, n node, dst any) bool {
			if n.Kind != yamledit.ScalarNode || n.Value != "header" {
				return false
			}
			dst.(*P).Header = "Authorization"
			return true
		}
	})
	open := func(p *parser, t *T, _ node) *P {
		list := field(t)
		*list = append(*list, P{})
		return &(*list)[len(*list)-1]
	}
	k := listOf(func(t *T) []P { return *field(t) }, open, item)
	k.none = func(any) node { return nil }
	return k
}

func forwardCredentialKey[T any](field func(*T) *Switch) *Key {
	return key("forward_credential", "Sends the credential to the backend too. Without it, what is in a header or cookie is sent, and what is in the query or a subprotocol is removed.",
		toggle(field), example("false"))
}

func basicKeys() []*Key {
	type T = BasicAuth
	return []*Key{
		key("users", "File with one NAME:HASH a line, as htpasswd -B writes it: bcrypt, argon2id, or $tf-sha256$ for random secrets. Changes of the file are loaded.",
			file(func(b *T) *string { return &b.Users }), required, example("users.htpasswd")),
		key("realm", "The realm that browsers show.",
			text(func(b *T) *string { return &b.Realm }, checkHeaderValue), byDefault("restricted"), example("chat")),
		key("user", "What the user's name must be, with captures of the path.",
			text(func(b *T) *string { return &b.User }, checkNotEmpty), example(`"{id}"`)),
		forwardCredentialKey(func(b *T) *Switch { return &b.ForwardCredential }),
	}
}

func apiKeyKeys() []*Key {
	type T = APIKeyAuth
	return []*Key{
		key("keys", "File with one NAME sha256:HEX a line, the hash of a random key. Changes of the file are loaded.",
			file(func(a *T) *string { return &a.Keys }), required, example("keys")),
		key("from", "Where the key may be; the first place that has one decides. header is Authorization: Bearer.",
			authPlaces(func(a *T) *[]AuthPlace { return &a.From }), filled, byDefault("[{header: X-Api-Key}]"), example("[{header: X-Api-Key}, {query: key}]")),
		forwardCredentialKey(func(a *T) *Switch { return &a.ForwardCredential }),
	}
}

func certificateKeys() []*Key {
	type T = CertificateAuth
	return []*Key{
		key("names", "DNS names, with captures of the path, of which the certificate must have one.",
			texts(func(c *T) *[]string { return &c.Names }, checkNotEmpty), filled, example(`["{id}.devices.example.com"]`)),
		key("spiffe", "SPIFFE IDs, of which the certificate must have one; * at the end matches anything.",
			texts(func(c *T) *[]string { return &c.SPIFFE }, checkSPIFFE), filled, example(`["spiffe://example.com/chat/*"]`)),
		key("header", "Header to the backend with the certificate, as RFC 9440 writes it. A client's own header of this name is removed.",
			text(func(c *T) *string { return &c.Header }, checkEditedHeader), example("Client-Cert")),
	}
}

func forwardAuthKeys() []*Key {
	type T = ForwardAuth
	return []*Key{
		key("url", "The service. It gets a GET with X-Forwarded-Method, -Proto, -Host, -Uri and -For; 2xx lets the request in, 3xx, 401 and 403 are passed on, anything else is 503.",
			text(func(f *T) *string { return &f.URL }, checkServiceURL), required, example("http://auth.internal/verify")),
		key("headers", "Headers of the request that the service gets.",
			texts(func(f *T) *[]string { return &f.Headers }, checkToken), byDefault("[Accept, Authorization, Cookie, Origin, User-Agent]"), example("[Cookie]")),
		key("copy", "Headers of the service's answer that the backend gets. A client's own headers of these names are removed.",
			texts(func(f *T) *[]string { return &f.Copy }, checkEditedHeader), example("[X-User, X-Groups]")),
		key("user", "Header of the service's answer that names the user.",
			text(func(f *T) *string { return &f.User }, checkToken), example("X-User")),
		key("timeout", "Time limit for the service's answer.",
			duration(func(f *T) *dur { return &f.Timeout }, false), byDefault("2s"), example("5s")),
		key("cache", "How long a 2xx without Set-Cookie counts for the same question.",
			duration(func(f *T) *dur { return &f.Cache }, true), byDefault("off"), example("10s")),
	}
}

func checkClaimHeader(header, claim string) error {
	if err := checkEditedHeader(header); err != nil {
		return err
	}
	return checkNotEmpty(claim)
}

// checkKeyURL wants https: keys that are changed on their way let anybody in.
func checkKeyURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("wanted https://host/path")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("wanted https://host/path: http is accepted for localhost and addresses of this machine alone")
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func checkServiceURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("wanted http://host/path or https://host/path")
	}
	return nil
}

func checkSPIFFE(s string) error {
	if !strings.HasPrefix(s, "spiffe://") {
		return errors.New("wanted spiffe://domain/path")
	}
	return nil
}

// finishJWT refuses algorithms that the kind of key does not have: a public key taken for a
// secret lets anybody in (RFC 8725 section 2.1).
func finishJWT(p *parser, n node, j *JWTAuth) {
	wanted := tokenAlgorithms
	if j.Keys.Secret != nil {
		wanted = secretAlgorithms
	}
	for _, alg := range j.Algorithms {
		if !slices.Contains(wanted, alg) {
			p.fail(childOf(n, "algorithms"), "%s does not go with these keys: wanted %s", alg, oneOf(wanted))
		}
	}
	if j.Keys.Refresh != 0 && j.Keys.URL == "" {
		p.fail(childOf(n, "keys"), "refresh goes with url")
	}
	if o := j.OnExpiry; o.Keep && (o.Close != 0 || o.Reason != "") {
		p.fail(childOf(n, "on_expiry"), "keep closes nothing: remove close and reason")
	}
}

// filledAuth returns the entries with all defaults.
func filledAuth(entries []AuthEntry) []AuthEntry {
	if entries == nil {
		return nil
	}
	out := make([]AuthEntry, len(entries))
	for i, e := range entries {
		if e.JWT != nil && e.JWT.Algorithms == nil && e.JWT.Keys.Secret != nil {
			j := *e.JWT
			j.Algorithms = []string{"HS256"}
			e.JWT = &j
		}
		out[i] = AuthEntry{
			JWT:               overlayPart(e.JWT, builtIn.auth.JWT),
			Basic:             overlayPart(e.Basic, builtIn.auth.Basic),
			APIKey:            overlayPart(e.APIKey, builtIn.auth.APIKey),
			ClientCertificate: e.ClientCertificate,
			Forward:           overlayPart(e.Forward, builtIn.auth.Forward),
		}
	}
	return out
}

// byBrowser reports whether browsers send the entry's credential by themselves, to any page
// that asks.
func (e AuthEntry) byBrowser() bool {
	inCookie := func(places []AuthPlace) bool {
		return slices.ContainsFunc(places, func(p AuthPlace) bool { return p.Cookie != "" })
	}
	return e.Basic != nil || e.ClientCertificate != nil || e.Forward != nil || e.JWT != nil && inCookie(e.JWT.From) || e.APIKey != nil && inCookie(e.APIKey.From)
}

// files are those that the entry names.
func (e AuthEntry) files() (paths []string) {
	if j := e.JWT; j != nil {
		paths = append(paths, j.Keys.File)
		if j.Keys.Secret != nil {
			paths = append(paths, j.Keys.Secret.File)
		}
	}
	if e.Basic != nil {
		paths = append(paths, e.Basic.Users)
	}
	if e.APIKey != nil {
		paths = append(paths, e.APIKey.Keys)
	}
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" })
}

var authCapture = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// authTemplates are the texts of an entry that may have captures.
func (e AuthEntry) authTemplates() (texts []string) {
	switch {
	case e.JWT != nil:
		for _, c := range e.JWT.Claims {
			texts = append(texts, c.Value)
		}
	case e.Basic != nil:
		texts = []string{e.Basic.User}
	case e.ClientCertificate != nil:
		texts = slices.Concat(e.ClientCertificate.Names, e.ClientCertificate.SPIFFE)
	}
	return texts
}

// checkAuth reports what a route's authentication and its other settings make wrong
// together. The settings may be those of the file's defaults.
func (c *checker) checkAuth(r placed[*Route]) {
	own, defaults := r.it.Settings, r.file.Defaults
	if (own == nil || own.Auth == nil) && (defaults == nil || defaults.Auth == nil) {
		return
	}
	var set Settings
	keys := []string{"routes", r.it.Name}
	if own != nil {
		set = *own
		keys = append(keys, "auth") // or the route, where it has no auth of its own
	}
	if defaults != nil {
		set = overlay(set, *defaults)
	}
	note := func(format string, args ...any) { c.at(r.file, keys, recordOf("route", r.it.Name), format, args...) }
	for i, e := range set.Auth {
		if e.Forward != nil && i < len(set.Auth)-1 {
			note("auth: forward must be the last entry: it decides about every request")
		}
		if e.byBrowser() && set.Origins.Mode == "any" && set.CrossSite != "allow" {
			note("auth: browsers send this credential for any page that asks, and origins: any lets every page ask: list the origins, or write cross_site: allow")
			break
		}
	}
	for _, e := range set.Auth {
		for _, text := range e.authTemplates() {
			for _, found := range authCapture.FindAllStringSubmatch(text, -1) {
				if t, err := match.ParseTemplate(found[0]); err == nil && !r.it.invalid {
					if err := checkRefs(t, r.it.Match.pattern()); err != nil {
						note("auth %q: %v", text, err)
					}
				}
			}
		}
	}
}
