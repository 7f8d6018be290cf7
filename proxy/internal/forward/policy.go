package forward

// What one route says about its HTTP, as plain data.

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// Policy is how one route's requests are forwarded. Made once a route and not
// changed after; safe for concurrent use.
type Policy struct {
	Host      HostMode
	Forwarded ForwardedMode
	Request   HeaderEdit
	Response  HeaderEdit
	Rewriting Rewriting

	Errors          ErrorAnswers
	RemoveQuery     []string      // parameters that the backend does not get
	BodyBytes       int64         // of a request's body -> 413; 0 or less is no limit
	ConnectTimeout  time.Duration // resolving, connecting and TLS -> 504; 0 or less is none
	ResponseTimeout time.Duration // how long the backend may be silent before its answer -> 504; 0 or less is none
	BodyTimeout     time.Duration // how long the client may be silent within its body -> 408; 0 or less is none
	SendTimeout     time.Duration // how long the client may take nothing of the answer; 0 or less is none
}

// HostMode is which Host header a backend gets.
type HostMode uint8

const (
	// HostByTLS is the target's towards backends with TLS, whose certificates and
	// virtual hosts go by it, and the client's towards those without: servers compare
	// Origin with Host.
	HostByTLS HostMode = iota
	HostClient
	HostTarget
)

// ForwardedMode is how a backend is told which client asks.
type ForwardedMode uint8

const (
	ForwardedX       ForwardedMode = iota // X-Forwarded-For, -Proto, -Host, X-Real-IP
	ForwardedRFC7239                      // Forwarded
	ForwardedOff                          // not at all
)

// For returns the policy for one request: p itself, or a copy in which placeholders are
// filled in. A header that they leave empty is not sent. The error, which is answered with
// 400, is a control byte; values is called only if it is needed.
func (p *Policy) For(values func() *match.Values) (*Policy, error) {
	if !p.Request.hasTexts() && !p.Response.hasTexts() {
		return p, nil
	}
	v, filled := values(), *p
	for _, edit := range []*HeaderEdit{&filled.Request, &filled.Response} {
		if err := edit.fill(func() *match.Values { return v }); err != nil {
			return nil, err
		}
	}
	return &filled, filled.checkHost()
}

// checkHost refuses a Host header that placeholders have made no host.
func (p *Policy) checkHost() error {
	host, port, ported := httpsyntax.CutPort(p.SetHost())
	if host == "" && !ported {
		return nil
	}
	if ported && !httpsyntax.IsPort(port) {
		return fmt.Errorf("header Host: %q is no port", port)
	}
	if err := httpsyntax.CheckHost(host); err != nil {
		return fmt.Errorf("header Host: %q: %w", host, err)
	}
	return nil
}

func (e *HeaderEdit) hasTexts() bool {
	return slices.ContainsFunc(e.Set, Header.hasText) || slices.ContainsFunc(e.Add, Header.hasText) || slices.ContainsFunc(e.Default, Header.hasText)
}

// fill replaces the texts of e by values, in lists of its own.
func (e *HeaderEdit) fill(values func() *match.Values) (err error) {
	var removed []string
	if e.Set, removed, err = Fill(e.Set, values); err != nil {
		return err
	}
	e.Remove = slices.Concat(e.Remove, removed)
	if e.Add, _, err = Fill(e.Add, values); err != nil {
		return err
	}
	e.Default, _, err = Fill(e.Default, values)
	return err
}

// Fill returns lines with their placeholders filled in, and the names of those that these
// leave empty, which are not among the lines.
func Fill(lines []Header, values func() *match.Values) (filled []Header, empty []string, err error) {
	if !slices.ContainsFunc(lines, Header.hasText) {
		return lines, nil, nil
	}
	v := values()
	for _, line := range lines {
		if line.hasText() {
			if line.Value, err = line.Text.Expand(v); err != nil {
				return nil, nil, fmt.Errorf("header %s: %w", line.Name, err)
			}
			if line.Text = nil; line.Value == "" {
				empty = append(empty, line.Name)
				continue
			}
		}
		filled = append(filled, line)
	}
	return filled, empty, nil
}

// HeaderEdit changes one direction's header: remove, then set, then add, then default.
type HeaderEdit struct {
	Set     []Header
	Add     []Header
	Default []Header // where there is none of that name
	Remove  []string
}

// Header is one line. The name Host, in a request's Set, is the Host header.
type Header struct {
	Name  string
	Value string
	Text  *match.Text // instead of Value, where it has placeholders; see Policy.For
}

func (h Header) hasText() bool { return h.Text != nil }

// Rewriting of what a backend's answer says about itself, as ProxyPassReverse,
// ProxyPassReverseCookiePath and -Domain do.
type Rewriting struct {
	Location     bool              // Location, Content-Location, URI
	CookiePath   map[string]string // backend path prefix -> public one; the longest wins
	CookieDomain map[string]string // backend domain -> public one; "" drops the attribute
}

// Client is the client of a request.
type Client struct {
	Addr        netip.AddrPort    // the peer's; the zero value on a unix socket
	Trusted     bool              // it is one of the trusted proxies: what it says of others is believed
	Secure      bool              // it came over TLS
	Host        string            // the Host it asked for, as it was sent
	Certificate *x509.Certificate // its own, verified; nil if none
	Reported    Reported          // what trusted proxies say of it
	Identity    http.Header       // what the route's authentication says of it; the client cannot remove it
}

// Reported is what trusted proxies say about a request; the zero value, nothing.
type Reported struct {
	For   []netip.Addr // the client's address, then those of the trusted proxies behind it, without the peer's
	Proto string       // http or https: how the client asked; "" if it is not known
	Host  string       // the Host it asked for; "" if it is not known
}

// Proto is http or https, for WebSockets too: how the client asked, as far as
// trusted proxies tell. Backends build their links by it.
func (c Client) Proto() string { return cmp.Or(c.Reported.Proto, c.hopProto()) }

// PublicHost is the Host that the client asked for, as far as trusted proxies tell.
func (c Client) PublicHost() string { return cmp.Or(c.Reported.Host, c.Host) }

// RequestHost is the Host header for this backend: what the route sets, else by
// the Policy's HostMode. A request that goes on to another backend asks again.
func (p *Policy) RequestHost(c Client, b *upstream.Backend) string {
	if host := p.SetHost(); host != "" {
		return host
	}
	if c.Host != "" && p.preservesHost(b) {
		return c.Host
	}
	return b.Host()
}

// SetHost is the Host header that the route sets: "" if it sets none, or one that For has
// to fill in.
func (p *Policy) SetHost() string {
	for _, h := range p.Request.Set {
		if http.CanonicalHeaderKey(h.Name) == "Host" {
			return h.Value
		}
	}
	return ""
}

func (p *Policy) preservesHost(b *upstream.Backend) bool {
	if p.Host == HostByTLS {
		return !b.Key().Secure()
	}
	return p.Host == HostClient
}

// dropAliases removes what a backend may mistake for a header that the edit
// decides, see dropAliases in header.go.
func (e *HeaderEdit) dropAliases(h http.Header) {
	if len(e.Remove)+len(e.Set)+len(e.Default) == 0 {
		return
	}
	for name := range h {
		if e.meansOneOf(name) {
			delete(h, name)
		}
	}
}

// meansOneOf says whether name is another spelling of a header that the edit sets
// or removes, or of which it has a default.
func (e *HeaderEdit) meansOneOf(name string) bool {
	for _, decided := range e.Remove {
		if isAlias(name, decided) {
			return true
		}
	}
	alias := func(line Header) bool { return isAlias(name, line.Name) }
	return slices.ContainsFunc(e.Set, alias) || slices.ContainsFunc(e.Default, alias)
}

func (e *HeaderEdit) apply(h http.Header) {
	for _, name := range e.Remove {
		h.Del(name)
	}
	for _, line := range e.Set {
		h.Set(line.Name, line.Value)
	}
	for _, line := range e.Add {
		h.Add(line.Name, line.Value)
	}
	for _, line := range e.Default {
		if name := http.CanonicalHeaderKey(line.Name); h[name] == nil {
			h[name] = []string{line.Value}
		}
	}
}
