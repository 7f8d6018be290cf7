package upstream

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

var secret = []byte("a secret of the tests'")

func ownCookie() *Sticky {
	return &Sticky{Cookie: &Cookie{Name: "TF", Path: "/", SameSite: http.SameSiteLaxMode, HTTPOnly: true, Secret: secret}}
}

func stickyPool(t *testing.T, s *Sticky, ms []Member) *Pool {
	t.Helper()
	p, err := NewPool("pool", Settings{Sticky: s}, ms, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asking is a choice for a request with these Cookie lines, at this URL.
func asking(target string, header http.Header) Choice {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	return Choice{Tunnel: true, Request: &http.Request{URL: u, Header: header}}
}

func withCookies(lines ...string) Choice { return asking("/", http.Header{"Cookie": lines}) }

// valueOf is what a client sends back of a Set-Cookie line.
func valueOf(line string) string {
	pair, _, _ := strings.Cut(line, ";")
	return pair
}

// TestCookieLeadsBack: a client comes back to the backend that it had, however busy
// it is, and is not given the cookie again.
func TestCookieLeadsBack(t *testing.T) {
	ms := members(1, 1, 1)
	p := stickyPool(t, ownCookie(), ms)
	for _, m := range ms {
		line := p.SetCookie(withCookies(), m.Backend, false)
		if want := "; Path=/; HttpOnly; SameSite=Lax"; !strings.HasPrefix(line, "TF=") || !strings.HasSuffix(line, want) {
			t.Errorf("Set-Cookie: %s, want it to end in %s", line, want)
		}
		back := withCookies("other=1; TF=stale", "x=y; "+valueOf(line)+"; z=1")
		for range 5 {
			b, err := p.Pick(back)
			if b != m.Backend {
				t.Fatalf("got %v, %v, want %v", b, err, m.Backend.Key())
			}
		}
		if again := p.SetCookie(back, m.Backend, false); again != "" {
			t.Errorf("the cookie is there and is set again: %s", again)
		}
		if other := p.SetCookie(back, ms[0].Backend, false); m.Backend != ms[0].Backend && other == "" {
			t.Error("another backend has answered, and the cookie stays the old one's")
		}
	}
}

func TestSetCookieLines(t *testing.T) {
	ms := members(1)
	for _, tt := range []struct {
		cookie       Cookie
		plain, https string // behind the value
	}{
		{Cookie{Path: "/"}, "; Path=/", "; Path=/; Secure"},
		{Cookie{Path: "/", Secure: SecureAlways}, "; Path=/; Secure", "; Path=/; Secure"},
		{Cookie{Path: "/", Secure: SecureNever}, "; Path=/", "; Path=/"},
		{Cookie{Path: "/app", Domain: "example.com", HTTPOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: time.Hour},
			"; Path=/app; Domain=example.com; Max-Age=3600; HttpOnly; SameSite=Strict",
			"; Path=/app; Domain=example.com; Max-Age=3600; HttpOnly; Secure; SameSite=Strict"},
	} {
		tt.cookie.Name, tt.cookie.Secret = "TF", secret
		p := stickyPool(t, &Sticky{Cookie: &tt.cookie}, ms)
		for secure, want := range map[bool]string{false: tt.plain, true: tt.https} {
			line := p.SetCookie(withCookies(), ms[0].Backend, secure)
			value, attributes, _ := strings.Cut(line, ";")
			if got := ";" + attributes; got != want || len(value) != len("TF=")+22 {
				t.Errorf("%+v over TLS %v: %s, want a value of 22 characters and %s", tt.cookie, secure, line, want)
			}
		}
	}
}

// TestMaxAgeSlides: a cookie that ends is set with every answer, so that it ends
// so long after the last one.
func TestMaxAgeSlides(t *testing.T) {
	ms := members(1)
	s := ownCookie()
	s.Cookie.MaxAge = time.Hour
	p := stickyPool(t, s, ms)
	line := p.SetCookie(withCookies(), ms[0].Backend, false)
	if again := p.SetCookie(withCookies(valueOf(line)), ms[0].Backend, false); again != line {
		t.Errorf("the second answer sets %q, want %q", again, line)
	}
}

// TestCookieValues: what a value depends on, and what it does not show.
func TestCookieValues(t *testing.T) {
	c := ownCookie().Cookie
	member := func(pool, scheme, authority, name, route string) *Member {
		return &Member{Backend: NewBackend(BackendKey{pool, scheme, authority}), Name: name, Route: route}
	}
	base := c.value(member("p", "ws", "10.0.0.1:80", "a", ""))
	for what, m := range map[string]*Member{
		"another pool":   member("q", "ws", "10.0.0.1:80", "a", ""),
		"another scheme": member("p", "http", "10.0.0.1:80", "a", ""),
		"another name":   member("p", "ws", "10.0.0.1:80", "b", ""),
	} {
		if c.value(m) != base {
			t.Errorf("%s gives another value", what)
		}
	}
	for what, m := range map[string]*Member{
		"another server":                member("p", "ws", "10.0.0.2:80", "a", ""),
		"a route":                       member("p", "ws", "10.0.0.1:80", "a", "r"),
		"a route that is like a server": member("p", "ws", "10.0.0.2:80", "a", "10.0.0.1:80"),
	} {
		if c.value(m) == base {
			t.Errorf("%s gives the same value", what)
		}
	}
	if c.value(member("p", "ws", "1:1", "a", "r")) != c.value(member("p", "ws", "2:2", "b", "r")) {
		t.Error("a server that moves with its route is another one to its clients")
	}
	other := *c
	other.Secret = []byte("another secret")
	if other.value(member("p", "ws", "10.0.0.1:80", "a", "")) == base {
		t.Error("another secret gives the same value: anyone could make it")
	}
	for _, shown := range []string{"10", "80", "ws"} {
		if strings.Contains(base, shown+".") || base == shown {
			t.Errorf("the value %q shows the address", base)
		}
	}
}

// TestCookieOfAnotherPool: a value of another pool finds no member here.
func TestCookieOfAnotherPool(t *testing.T) {
	all := members(1, 1, 1)
	whole, part := stickyPool(t, ownCookie(), all), stickyPool(t, ownCookie(), all[:2])
	line := whole.SetCookie(withCookies(), all[2].Backend, false)
	if m := part.members.Load().sticky.member(withCookies(valueOf(line))); m != nil {
		t.Errorf("bound to %v, who is not in the pool", m.Backend.Key())
	}
	got := map[*Backend]bool{}
	for range 4 {
		b, err := part.Pick(withCookies(valueOf(line)))
		if err != nil {
			t.Fatal(err)
		}
		got[b] = true
	}
	if len(got) != 2 {
		t.Errorf("clients of a backend that is gone reach %d backends, want both", len(got))
	}
}

func TestApplicationsKeys(t *testing.T) {
	ms := members(1, 1, 1)
	ms[0].Name, ms[1].Name, ms[2].Name = "a", "b", "c"
	ms[2].Route = "node.3"
	for _, tt := range []struct {
		key       RequestKey
		separator string
		choice    Choice
		want      string // the backend's name; "" is none
	}{
		{RequestKey{FromCookie, "JSESSIONID"}, ".", withCookies("JSESSIONID=5A1B.a"), "a"},
		{RequestKey{FromCookie, "JSESSIONID"}, ".", withCookies("JSESSIONID=5A.1B.b"), "b"},
		{RequestKey{FromCookie, "JSESSIONID"}, ".", withCookies("JSESSIONID=5A1B.node.3"), "c"},
		{RequestKey{FromCookie, "JSESSIONID"}, ".", withCookies("JSESSIONID=5A1B.c"), ""}, // it has a route, which goes before its name
		{RequestKey{FromCookie, "JSESSIONID"}, ".", withCookies("JSESSIONID=b"), "b"},
		{RequestKey{FromCookie, "JSESSIONID"}, ".", withCookies("JSESSIONID=5A1B.z; JSESSIONID=5A1B.b"), "b"},
		{RequestKey{FromCookie, "JSESSIONID"}, ".", withCookies("JSESSIONID=5A1B!a"), ""},
		{RequestKey{FromCookie, "JSESSIONID"}, "", withCookies("JSESSIONID=5A1B.a"), ""},
		{RequestKey{FromCookie, "JSESSIONID"}, "", withCookies("JSESSIONID=a"), "a"},
		{RequestKey{FromCookie, "JSESSIONID"}, "::", withCookies("JSESSIONID=x::a"), "a"},
		{RequestKey{FromCookie, "JSESSIONID"}, ".", withCookies("JSESSIONID=."), ""},
		{RequestKey{FromCookie, "JSESSIONID"}, ".", withCookies(), ""},
		{RequestKey{FromHeader, "X-Route"}, ".", asking("/", http.Header{"X-Route": {"a"}}), "a"},
		{RequestKey{FromQuery, "jsessionid"}, ".", asking("/?jsessionid=1%2Eb", nil), "b"},
		{RequestKey{FromQuery, "jsessionid"}, ".", asking("/?jsessionid=1.x", nil), ""},
		{RequestKey{FromHeader, "X-Route"}, ".", Choice{}, ""},
	} {
		p := stickyPool(t, &Sticky{Key: tt.key, Separator: tt.separator}, ms)
		m := p.members.Load().sticky.member(tt.choice)
		got := ""
		if m != nil {
			got = m.Name
		}
		if got != tt.want {
			t.Errorf("%+v with separator %q: got %q, want %q", tt.key, tt.separator, got, tt.want)
		}
		if p.SetsCookies() || p.SetCookie(tt.choice, ms[0].Backend, true) != "" {
			t.Error("the proxy sets a cookie though the application's is looked at")
		}
	}
}

// TestBoundToUnusable: another backend, or none, as the pool says.
func TestBoundToUnusable(t *testing.T) {
	for name, spoil := range map[string]func(*Member, *Choice){
		"drained":     func(m *Member, _ *Choice) { m.Drain = true },
		"disabled":    func(m *Member, _ *Choice) { m.Disabled = true },
		"unavailable": func(m *Member, _ *Choice) { down(m.Backend, true) },
		"full":        func(m *Member, _ *Choice) { m.MaxTunnels = 1; m.Backend.OpenTunnel() },
		"tried":       func(m *Member, c *Choice) { c.Exclude = []*Backend{m.Backend} },
	} {
		for _, refuse := range []bool{false, true} {
			ms := members(1, 1)
			s := ownCookie()
			s.Refuse = refuse
			line := stickyPool(t, s, ms).SetCookie(withCookies(), ms[0].Backend, false)
			c := withCookies(valueOf(line))
			spoil(&ms[0], &c)
			b, err := stickyPool(t, s, ms).Pick(c)
			switch {
			case refuse && err != ErrBoundUnavailable:
				t.Errorf("%s: got %v, %v, want %v", name, b, err, ErrBoundUnavailable)
			case !refuse && b != ms[1].Backend:
				t.Errorf("%s: got %v, %v, want the other", name, b, err)
			}
		}
	}
}

// TestKeeps: only the proxy's own cookie binds a client that has shown none, only where
// others are refused, and only for a backend that is still there.
func TestKeeps(t *testing.T) {
	ms, gone := members(1, 1), members(1)
	for name, tt := range map[string]struct {
		change func(*Sticky)
		b      *Backend
		want   bool
	}{
		"refused":     {func(s *Sticky) { s.Refuse = true }, ms[0].Backend, true},
		"another":     {func(*Sticky) {}, ms[0].Backend, false},
		"gone":        {func(s *Sticky) { s.Refuse = true }, gone[0].Backend, false},
		"application": {func(s *Sticky) { *s = Sticky{Refuse: true, Key: RequestKey{Source: FromHeader, Name: "X"}} }, ms[0].Backend, false},
	} {
		s := ownCookie()
		tt.change(s)
		if got := stickyPool(t, s, ms).BindsTo(tt.b); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	if stickyPool(t, nil, ms).BindsTo(ms[0].Backend) {
		t.Error("a pool without stickiness keeps its clients")
	}
}

// TestBoundAcrossTiers: a client that was sent to a standby while there was no other
// stays with it, and with a backend of a higher tier.
func TestBoundAcrossTiers(t *testing.T) {
	ms := describedPool(t, "a h:standby z:tier=1")
	p := stickyPool(t, ownCookie(), ms)
	for _, m := range ms {
		line := p.SetCookie(withCookies(), m.Backend, false)
		if b, err := p.Pick(withCookies(valueOf(line))); b != m.Backend {
			t.Errorf("got %v, %v, want %v", b, err, m.Backend.Key())
		}
	}
}

// TestStickinessOutlivesEdits: weights, keys and other members may change.
func TestStickinessOutlivesEdits(t *testing.T) {
	ms := members(1, 1, 1)
	p := stickyPool(t, ownCookie(), ms)
	cookie := valueOf(p.SetCookie(withCookies(), ms[1].Backend, false))
	edited := []Member{{Backend: ms[1].Backend, Name: "renamed", Weight: 9, Tier: 3}, ms[2]}
	next, err := NewPool("pool", Settings{Sticky: ownCookie()}, edited, p)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := next.Pick(withCookies(cookie)); b != ms[1].Backend {
		t.Errorf("got %v, %v, want the backend of before", b, err)
	}
	if next.policy != p.policy {
		t.Error("the policy forgot what it knew")
	}
}

func TestStickyAllocatesNothing(t *testing.T) {
	ms := members(1, 1)
	p := stickyPool(t, ownCookie(), ms)
	c := withCookies("a=b; " + valueOf(p.SetCookie(withCookies(), ms[1].Backend, false)))
	if n := testing.AllocsPerRun(100, func() {
		b, _ := p.Pick(c)
		p.SetCookie(c, b, true)
		b.CloseTunnel()
	}); n != 0 {
		t.Errorf("%v allocations a choice, want none", n)
	}
}

// FuzzSticky: whatever a client sends, it is bound to the member that the slow and obvious
// reading says, and never to anybody outside the pool.
func FuzzSticky(f *testing.F) {
	f.Add("JSESSIONID=5A1B.a", ".")
	f.Add("JSESSIONID=\"x..b\"; JSESSIONID=c", "..")
	f.Add("JSESSIONID=;=;JSESSIONID", "")
	f.Fuzz(func(t *testing.T, line, separator string) {
		ms := members(1, 1, 1)
		for i := range ms {
			ms[i].Name = ms[i].Backend.Key().Authority
		}
		b := (&Sticky{Key: RequestKey{FromCookie, "JSESSIONID"}, Separator: separator}).index(ms)
		got := ""
		if m := b.member(withCookies(line)); m != nil {
			got = m.Name
		}
		if want := boundSlowly(line, separator); got != want {
			t.Errorf("%q with separator %q: bound to %q, want %q", line, separator, got, want)
		}
	})
}

// boundSlowly writes every reading of every cookie down and takes the first that
// is a name.
func boundSlowly(line, separator string) string {
	for _, pair := range strings.Split(line, ";") {
		name, value, found := strings.Cut(pair, "=")
		if !found || strings.Trim(name, " \t") != "JSESSIONID" {
			continue
		}
		readings := []string{unquoted(strings.Trim(value, " \t"))}
		if separator != "" {
			parts := strings.Split(readings[0], separator)
			for i := 1; i < len(parts); i++ {
				readings = append(readings, strings.Join(parts[i:], separator))
			}
		}
		for _, r := range readings {
			if slices.Contains([]string{"a", "b", "c"}, r) {
				return r
			}
		}
	}
	return ""
}

func BenchmarkSticky(b *testing.B) {
	for _, n := range []int{2, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ms := members(make([]int, n)...)
			p, _ := NewPool("pool", Settings{Sticky: ownCookie()}, ms, nil)
			c := withCookies("a=b; " + valueOf(p.SetCookie(withCookies(), ms[1].Backend, false)))
			b.ReportAllocs()
			for b.Loop() {
				picked, _ := p.Pick(c)
				picked.CloseTunnel()
			}
		})
	}
}
