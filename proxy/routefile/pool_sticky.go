package routefile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Sticky sessions.

// Sticky binds clients to backends: by Cookie, which the proxy sets, or by what
// the application says in one of AppCookie, Header and Query.
type Sticky struct {
	Cookie    string
	AppCookie string
	Header    string
	Query     string
	// Separator stands before the backend's route in what the application says.
	Separator     string
	OnUnavailable string // "another" or "refuse"

	// Of Cookie:
	Path     string
	Domain   string // "" is the host asked for alone
	Secure   Switch // unset: where the client came over TLS
	HTTPOnly Switch
	SameSite string        // "lax", "strict" or "none"
	MaxAge   time.Duration // negative: until the browser is closed
	Secret   string        // file; "" is a secret of the process's own
}

// MinSecret is how many bytes a secret has at least, blanks at its ends not counted.
const MinSecret = 16

func stickyKeys() []*Key {
	type S = Sticky
	return []*Key{
		key("cookie", "A cookie of this name that the proxy sets, on the answer to a handshake too. Its value names a backend to this proxy alone and reveals no address.",
			text(func(s *S) *string { return &s.Cookie }, checkToken), example("TUNNELFORM")),
		key("app_cookie", "A cookie of the application's that names a backend's route: the whole value, or what follows a separator in it.",
			text(func(s *S) *string { return &s.AppCookie }, checkToken), example("JSESSIONID")),
		key("header", "A request header that names a backend's route, as app_cookie does.",
			text(func(s *S) *string { return &s.Header }, checkToken), example("X-Route")),
		key("query", "A query parameter that names a backend's route, as app_cookie does.",
			text(func(s *S) *string { return &s.Query }, checkNotEmpty), example("jsessionid")),
		key("separator", "What stands before the route in the application's value.",
			text(func(s *S) *string { return &s.Separator }, checkNotEmpty), byDefault(`"."`), example(`"!"`)),
		key("on_unavailable", "What a client gets whose backend is there and cannot be used: another one, or 503.",
			text(func(s *S) *string { return &s.OnUnavailable }, nil), enum("another", "refuse"), byDefault("another"), example("refuse")),
		key("path", "The cookie's Path.",
			text(func(s *S) *string { return &s.Path }, checkStickyPath), byDefault("/"), example("/app")),
		key("domain", "The cookie's Domain. Without it the cookie is for the host asked for alone.",
			text(func(s *S) *string { return &s.Domain }, checkHostName), example("example.com")),
		key("secure", "Whether the cookie is Secure. Without it: where the client came over TLS.",
			toggle(func(s *S) *Switch { return &s.Secure }), example("true")),
		key("http_only", "Hides the cookie from scripts.",
			toggle(func(s *S) *Switch { return &s.HTTPOnly }), byDefault("true"), example("false")),
		key("same_site", "The cookie's SameSite: none lets other sites' pages bring it, and wants secure: true.",
			text(func(s *S) *string { return &s.SameSite }, nil), enum("lax", "strict", "none"), byDefault("lax"), example("strict")),
		key("max_age", "How long the cookie lasts from the last answer on, in whole seconds. Off: as long as the browser is open.",
			duration(func(s *S) *dur { return &s.MaxAge }, true), byDefault("off"), example("1h")),
		key("secret", fmt.Sprintf("File with at least %d bytes that nobody else knows, which the cookie's values are made with. Several proxies for the same clients need the same one; without it each makes its own when it starts.", MinSecret),
			file(func(s *S) *string { return &s.Secret }), example("sticky.secret")),
	}
}

func checkStickyPath(s string) error {
	if !isCookiePath(s) {
		return errors.New("wanted a path that begins with \"/\", without \";\", blanks or control bytes")
	}
	return nil
}

// own names the keys that are said though they mean something for a cookie of the
// proxy's only.
func (s *Sticky) own() []string {
	var names []string
	said := func(name string, is bool) {
		if is {
			names = append(names, name)
		}
	}
	said("path", s.Path != "")
	said("domain", s.Domain != "")
	said("secure", s.Secure != Unset)
	said("http_only", s.HTTPOnly != Unset)
	said("same_site", s.SameSite != "")
	said("max_age", s.MaxAge != 0)
	said("secret", s.Secret != "")
	return names
}

// checkSticky notes what no single key shows.
func (c *checker) checkSticky(p placed[*Pool]) {
	s := p.it.Sticky
	if s == nil || p.it.spoilt {
		return
	}
	note := func(name, format string, args ...any) {
		c.at(p.file, []string{"pools", p.it.Name, "sticky", name}, recordOf("pool", p.it.Name), "sticky."+name+" "+format, args...)
	}
	if s.Cookie == "" {
		for _, name := range s.own() {
			note(name, "without effect: the application sets its cookie itself")
		}
		return
	}
	if s.Separator != "" {
		note("separator", "without effect: the proxy's cookie has none")
	}
	if s.SameSite == "none" && s.Secure != On {
		note("same_site", "none wants secure: true: browsers refuse such a cookie otherwise")
	}
	if s.MaxAge > 0 && s.MaxAge%time.Second != 0 {
		note("max_age", "%q: wanted whole seconds", FormatDuration(s.MaxAge))
	}
	if why := s.wrongPrefix(); why != "" {
		note("cookie", "%q: %s", s.Cookie, why)
	}
}

// wrongPrefix says what a browser wants of a cookie whose name begins like this
// (RFC 6265bis, section 4.1.3), in any case of letters.
func (s *Sticky) wrongPrefix() string {
	name := strings.ToLower(s.Cookie)
	host := strings.HasPrefix(name, "__host-")
	switch {
	case (host || strings.HasPrefix(name, "__secure-")) && s.Secure != On:
		return "such a name wants secure: true"
	case host && (s.Domain != "" || s.Path != "" && s.Path != "/"):
		return "such a name wants no domain, and the path /"
	}
	return ""
}

// checkRouteNames notes backends that the application could not tell apart.
func (c *checker) checkRouteNames(p placed[*Pool]) {
	first := map[string]string{}
	for _, name := range sortedNames(p.it.Backends) {
		route := p.it.Backends[name].RouteName()
		if before, twice := first[route]; twice {
			c.at(p.file, []string{"pools", p.it.Name, "backends", name, "route"}, recordOf("pool", p.it.Name),
				"backends.%s.route %q is that of backend %q too: wanted one of its own", name, route, before)
			continue
		}
		first[route] = name
	}
}

// RouteName is what the application calls the backend.
func (b *Backend) RouteName() string {
	if b.Route != "" {
		return b.Route
	}
	return b.Name
}

// secret wants enough bytes in the file that is named, if one is.
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
