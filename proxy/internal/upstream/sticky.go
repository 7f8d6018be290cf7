package upstream

// Stickiness: a client goes back to the backend that it had. Either the proxy sets a
// cookie of its own, or it reads the application's: a cookie, a header or a query
// parameter that ends in a backend's route, as Tomcat's JSESSIONID=5A1B.a does.
//
// A value is only looked up among the pool's members: it cannot name another address.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Sticky is how clients are bound to backends. Read-only once a pool has it.
type Sticky struct {
	Cookie *Cookie // the proxy's own; nil: the application's key
	// Key finds the application's value. All of it is a route, or what follows any
	// Separator in it.
	Key       RequestKey
	Separator string
	// Refuse refuses a client, with ErrBoundUnavailable, while its backend is in the pool
	// but not usable. Otherwise it gets another backend.
	Refuse bool
}

// Cookie is one that the proxy sets.
type Cookie struct {
	Name     string
	Path     string // "/" and below
	Domain   string // "" is the host of the request only
	SameSite http.SameSite
	Secure   CookieSecure
	HTTPOnly bool
	MaxAge   time.Duration // from the last response on; 0 is a session cookie
	// Secret keys the HMAC of the values. Proxies with one secret accept each other's
	// cookies.
	Secret []byte
}

// CookieSecure is when a cookie is Secure.
type CookieSecure uint8

const (
	SecureAsAsked CookieSecure = iota // when the client came over TLS
	SecureAlways
	SecureNever
)

// stickyIndex is what a memberSet precomputes for stickiness. Immutable.
type stickyIndex struct {
	*Sticky
	members map[string]*Member // by value
	cookies map[*Backend]*setCookie
}

// setCookie is a backend's Set-Cookie header value, over TLS and not.
type setCookie struct{ secure, plain string }

// index returns nil for a nil s.
func (s *Sticky) index(members []Member) *stickyIndex {
	if s == nil {
		return nil
	}
	b := &stickyIndex{Sticky: s, members: make(map[string]*Member, len(members)), cookies: make(map[*Backend]*setCookie, len(members))}
	for i := range members {
		m := &members[i]
		value := m.routeName()
		if s.Cookie != nil {
			value = s.Cookie.value(m)
			b.cookies[m.Backend] = s.Cookie.setCookies(value)
		}
		if value != "" && b.members[value] == nil {
			b.members[value] = m
		}
	}
	return b
}

func (m *Member) routeName() string {
	if m.Route != "" {
		return m.Route
	}
	return m.Name
}

// value identifies a backend by its route, or by its authority: never by its pool or
// scheme, so that a server that is in two pools, for ws and for http, is one to its
// clients. It is 22 characters that mean nothing without the secret.
func (c *Cookie) value(m *Member) string {
	text := "at " + m.Backend.id.Authority
	if m.Route != "" {
		text = "route " + m.Route
	}
	mac := hmac.New(sha256.New, c.Secret)
	mac.Write([]byte("tunnelform sticky cookie 1\n" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func (c *Cookie) setCookies(value string) *setCookie {
	cookie := http.Cookie{
		Name: c.Name, Value: value, Path: c.Path, Domain: c.Domain,
		HttpOnly: c.HTTPOnly, SameSite: c.SameSite, MaxAge: int(c.MaxAge / time.Second),
	}
	s := &setCookie{plain: cookie.String()}
	cookie.Secure = true
	s.secure = cookie.String()
	switch c.Secure {
	case SecureAlways:
		s.plain = s.secure
	case SecureNever:
		s.secure = s.plain
	}
	return s
}

// member is the one that the client is bound to; nil: none.
func (b *stickyIndex) member(c Choice) *Member {
	switch {
	case c.Request == nil:
		return nil
	case b.Cookie != nil:
		return b.memberByCookie(c.Request, b.Cookie.Name, "")
	case b.Key.Source == FromCookie:
		return b.memberByCookie(c.Request, b.Key.Name, b.Separator)
	}
	value, _ := b.Key.text(c)
	return b.memberNamed(value, b.Separator)
}

// memberByCookie tries all cookies of that name: one may be left over from another path.
func (b *stickyIndex) memberByCookie(r *http.Request, name, separator string) *Member {
	for value := range cookiesOf(r.Header["Cookie"], name) {
		if m := b.memberNamed(value, separator); m != nil {
			return m
		}
	}
	return nil
}

// memberNamed finds the member by value, or by what follows a separator in it.
func (b *stickyIndex) memberNamed(value, separator string) *Member {
	for more := true; more; {
		if m := b.members[value]; m != nil {
			return m
		}
		if separator == "" {
			return nil
		}
		_, value, more = strings.Cut(value, separator)
	}
	return nil
}

// pick returns the member that the client is bound to, if it may have what it asks for.
// nil and no error: the policy chooses.
func (b *stickyIndex) pick(c Choice) (*Member, error) {
	if b == nil {
		return nil, nil
	}
	m := b.member(c)
	if m == nil || m.usable() && !m.full(c) && !slices.Contains(c.Exclude, m.Backend) {
		return m, nil
	}
	if b.Refuse {
		return nil, ErrBoundUnavailable
	}
	return nil, nil
}

// Refuses reports whether stickiness lets the client have no other backend than one that
// it cannot have: Pick's error would be ErrBoundUnavailable.
func (p *Pool) Refuses(c Choice) bool {
	_, err := p.members.Load().sticky.pick(c)
	return err != nil
}

// BindsTo reports whether the proxy's own sticky cookie allows its client no backend
// but b. (An application's key is looked up by Pick.)
func (p *Pool) BindsTo(b *Backend) bool {
	sticky := p.members.Load().sticky
	return sticky != nil && sticky.Refuse && sticky.cookies[b] != nil
}

// SetsCookies reports whether responses may need a SetCookie.
func (p *Pool) SetsCookies() bool { return p.settings.Sticky != nil && p.settings.Sticky.Cookie != nil }

// SetCookie is the Set-Cookie header value that brings the client back to b, "" where
// none is needed. secure means that the client came over TLS. It does not allocate.
func (p *Pool) SetCookie(c Choice, b *Backend, secure bool) string {
	sticky := p.members.Load().sticky
	if sticky == nil || sticky.cookies[b] == nil {
		return ""
	}
	cookie := sticky.cookies[b]
	if sticky.Cookie.MaxAge == 0 {
		if m := sticky.member(c); m != nil && m.Backend == b {
			return ""
		}
	}
	if secure {
		return cookie.secure
	}
	return cookie.plain
}
