package routefile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// Session affinity.

// Sticky is the session affinity of a pool: by Cookie, which the proxy sets, or by a value
// of the application in one of AppCookie, Header and Query.
type Sticky struct {
	Cookie    string
	AppCookie string
	Header    string
	Query     string
	// Separator precedes the backend's route in the application's value.
	Separator     string
	OnUnavailable string // "another" or "refuse"

	// For Cookie:
	Path     string
	Domain   string // "" is the requested host only
	Secure   Switch // unset: for clients that use TLS
	HTTPOnly Switch
	SameSite string        // "lax", "strict" or "none"
	MaxAge   time.Duration // negative: until the browser is closed
	Secret   string        // file; "" is a random secret of the process
}

// MinSecret is the minimum length of a secret in bytes, without surrounding white space.
const MinSecret = 16

func stickyKeys() []*Key {
	type S = Sticky
	return []*Key{
		key("cookie", "Name of a cookie that the proxy sets, also in handshake responses. Its value identifies the backend to this proxy only and reveals no address.",
			text(func(s *S) *string { return &s.Cookie }, checkToken), example("TUNNELFORM")),
		key("app_cookie", "Name of an application cookie whose value, or the part after a separator, is a backend's route.",
			text(func(s *S) *string { return &s.AppCookie }, checkToken), example("JSESSIONID")),
		key("header", "Name of a request header that holds a backend's route, as in app_cookie.",
			text(func(s *S) *string { return &s.Header }, checkToken), example("X-Route")),
		key("query", "Name of a query parameter that holds a backend's route, as in app_cookie.",
			text(func(s *S) *string { return &s.Query }, checkNotEmpty), example("jsessionid")),
		key("separator", "Separator before the route in the application's value.",
			text(func(s *S) *string { return &s.Separator }, checkNotEmpty), byDefault(`"."`), example(`"!"`)),
		key("on_unavailable", "What to do when a client's backend is unavailable: another backend, or refuse with 503.",
			text(func(s *S) *string { return &s.OnUnavailable }, nil), enum("another", "refuse"), byDefault("another"), example("refuse")),
		key("path", "Path of the cookie.",
			text(func(s *S) *string { return &s.Path }, checkStickyPath), byDefault("/"), example("/app")),
		key("domain", "Domain of the cookie. Without it the cookie is valid for the requested host only.",
			text(func(s *S) *string { return &s.Domain }, httpsyntax.CheckHostName[string]), example("example.com")),
		key("secure", "Whether the cookie is Secure. Defaults to true for clients that use TLS.",
			toggle(func(s *S) *Switch { return &s.Secure }), example("true")),
		key("http_only", "Whether the cookie is HttpOnly, hidden from scripts.",
			toggle(func(s *S) *Switch { return &s.HTTPOnly }), byDefault("true"), example("false")),
		key("same_site", "SameSite of the cookie. none sends it from pages of other sites and needs secure: true.",
			text(func(s *S) *string { return &s.SameSite }, nil), enum("lax", "strict", "none"), byDefault("lax"), example("strict")),
		key("max_age", "Lifetime of the cookie after the last response, in whole seconds. off keeps it until the browser is closed.",
			duration(func(s *S) *dur { return &s.MaxAge }, true), byDefault("off"), example("1h")),
		key("secret", fmt.Sprintf("File with a secret of at least %d bytes that signs the cookie. Proxies that serve the same clients need the same secret; without one each makes its own at its start.", MinSecret),
			file(func(s *S) *string { return &s.Secret }), example("sticky.secret")),
	}
}

func checkStickyPath(s string) error {
	if !isCookiePath(s) {
		return errors.New("wanted a path that begins with \"/\", without \";\", blanks or control bytes")
	}
	return nil
}

// cookieOnly returns the keys that are set although they only have an effect on a cookie of the
// proxy.
func (s *Sticky) cookieOnly() []string {
	var names []string
	isSet := func(name string, is bool) {
		if is {
			names = append(names, name)
		}
	}
	isSet("path", s.Path != "")
	isSet("domain", s.Domain != "")
	isSet("secure", s.Secure != Unset)
	isSet("http_only", s.HTTPOnly != Unset)
	isSet("same_site", s.SameSite != "")
	isSet("max_age", s.MaxAge != 0)
	isSet("secret", s.Secret != "")
	return names
}

// checkSticky reports mistakes that several keys make together.
func (c *checker) checkSticky(p placed[*Pool]) {
	s := p.it.Sticky
	if s == nil || p.it.invalid {
		return
	}
	note := func(name, format string, args ...any) {
		c.at(p.file, []string{"pools", p.it.Name, "sticky", name}, recordOf("pool", p.it.Name), "sticky."+name+" "+format, args...)
	}
	if s.Cookie == "" {
		for _, name := range s.cookieOnly() {
			note(name, "has no effect: the application sets the cookie")
		}
		return
	}
	if s.Separator != "" {
		note("separator", "has no effect: the proxy's cookie has none")
	}
	if s.SameSite == "none" && s.Secure != On {
		note("same_site", "none needs secure: true: browsers reject such a cookie otherwise")
	}
	if s.MaxAge > 0 && s.MaxAge%time.Second != 0 {
		note("max_age", "%q: wanted whole seconds", FormatDuration(s.MaxAge))
	}
	if why := s.wrongPrefix(); why != "" {
		note("cookie", "%q: %s", s.Cookie, why)
	}
}

// wrongPrefix describes what browsers require of a cookie whose name has this prefix, in
// any case of letters (RFC 6265bis, section 4.1.3).
func (s *Sticky) wrongPrefix() string {
	name := strings.ToLower(s.Cookie)
	host := strings.HasPrefix(name, "__host-")
	switch {
	case (host || strings.HasPrefix(name, "__secure-")) && s.Secure != On:
		return "a cookie with this prefix needs secure: true"
	case host && (s.Domain != "" || s.Path != "" && s.Path != "/"):
		return "a cookie with this prefix needs the path / and no domain"
	}
	return ""
}

// checkRouteNames reports backends that an application could not tell apart.
func (c *checker) checkRouteNames(p placed[*Pool]) {
	first := map[string]string{}
	for _, name := range sortedNames(p.it.Backends) {
		route := p.it.Backends[name].RouteName()
		if before, twice := first[route]; twice {
			c.at(p.file, []string{"pools", p.it.Name, "backends", name, "route"}, recordOf("pool", p.it.Name),
				"backends.%s.route %q is that of backend %q : each backend needs its own", name, route, before)
			continue
		}
		first[route] = name
	}
}

// RouteName is the name of the backend in an application's values.
func (b *Backend) RouteName() string {
	if b.Route != "" {
		return b.Route
	}
	return b.Name
}

// secret checks the length of the secret in the named file.
func (c *fileChecker) secret(s *Sticky, pool string) {
	if s == nil || s.Secret == "" {
		return
	}
	data, err := c.content(s.Secret)
	if n := len(bytes.TrimSpace(data)); err == nil && n < MinSecret {
		err = fmt.Errorf("has %d bytes, wanted at least %d", n, MinSecret)
	}
	if err != nil {
		c.note(recordOf("pool", pool), []string{"pools", pool, "sticky", "secret"}, s.Secret, err)
	}
}
