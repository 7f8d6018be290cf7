package upstream

// Stickiness: a client goes back to the backend that it had. Either the proxy
// sets a cookie of its own, or it reads what the application says: a cookie, a
// header or a query parameter that ends in a backend's route, as Tomcat's
// JSESSIONID=5A1B.a does.
//
// A value only ever finds a member of the pool: there is nothing in it to follow.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Sticky is how clients are bound to backends. Plain data, never changed once a
// pool has it.
type Sticky struct {
	Cookie *Cookie // the proxy's own; nil: the application's key
	// Key finds what the application says. The whole of it is a route, or what
	// follows any Separator in it.
	Key       RequestKey
	Separator string
	// Refuse has clients refused whose backend cannot be used, with ErrBoundUnavailable;
	// else they get another. Clients of backends that are gone get another.
	Refuse bool
}

// Cookie is one that the proxy sets.
type Cookie struct {
	Name     string
	Path     string // "/" and below
	Domain   string // "" is the host asked for, alone
	SameSite http.SameSite
	Secure   CookieSecure
	HTTPOnly bool
	MaxAge   time.Duration // from the last answer on; 0 lasts as long as the browser
	// Secret makes the values: they name a backend to whoever knows it, and
	// nobody else. Proxies with one secret know each other's cookies.
	Secret []byte
}

// CookieSecure says when a cookie is Secure.
type CookieSecure uint8

const (
	SecureAsAsked CookieSecure = iota // when the client came over TLS
	SecureAlways
	SecureNever
)

// binding is what a lineup knows of its stickiness. Immutable.
type binding struct {
	*Sticky
	members map[string]*Member // by the value that names them
	lines   map[*Backend]*setCookie
}

// setCookie is a backend's Set-Cookie line, over TLS and not.
type setCookie struct{ secure, plain string }

// bind prepares what every answer would compute again. nil: nobody is bound.
func (s *Sticky) bind(members []Member) *binding {
	if s == nil {
		return nil
	}
	b := &binding{Sticky: s, members: make(map[string]*Member, len(members)), lines: make(map[*Backend]*setCookie, len(members))}
	for i := range members {
		m := &members[i]
		value := m.routeName()
		if s.Cookie != nil {
			value = s.Cookie.value(m)
			b.lines[m.Backend] = s.Cookie.lines(value)
		}
		if value != "" && b.members[value] == nil {
			b.members[value] = m
		}
	}
	return b
}

// routeName is what an application calls the backend.
func (m *Member) routeName() string {
	if m.Route != "" {
		return m.Route
	}
	return m.Name
}

// value names a backend by its route, or by where it is: never by its pool and
// scheme, so that a server which stands in two pools, for ws and for http, is one
// to its clients. It is 22 characters that say nothing without the secret.
func (c *Cookie) value(m *Member) string {
	text := "at " + m.Backend.id.Authority
	if m.Route != "" {
		text = "route " + m.Route
	}
	mac := hmac.New(sha256.New, c.Secret)
	mac.Write([]byte("tunnelform sticky cookie 1\n" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func (c *Cookie) lines(value string) *setCookie {
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

// bound is the member that the client is bound to, nil if none.
func (b *binding) bound(c Choice) *Member {
	switch {
	case c.Request == nil:
		return nil
	case b.Cookie != nil:
		return b.byCookie(c.Request, b.Cookie.Name, "")
	case b.Key.Source == FromCookie:
		return b.byCookie(c.Request, b.Key.Name, b.Separator)
	}
	value, _ := b.Key.text(c)
	return b.named(value, b.Separator)
}

// byCookie looks at all of that name: one may be left over from another path.
func (b *binding) byCookie(r *http.Request, name, separator string) *Member {
	for value := range cookiesOf(r.Header["Cookie"], name) {
		if m := b.named(value, separator); m != nil {
			return m
		}
	}
	return nil
}

// named is the member that the value, or what follows a separator in it, names.
func (b *binding) named(value, separator string) *Member {
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

// choose is the member that the client is bound to, if it may have what it asks
// for. nil and no error: another may be chosen.
func (b *binding) choose(c Choice) (*Member, error) {
	if b == nil {
		return nil, nil
	}
	m := b.bound(c)
	if m == nil || m.open() && !m.full(c) && !slices.Contains(c.Exclude, m.Backend) {
		return m, nil
	}
	if b.Refuse {
		return nil, ErrBoundUnavailable
	}
	return nil, nil
}

// BindsTo reports whether the proxy's own sticky cookie allows its client no backend
// but b. (An application's key is looked up by Pick.)
func (p *Pool) BindsTo(b *Backend) bool {
	bound := p.lineup.Load().bound
	return bound != nil && bound.Refuse && bound.lines[b] != nil
}

// SetsCookies says whether answers may have to carry a SetCookie.
func (p *Pool) SetsCookies() bool { return p.settings.Sticky != nil && p.settings.Sticky.Cookie != nil }

// SetCookie is the Set-Cookie line that brings the client back to b, "" where
// none is needed. secure says that the client came over TLS. It allocates nothing.
func (p *Pool) SetCookie(c Choice, b *Backend, secure bool) string {
	bound := p.lineup.Load().bound
	if bound == nil || bound.lines[b] == nil {
		return ""
	}
	line := bound.lines[b]
	if bound.Cookie.MaxAge == 0 {
		if m := bound.bound(c); m != nil && m.Backend == b {
			return ""
		}
	}
	if secure {
		return line.secure
	}
	return line.plain
}
