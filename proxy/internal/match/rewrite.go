package match

// From a matched request to what its target gets: the path and query that a
// backend is asked for, and the redirect that a client is sent, are made by the
// same rules.

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Rewrite makes the path and query of a target from those of a request. The zero
// Rewrite leaves both as they are. It is immutable.
type Rewrite struct {
	path     *Template // nil keeps the request's own path
	query    *Template // nil adds nothing
	isPrefix bool      // the matched prefix is replaced, not the whole path
	prefix   string    // the rule's own pattern
	shown    string    // the path template as written
}

// NewRewrite returns the rewriting to a target's path and query, which are
// templates or "", for requests that from has matched.
func NewRewrite(path, query string, from Path) (w Rewrite, err error) {
	return newRewrite(path, query, from, ParseTemplate)
}

func newRewrite(path, query string, from Path, parse func(string) (*Template, error)) (w Rewrite, err error) {
	w.isPrefix, w.prefix, w.shown = from.Kind == Prefix, from.Pattern, path
	if path != "" {
		if w.path, err = parse(path); err != nil {
			return w, err
		}
	}
	if query != "" {
		w.query, err = parse(query)
	}
	return w, err
}

// Apply returns the escaped path and the raw query for a request's. Queries are with
// their "?"; one without anything behind it stays. The error, which a proxy answers
// with 400, is Template.AppendPath's.
func (w *Rewrite) Apply(path SentPath, query string, c *Captures) (newPath, newQuery string, err error) {
	return w.apply(path, query, c, nil)
}

func (w *Rewrite) apply(path SentPath, query string, c *Captures, v *Values) (newPath, newQuery string, err error) {
	newPath, newQuery = path.Text, query
	if w.path != nil {
		made, err := w.path.appendPath(nil, c, v)
		if err != nil {
			return "", "", err
		}
		newPath = string(made)
		if w.isPrefix {
			newPath = replacePrefix(newPath, path)
		}
	}
	if w.query != nil {
		made, err := w.query.appendQuery(nil, c, v)
		if err != nil {
			return "", "", err
		}
		newQuery = joinQueries(string(made), query)
	}
	return newPath, newQuery, nil
}

// Prefixes returns the target's prefix and the rule's that it stands for, and
// false unless the rewriting maps paths onto paths.
func (w *Rewrite) Prefixes() (target, rule string, ok bool) {
	if !w.isPrefix || w.path == nil {
		return "", "", false
	}
	return w.shown, w.prefix, true
}

// replacePrefix puts the target's path in the place of the matched prefix,
// joined by exactly one slash, as ProxyPass does when both end in one.
func replacePrefix(target string, path SentPath) string {
	rest := path.Text[path.Prefix:]
	if path.Prefix > 0 && path.Text[path.Prefix-1] == '/' {
		rest = path.Text[path.Prefix-1:] // the prefix's own slash is the joint
	}
	if rest == "" {
		return target
	}
	return strings.TrimSuffix(target, "/") + "/" + strings.TrimPrefix(rest, "/")
}

// joinQueries puts a target's query, without its "?", before the request's.
func joinQueries(target, request string) string {
	switch {
	case target == "":
		return request
	case len(request) < 2:
		return "?" + target
	}
	return "?" + target + "&" + request[1:]
}

// Location makes the Location header of a redirect. It is immutable.
type Location struct {
	origin Text // scheme://authority, or empty to stay on this one
	uri    Rewrite
}

// SameLocation returns the redirecting to what was asked for, under another scheme
// and at port; 0 and the scheme's own port are not written.
func SameLocation(scheme string, port int) Location {
	authority := "{host}"
	if port != 0 && !(scheme == "https" && port == 443) && !(scheme == "http" && port == 80) {
		authority += ":" + strconv.Itoa(port)
	}
	origin, _ := ParseText(scheme + "://" + authority) // valid
	return Location{origin: origin}
}

// NewLocation returns the redirecting to a place, "https://host/path?query" or
// "/path?query", for requests that from has matched. Its scheme may be {scheme}, its
// host may have {host}, its path and query are of ParseLocationTemplate.
func NewLocation(to string, from Path) (Location, error) {
	origin, path, query := SplitLocation(to)
	text, err := ParseText(origin)
	if err != nil {
		return Location{}, err
	}
	uri, err := newRewrite(path, query, from, ParseLocationTemplate)
	return Location{origin: text, uri: uri}, err
}

// SplitLocation takes a redirect's place apart. The origin is "" to stay on this one.
func SplitLocation(to string) (origin, path, query string) {
	to, query, _ = strings.Cut(to, "?")
	scheme := strings.Index(to, "://")
	if scheme < 0 {
		return "", to, query
	}
	slash := strings.IndexByte(to[scheme+3:], '/')
	if slash < 0 {
		return to, "", query
	}
	return to[:scheme+3+slash], to[scheme+3+slash:], query
}

// Make returns the header's value for a request, as Rewrite.Apply does.
func (l *Location) Make(v *Values, sent SentPath, query string) (string, error) {
	path, query, err := l.uri.apply(sent, query, v.Captures, v)
	if err != nil {
		return "", err
	}
	origin, err := l.expandOrigin(v)
	if err != nil {
		return "", err
	}
	if origin == "" {
		// "//x" would be another host: a capture must not choose where to.
		path = "/" + strings.TrimLeft(path, "/")
	}
	return origin + path + query, nil
}

// expandOrigin has the host that was asked for, which must be there and leave a host.
func (l *Location) expandOrigin(v *Values) (string, error) {
	if origin, literal := l.origin.Literal(); literal {
		return origin, nil
	}
	if v.Host == "" && l.origin.uses("{host}") {
		return "", errors.New("the request has no host")
	}
	origin, err := l.origin.Expand(v)
	if err != nil {
		return "", err
	}
	_, authority, _ := strings.Cut(origin, "://")
	if host, err := NormalizeHost(authority); err != nil || host == "" {
		return "", fmt.Errorf("host %q: want the name or address of a host", authority)
	}
	return origin, nil
}
