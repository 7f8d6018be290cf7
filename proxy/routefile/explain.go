package routefile

// Explain answers "why did this request go there" from the files alone: it opens no
// socket and reads nothing but the routes.

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// Question is a request to explain.
type Question struct {
	Method   string
	URL      *url.URL
	Header   http.Header // Host is the URL's
	Listener string      // "" is that of the URL's port, if the port says which
	Client   netip.Addr  // the zero Addr is unknown
}

// NewQuestion makes a GET of a URL whose scheme is http, https, ws or wss; the last two
// ask for a WebSocket. upgrade is the protocol to upgrade to; "" is that of the scheme.
func NewQuestion(rawURL, upgrade string) (Question, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Question{}, err
	}
	switch u.Scheme {
	case "ws", "wss":
		if upgrade == "" {
			upgrade = "websocket"
		}
	case "http", "https":
	default:
		return Question{}, fmt.Errorf("URL with the scheme %q: want http, https, ws or wss", u.Scheme)
	}
	return Question{Method: http.MethodGet, URL: u, Header: upgradeHeader(upgrade)}, nil
}

// upgradeHeader returns the headers of an upgrade to a protocol.
func upgradeHeader(protocol string) http.Header {
	h := http.Header{}
	if protocol != "" {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", protocol)
	}
	if httpsyntax.EqualFold(protocol, "websocket") {
		h.Set("Sec-WebSocket-Version", "13")
		h.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") // RFC 6455's own example
	}
	return h
}

// Explanation is the route that a request takes, and why.
type Explanation struct {
	Route      string // "" if none matches, or if Refused
	Pos        Pos    // of the route
	Listener   string // that the request comes in by; "" if that is not known
	Refused    string // the response to a request that is refused before it is matched
	Pattern    string // the part of the route's match that matched the path
	Outcome    string // what happens: `opens a tunnel (websocket) to ws://...`
	Exceptions []Exception
	Verdicts   []Verdict
}

// Verdict is the result for one route that did not win, in order of precedence.
type Verdict struct {
	Route   string
	Pos     Pos
	Matches bool   // all its conditions hold
	Close   bool   // it matches but another has precedence, or its host and path match
	Reason  string // why it did not win
}

// Explain returns the route of a checked set that the request takes.
func Explain(set *Set, q Question) (*Explanation, error) {
	names := slices.Sorted(maps.Keys(set.Routes))
	rules := make([]match.Rule, 0, len(names))
	for _, name := range names {
		rules = append(rules, set.Routes[name].Rule())
	}
	tree, problems := match.Compile(rules)
	if len(problems) > 0 {
		return nil, fmt.Errorf("route %q: %s", problems[0].Rule, problems[0].Text)
	}
	r, err := q.request()
	if err != nil {
		return &Explanation{Refused: "400 Bad Request: " + err.Error()}, nil
	}
	x := explainer{set, q, names, tree}
	listeners := set.listenersOf(q.URL)
	if r.Listener == "" && len(listeners) == 1 {
		r.Listener = listeners[0]
	}
	return x.explain(r, listeners)
}

func (x *explainer) explain(r *match.Request, listeners []string) (*Explanation, error) {
	e := &Explanation{Listener: r.Listener}
	index, captures := x.lookup(r)
	var err error
	if index >= 0 {
		route := x.set.Routes[x.names[index]]
		e.Route, e.Pattern, e.Pos = x.names[index], patternText(route.Route.Match), route.Route.Pos
		if e.Outcome, err = x.outcome(index, r, captures); err != nil {
			return nil, err
		}
	}
	if e.Exceptions, err = x.exceptions(r, listeners); err != nil {
		return nil, err
	}
	for _, v := range x.tree.Explain(r) {
		if !v.Wins {
			e.Verdicts = append(e.Verdicts, x.verdictOf(v, e.Route))
		}
	}
	return e, nil
}

func (q Question) request() (*match.Request, error) {
	path, err := match.NormalizePath(q.rawPath())
	if err != nil {
		return nil, err
	}
	host, err := match.NormalizeHost(q.URL.Host)
	if err != nil {
		return nil, err
	}
	return &match.Request{
		Listener: q.Listener,
		Method:   q.Method,
		Host:     host,
		Path:     path,
		Query:    q.URL.RawQuery,
		Header:   q.Header,
		Upgrade:  wsproto.UpgradeTokens(q.Header),
		Client:   q.Client,
	}, nil
}

// rawPath is the path as the proxy gets it.
func (q Question) rawPath() string { return cmp.Or(q.URL.EscapedPath(), "/") }

// rawQuery is the query with its "?".
func (q Question) rawQuery() string {
	if q.URL.RawQuery == "" && !q.URL.ForceQuery {
		return ""
	}
	return "?" + q.URL.RawQuery
}

// values are what placeholders stand for, as far as the question says.
func (q Question) values(r *match.Request, c *match.Captures) *match.Values {
	v := &match.Values{Host: r.Host, Scheme: "http", Listener: r.Listener, Captures: c}
	if q.URL.Scheme == "https" || q.URL.Scheme == "wss" {
		v.Scheme = "https"
	}
	if r.Client.IsValid() {
		v.Client = r.Client.String()
	}
	return v
}

func (x *explainer) verdictOf(v match.Verdict, winner string) Verdict {
	pos := x.set.Routes[v.Rule].Route.Pos
	if v.Matches {
		return Verdict{Route: v.Rule, Pos: pos, Matches: true, Close: true,
			Reason: fmt.Sprintf("also matches, but %q takes precedence: %s", winner, v.Behind)}
	}
	elsewhere := strings.HasPrefix(v.Reason, "host") || strings.HasPrefix(v.Reason, "path")
	return Verdict{Route: v.Rule, Pos: pos, Close: !elsewhere, Reason: v.Reason}
}

func patternText(m Match) string {
	switch {
	case m.Path != "":
		return "path " + m.Path
	case m.PathPrefix != "":
		return "path_prefix " + m.PathPrefix
	case m.PathRegex != "":
		return "path_regex " + m.PathRegex
	}
	return "any path"
}

// outcome describes what the winning route, by its index, does with the request.
func (x *explainer) outcome(index int, r *match.Request, c *match.Captures) (string, error) {
	route := x.set.Routes[x.names[index]]
	sent, err := x.tree.PathFor(index, r, x.q.rawPath(), route.Resolved.PathRules(), c)
	if err != nil {
		return "answers 400 Bad Request: " + err.Error(), nil
	}
	return outcome(x.set, route, x.q, r, sent, c)
}

func outcome(set *Set, route *SetRoute, q Question, r *match.Request, sent match.SentPath, c *match.Captures) (string, error) {
	rt := route.Route
	if rt.Respond != nil {
		return fmt.Sprintf("responds with %d", rt.Respond.Status), nil
	}
	if rt.Redirect != nil {
		place, err := rt.Redirect.Location(rt.Match.pattern())
		if err != nil {
			return "", err
		}
		location, err := place.Make(q.values(r, c), sent, q.rawQuery())
		return fmt.Sprintf("redirects (%d) to %s", rt.Redirect.Status, location), err
	}
	uri, err := match.NewRewrite(rt.To.Path, rt.To.Query, rt.Match.pattern())
	if err != nil {
		return "", err
	}
	path, query, err := uri.Apply(sent, match.RemoveParameters(q.rawQuery(), route.Resolved.Query.Remove), c)
	if err != nil {
		return "", err
	}
	return carriage(route, q) + targetText(set, rt.To, path+query), nil
}

// carriage describes how the request is carried: as a tunnel, as HTTP, or not.
func carriage(route *SetRoute, q Question) string {
	attempts := wsproto.NewAttempts(route.Resolved.Upgrade.Mode, route.Resolved.Upgrade.Protocols)
	request := &http.Request{Method: q.Method, Host: q.URL.Host, Header: q.Header, ProtoMajor: 1, ProtoMinor: 1}
	if protocol := attempts.Protocol(request); protocol != "" {
		if rf := refusedAttempt(request, protocol, route.Resolved); rf != nil {
			return fmt.Sprintf("answers %d %s: %s; a tunnel would go to ", rf.Status, http.StatusText(rf.Status), rf.Error())
		}
		return "opens a tunnel (" + tunnelText(route, strings.ToLower(protocol)) + ") to "
	}
	if route.Resolved.HTTPFallback == Off {
		return "answers 426 Upgrade Required; a tunnel would go to "
	}
	return "is forwarded as HTTP to "
}

// tunnelText names a tunnel's protocol, and whether it may outlive its backend.
func tunnelText(route *SetRoute, protocol string) string {
	if protocol == "websocket" && route.Resolved.OnBackendLoss == "redial" {
		return protocol + ", redialled"
	}
	return protocol
}

// refusedAttempt checks an upgrade as the proxy does before it dials.
func refusedAttempt(r *http.Request, protocol string, settings *Settings) *wsproto.Refusal {
	if httpsyntax.EqualFold(protocol, "websocket") {
		if rf := wsproto.CheckRequest(r, settings.Leniency()); rf != nil {
			return rf
		}
	}
	allow := settings.Origins.Allow
	if settings.Origins.Mode != "list" {
		allow = []string{settings.Origins.Mode}
	}
	rules, err := wsproto.ParseOrigins(allow)
	if err != nil {
		return nil // Check has refused it
	}
	rf := wsproto.CheckOrigin(r.Header, r.Host, rules)
	if rf != nil && rf.Hint != "" {
		rf = &wsproto.Refusal{Status: rf.Status, Text: rf.Hint}
	}
	return rf
}

// Leniency returns Lenient as package wsproto takes it.
func (s *Settings) Leniency() wsproto.Lenient {
	return wsproto.Lenient{
		Subprotocol: slices.Contains(s.Lenient, "subprotocol"),
		Key:         slices.Contains(s.Lenient, "key"),
	}
}

func targetText(set *Set, to *Target, path string) string {
	switch {
	case to.Scheme == "internal":
		return "internal://" + to.Host
	case to.Scheme == "pool":
		return "pool " + to.Host + " (" + backendsText(set.Pools[to.Host]) + "), " + path
	case strings.HasPrefix(to.Scheme, "unix+"):
		return to.Scheme + "://" + to.Host + ":" + path
	}
	return to.Scheme + "://" + to.Host + path
}

func backendsText(pool *Pool) string {
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(pool.Backends)) {
		b := pool.Backends[key]
		texts = append(texts, strings.Join(append([]string{b.URL.Raw}, b.marks()...), ", "))
	}
	return strings.Join(texts, " or ")
}

// marks describes what distinguishes a backend from the others of its pool.
func (b *Backend) marks() []string {
	var marks []string
	mark := func(is bool, format string, args ...any) {
		if is {
			marks = append(marks, fmt.Sprintf(format, args...))
		}
	}
	mark(b.Weight > 1, "weight %d", b.Weight)
	mark(b.Tier > 0, "tier %d", b.Tier)
	mark(b.Spare, "spare")
	mark(b.Standby, "standby")
	mark(b.Drain, "draining")
	mark(b.Disabled, "disabled")
	return marks
}
