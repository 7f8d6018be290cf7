package routefile

import (
	"cmp"
	"errors"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Routes: the record, its keys and its checks. A route's conditions and its settings have
// files of their own.

// Route is one named route: what it matches, what it does, its own settings.
type Route struct {
	Record
	Match Match
	// Exactly one of the three.
	To       *Target
	Redirect *Redirect
	Respond  *Respond

	// What this route sets itself, nil for nothing; see Set for the resolved ones.
	// Routes of a file that set the same share it.
	Settings *Settings
}

// Redirect answers with a Location.
type Redirect struct {
	To     string // template; absolute URL or path
	Scheme string // instead of To: what was asked for, under http or https
	Port   int    // with Scheme; 0 is the scheme's own
	Status int    // 301, 302, 303, 307 or 308
}

// Respond is a response without a backend.
type Respond struct {
	Status  int
	Body    string
	Headers []Header
}

func routeKeys() []*Key {
	own := []*Key{
		key("match", "Conditions, all of which must hold. Without any, every request matches.",
			mapping(func(r *Route) *Match { return &r.Match }, matchKeys()...), atMostOne("path", "path_prefix", "path_regex"), example("{path_prefix: /}")),
		key("to", "Sends requests to a target: scheme://host[:port][/path], with the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal. The path and query may use captures: $1, {name}.",
			targetKey(parseTarget, func(r *Route) *Target { return r.To }, func(r *Route, t Target) { r.To = &t }), example(`"ws://backend.example.com:9080/$1"`)),
		key("redirect", "Responds with a redirect.",
			optional(func(r *Route) **Redirect { return &r.Redirect }, redirectKeys()...),
			exactlyOne("scheme", "to"), afterwards(finishRedirect),
			example("{to: /new}")),
		key("respond", "Responds without a backend.",
			optional(func(r *Route) **Respond { return &r.Respond }, respondKeys()...), afterwards(finishRespond),
			example("{status: 403}")),
	}
	own = append(own, underOptional(settingsKeys(), func(r *Route) **Settings { return &r.Settings })...)
	return own
}

func redirectKeys() []*Key {
	return []*Key{
		key("to", "The Location: a path, or an http or https URL. Host, path and query may have placeholders, such as {host}, and path and query captures.",
			text(func(r *Redirect) *string { return &r.To }, checkRedirect), example(`"https://example.com/{page}"`)),
		key("scheme", "Redirects to this scheme, with the requested host, path and query, and without the port.",
			text(func(r *Redirect) *string { return &r.Scheme }, nil), enum("http", "https"), example("https")),
		key("port", "The port of that Location, when it is not the scheme's default port.",
			whole(func(r *Redirect) *int { return &r.Port }, 1, 65535), example("8443")),
		key("status", "Status of the response: 301, 302, 303, 307 or 308.",
			statusKey(func(r *Redirect) *int { return &r.Status }, 301, 302, 303, 307, 308), byDefault("302"), example("308")),
	}
}

func respondKeys() []*Key {
	return []*Key{
		key("status", "Status of the response, from 200 to 599.",
			whole(func(r *Respond) *int { return &r.Status }, 200, 599), byDefault("200"), example("404")),
		key("body", "Body of the response. "+placeholderHelp,
			value(func(r *Respond) *string { return &r.Body }, checkText), example(`"gone fishing\n"`)),
		key("headers", "Headers of the response. "+placeholderHelp,
			headerValues(func(r *Respond) *[]Header { return &r.Headers }, checkText), example("{Content-Type: text/plain}")),
	}
}

func newRoute(p *parser, f *File, name string, key node) *Route {
	r := &Route{Record: p.begin("route", name, key)}
	f.Routes[name] = r
	return r
}

// routesWritten runs when the key holds a mapping, be it an empty one.
func routesWritten(_ *parser, _ node, f *File) { f.RoutesWritten = true }

func finishRedirect(p *parser, n node, r *Redirect) {
	if r.Port != 0 && r.Scheme == "" && keyOf(n, "to") != nil {
		p.fail(childOf(n, "port"), "port goes with scheme: to has a port of its own")
	}
}

// finishRespond refuses a body with a status that has none (RFC 9110 section 6.4.1).
func finishRespond(p *parser, n node, r *Respond) {
	if r.Body != "" && (r.Status == 204 || r.Status == 304) {
		p.fail(childOf(n, "body"), "cannot be used with status %d, which has no body", r.Status)
	}
}

// checkRedirect accepts "/path" or "http(s)://host/path". The scheme may be {scheme}, the
// host may have {host}; path and query may have placeholders and captures.
func checkRedirect(s string) error {
	if _, err := match.ParseText(s); err != nil {
		return withHint(err)
	}
	if strings.HasPrefix(s, "//") {
		return errors.New("begins with two slashes, which a browser reads as another host: wanted /path or https://host/path")
	}
	if strings.HasPrefix(s, "/") {
		return checkTargetBytes(s)
	}
	if err := checkOriginNames(s); err != nil {
		return err
	}
	t, err := parseRedirect(s)
	if t.Scheme != "http" && t.Scheme != "https" {
		return errors.New("wanted /path or a URL that begins with http:// or https://")
	}
	return err
}

// checkOriginNames refuses misspelt placeholders in a redirect's scheme and host.
func checkOriginNames(s string) error {
	origin, _, _ := match.SplitLocation(s)
	text, _ := match.ParseText(origin) // valid, as s is
	err := match.CheckText(text, match.Path{})
	var unknown *match.PlaceholderError
	if errors.As(err, &unknown) && nearest(unknown.Name, match.Placeholders()) != "" {
		return withHint(err)
	}
	return nil
}

// parseRedirect is parseTarget with names in the place of placeholders.
func parseRedirect(s string) (Target, error) {
	origin, _, _ := match.SplitLocation(s)
	rest := s[len(origin):]
	if after, ok := strings.CutPrefix(origin, "{scheme}://"); ok {
		origin = "https://" + after
	}
	return parseTarget(strings.ReplaceAll(origin, "{host}", "host") + rest)
}

// Location compiles the redirect for requests that from has matched.
func (r *Redirect) Location(from match.Path) (match.Location, error) {
	if r.Scheme != "" {
		return match.SameLocation(r.Scheme, r.Port), nil
	}
	return match.NewLocation(r.To, from)
}

// splitRedirect returns the path and the query of a redirect's target.
func splitRedirect(s string) (path, query string) {
	if strings.HasPrefix(s, "/") {
		path, query, _ = strings.Cut(s, "?")
		return path, query
	}
	t, err := parseRedirect(s)
	if err != nil {
		return "", ""
	}
	return t.Path, t.Query
}

// filled returns r with all defaults of what it does: itself where there is none to fill.
func (r *Route) filled() *Route {
	if r.Redirect == nil && r.Respond == nil {
		return r
	}
	c := *r
	if r.Redirect != nil {
		redirect := overlay(*r.Redirect, builtIn.redirect)
		c.Redirect = &redirect
	}
	if r.Respond != nil && r.Respond.Status == 0 {
		respond := *r.Respond
		respond.Status = builtIn.respond.Status
		c.Respond = &respond
	}
	return &c
}

func (c *checker) checkRoutes() {
	for _, name := range sortedNames(c.routes) {
		r := c.routes[name]
		c.checkListenerOf(r)
		c.checkEncodedSlash(r)
		c.checkAuth(r)
		if r.it.To != nil {
			c.checkPoolOf(r)
			c.checkHashedCapture(r)
		}
		for _, t := range templatesOf(r.it) {
			if err := t.check(r.it.Match.pattern(), r.it.invalid); err != nil {
				c.at(r.file, []string{"routes", name, t.key, t.below}, recordOf("route", name), "%s %q: %v", t.key, yamledit.Clip(t.raw), err)
			}
		}
	}
}

func (c *checker) checkListenerOf(r placed[*Route]) {
	name := r.it.Match.Listener
	_, found := c.listeners[name]
	if name == "" || found || len(c.listeners) == 0 && name == DefaultListener {
		return
	}
	names := sortedNames(c.listeners)
	if len(names) == 0 {
		names = []string{DefaultListener}
	}
	c.at(r.file, []string{"routes", r.it.Name, "match", "listener"}, recordOf("route", r.it.Name),
		"listener %q: unknown listener%s", name, didYouMeanOr(name, names))
}

// checkEncodedSlash refuses a path that the route itself answers with 400, always.
func (c *checker) checkEncodedSlash(r placed[*Route]) {
	for _, path := range []struct{ key, text string }{{"path", r.it.Match.Path}, {"path_prefix", r.it.Match.PathPrefix}} {
		if strings.Contains(strings.ToUpper(path.text), "%2F") && !keepsEncodedSlash(r) {
			c.at(r.file, []string{"routes", r.it.Name, "match", path.key}, recordOf("route", r.it.Name),
				"%s %q: every such request gets 400, because encoded_slash is refuse: write encoded_slash: keep", path.key, yamledit.Clip(path.text))
		}
	}
}

func keepsEncodedSlash(r placed[*Route]) bool {
	var own, defaults Settings
	if r.it.Settings != nil {
		own = *r.it.Settings
	}
	if r.file.Defaults != nil {
		defaults = *r.file.Defaults
	}
	return cmp.Or(own.EncodedSlash, defaults.EncodedSlash) == "keep"
}

func (c *checker) checkPoolOf(r placed[*Route]) {
	to := r.it.To
	if _, found := c.pools[to.Host]; to.Scheme != "pool" || found || checkName(to.Host) != nil {
		return
	}
	hint := ": there are no pools"
	if len(c.pools) > 0 {
		hint = c.hint(to.Host)
	}
	c.at(r.file, []string{"routes", r.it.Name, "to"}, recordOf("route", r.it.Name), "to %q: unknown pool %q%s", yamledit.Clip(to.Raw), to.Host, hint)
}

// maxHints limits the search for similar names, which takes minutes for ten thousand unknown
// pools among ten thousand others.
const maxHints = 100

// hint is the nearest pool's name, for the first mistakes of a set.
func (c *checker) hint(name string) string {
	if c.hints++; c.hints > maxHints {
		return ""
	}
	return didYouMean(name, sortedNames(c.pools))
}
