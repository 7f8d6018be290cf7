package forward

// What a backend says about its own address is said in the public one's words:
// Location and its kin, and cookies' Path and Domain.

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

func (rw *Rewriting) apply(h http.Header, hop Hop) {
	if rw.Location {
		for _, name := range []string{"Location", "Content-Location", "Uri"} {
			for i, value := range h[name] {
				h[name][i] = hop.publicURL(value)
			}
		}
	}
	rw.Cookies(h)
}

// Cookies makes public the paths and domains of the cookies that a backend's answer
// sets. It is all of a Rewriting that a 101 has: an answer without a Location.
func (rw *Rewriting) Cookies(h http.Header) {
	if len(rw.CookiePath) == 0 && len(rw.CookieDomain) == 0 {
		return
	}
	for i, cookie := range h["Set-Cookie"] {
		h["Set-Cookie"][i] = rw.publicCookie(cookie)
	}
}

// publicURL maps a URL that points to the backend and below the target's
// prefix; any other stays. A path by itself is mapped like one with the
// backend's address before it. The rest of the text is left as it is written.
func (hop Hop) publicURL(location string) string {
	scheme, authority, rest := splitURL(location)
	if authority != "" && !hop.isBackend(scheme, authority) {
		return location
	}
	end := strings.IndexAny(rest, "?#")
	if end < 0 {
		end = len(rest)
	}
	path := rest[:end]
	if path == "" && authority != "" {
		path = "/"
	}
	path, ok := hop.Public.path(path)
	switch {
	case !ok:
		return location
	case authority == "" && !strings.HasPrefix(path, "//"): // which would name a host
		return path + rest[end:]
	}
	return hop.Public.Scheme + "://" + hop.Public.Host + path + rest[end:]
}

// splitURL takes scheme and authority off. Without an authority, which is all
// of "/x", "x" and "mailto:x", everything is rest.
func splitURL(location string) (scheme, authority, rest string) {
	scheme, after, ok := strings.Cut(location, "://")
	switch {
	case ok && !strings.ContainsAny(scheme, "/?#"):
	case strings.HasPrefix(location, "//"):
		scheme, after = "", location[2:]
	default:
		return "", "", location
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	return scheme, after[:end], after[end:]
}

// isBackend compares with the backend's authority and with the Host it was
// sent, which is where most frameworks take it from. The scheme may be any of
// HTTP's and none: a backend behind TLS often does not know that it is.
func (hop Hop) isBackend(scheme, authority string) bool {
	switch httpsyntax.Lower(scheme) {
	case "", "http", "https", "ws", "wss":
	default:
		return false
	}
	authority = withPort(scheme, authority)
	id := hop.Backend.Key()
	return authority == withPort(id.Scheme, id.Host()) ||
		authority == withPort(scheme, hop.Policy.RequestHost(hop.Client, hop.Backend))
}

func withPort(scheme, authority string) string {
	authority = httpsyntax.Lower(authority)
	if host, port, err := net.SplitHostPort(authority); err == nil && port != "" {
		return net.JoinHostPort(host, port)
	}
	port := "80"
	if scheme = httpsyntax.Lower(scheme); scheme == "https" || scheme == "wss" {
		port = "443"
	}
	u := url.URL{Host: authority}
	return net.JoinHostPort(u.Hostname(), port)
}

// path maps a path below the target's prefix to one below the route's, whole
// segments only; false if it is not below.
func (p Public) path(path string) (string, bool) {
	return swapPrefix(path, p.TargetPrefix, p.RoutePrefix)
}

func swapPrefix(path, from, to string) (string, bool) {
	from, to = strings.TrimSuffix(from, "/"), strings.TrimSuffix(to, "/")
	rest, ok := strings.CutPrefix(path, from)
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return "", false
	case rest == "" && path == "":
		return "", false
	case to+rest == "":
		return "/", true
	}
	return to + rest, true
}

// publicCookie changes the attributes' values and nothing else of the line.
func (rw *Rewriting) publicCookie(line string) string {
	parts := strings.Split(line, ";")
	kept := parts[:1]
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		value, ok := rw.publicAttribute(strings.TrimSpace(name), strings.TrimSpace(value))
		switch {
		case !ok:
			kept = append(kept, part)
		case value != "":
			kept = append(kept, name+"="+value)
		}
	}
	return strings.Join(kept, ";")
}

// publicAttribute is the new value, "" to drop the attribute; false to leave it.
func (rw *Rewriting) publicAttribute(name, value string) (string, bool) {
	switch httpsyntax.Lower(name) {
	case "path":
		return rw.cookiePath(value)
	case "domain":
		// RFC 6265, section 5.2.3: a leading dot means nothing.
		domain := httpsyntax.Lower(strings.TrimPrefix(value, "."))
		for from, to := range rw.CookieDomain {
			if httpsyntax.Lower(strings.TrimPrefix(from, ".")) == domain {
				return to, true
			}
		}
	}
	return "", false
}

func (rw *Rewriting) cookiePath(path string) (string, bool) {
	longest, found := "", false
	for from := range rw.CookiePath {
		if _, ok := swapPrefix(path, from, ""); ok && (!found || len(from) > len(longest)) {
			longest, found = from, true
		}
	}
	if !found {
		return "", false
	}
	return swapPrefix(path, longest, rw.CookiePath[longest])
}
