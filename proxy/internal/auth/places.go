package auth

// Places: where a credential may be in a request, and how it is cut out.

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// PlaceKind is a kind of place.
type PlaceKind uint8

const (
	InAuthorization PlaceKind = iota // Authorization: Bearer, or Basic
	InHeader                         // the whole value of a header
	InCookie
	InQuery
	InSubprotocol // an offered subprotocol that begins with Name, or Kubernetes' form
)

// Place is where a credential may be. Comparable.
type Place struct {
	Kind PlaceKind
	Name string // of the header, cookie or parameter; the subprotocol's prefix
}

// Forwarding says whether the backend gets a credential that was good.
type Forwarding uint8

const (
	ForwardByPlace Forwarding = iota // from a header or a cookie, but not where logs show it
	ForwardAlways
	ForwardNever
)

func (f Forwarding) forwards(p Place) bool {
	if f == ForwardByPlace {
		return p.Kind != InQuery && p.Kind != InSubprotocol
	}
	return f == ForwardAlways
}

// cut is what is cut of a request whose credential was in a place.
func (f Forwarding) cut(p Place) []Place {
	if f.forwards(p) {
		return nil
	}
	return []Place{p}
}

// hidden are the places that show in logs and answers, so that they are cut whether they
// were looked at or not.
func (f Forwarding) hidden(from []Place) (list []Place) {
	for _, p := range from {
		if (p.Kind == InQuery || p.Kind == InSubprotocol) && !f.forwards(p) {
			list = append(list, p)
		}
	}
	return list
}

// KubernetesSubprotocol is the prefix of a token that is itself in base64url, as
// Kubernetes' API server takes it from browsers.
const KubernetesSubprotocol = "base64url.bearer.authorization.k8s.io."

// errTwice: what the backend, or a log, takes for the credential must not be another one
// than was checked.
var errTwice = errors.New("the request has more than one")

// find returns the credential in a place. It is absent if the place is empty.
func (p Place) find(r *Request, scheme string) (value string, present bool, err error) {
	switch p.Kind {
	case InAuthorization:
		return findAuthorization(r.Header, scheme)
	case InHeader:
		return single(r.Header[textproto.CanonicalMIMEHeaderKey(p.Name)])
	case InCookie:
		return findCookie(r.Header, p.Name)
	case InQuery:
		return findParameter(r.Query, p.Name)
	}
	return findSubprotocol(r.Header, p.Name)
}

func single(values []string) (string, bool, error) {
	switch {
	case len(values) > 1:
		return "", true, errTwice
	case len(values) == 0 || values[0] == "":
		return "", false, nil
	}
	return values[0], true, nil
}

// findAuthorization finds a credential of a scheme (RFC 9110 section 11.4). One of another
// scheme is another entry's.
func findAuthorization(h http.Header, scheme string) (string, bool, error) {
	value, present, err := single(h["Authorization"])
	if err != nil || !present {
		return "", present, err
	}
	got, credential, _ := strings.Cut(value, " ")
	if !strings.EqualFold(got, scheme) {
		return "", false, nil
	}
	return strings.Trim(credential, " "), true, nil
}

// findCookie finds a cookie by its exact name in every Cookie line (RFC 6265 section 5.4).
func findCookie(h http.Header, name string) (string, bool, error) {
	var found []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if key, value, ok := strings.Cut(pair, "="); ok && strings.TrimSpace(key) == name {
				found = append(found, strings.Trim(strings.TrimSpace(value), `"`))
			}
		}
	}
	return single(found)
}

// findParameter finds a query parameter.
func findParameter(query, name string) (string, bool, error) {
	var found []string
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if k, err := url.QueryUnescape(key); err != nil || k != name {
			continue
		}
		v, err := url.QueryUnescape(value)
		if err != nil {
			return "", true, err
		}
		found = append(found, v)
	}
	return single(found)
}

func findSubprotocol(h http.Header, prefix string) (string, bool, error) {
	var found []string
	for protocol := range offered(h) {
		if token, ok := strings.CutPrefix(protocol, prefix); ok {
			found = append(found, token)
		}
	}
	token, present, err := single(found)
	if err != nil || !present || prefix != KubernetesSubprotocol {
		return token, present, err
	}
	decoded, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", true, errors.New("its subprotocol is not base64url without padding")
	}
	return string(decoded), true, nil
}

const subprotocols = "Sec-Websocket-Protocol"

func offered(h http.Header) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range h[subprotocols] {
			for protocol := range strings.SplitSeq(line, ",") {
				if protocol = strings.Trim(protocol, " \t"); protocol != "" && !yield(protocol) {
					return
				}
			}
		}
	}
}

// CutHeader removes the credentials in these places from h, which it changes. h must be the
// caller's own.
func CutHeader(h http.Header, places []Place) {
	for _, p := range places {
		switch p.Kind {
		case InAuthorization:
			delete(h, "Authorization")
		case InHeader:
			delete(h, textproto.CanonicalMIMEHeaderKey(p.Name))
		case InCookie:
			cutCookie(h, p.Name)
		case InQuery:
			cutReferer(h, p.Name)
		case InSubprotocol:
			cutSubprotocol(h, p.Name)
		}
	}
}

func cutCookie(h http.Header, name string) {
	var lines []string
	for _, line := range h["Cookie"] {
		var rest []string
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			if key, _, _ := strings.Cut(pair, "="); strings.TrimSpace(key) != name && pair != "" {
				rest = append(rest, pair)
			}
		}
		if len(rest) > 0 {
			lines = append(lines, strings.Join(rest, "; "))
		}
	}
	setLines(h, "Cookie", lines)
}

func cutSubprotocol(h http.Header, prefix string) {
	var rest []string
	found := false
	for protocol := range offered(h) {
		if strings.HasPrefix(protocol, prefix) {
			found = true
			continue
		}
		rest = append(rest, protocol)
	}
	switch {
	case !found:
	case len(rest) == 0:
		delete(h, subprotocols)
	default:
		h[subprotocols] = []string{strings.Join(rest, ", ")}
	}
}

// cutReferer removes a parameter from the query of the page that a request came from: a
// page's own URL may hold the token that it was opened with.
func cutReferer(h http.Header, name string) {
	for i, referer := range h["Referer"] {
		before, query, ok := strings.Cut(referer, "?")
		if !ok {
			continue
		}
		query, fragment, _ := strings.Cut(query, "#")
		if query = CutQuery(query, []Place{{Kind: InQuery, Name: name}}); query != "" {
			before += "?" + query
		}
		if fragment != "" {
			before += "#" + fragment
		}
		h["Referer"][i] = before
	}
}

func setLines(h http.Header, name string, lines []string) {
	if len(lines) == 0 {
		delete(h, name)
		return
	}
	h[name] = lines
}

// CutQuery returns a raw query without the parameters in these places.
func CutQuery(query string, places []Place) string {
	for _, p := range places {
		if p.Kind != InQuery || query == "" {
			continue
		}
		var rest []string
		for pair := range strings.SplitSeq(query, "&") {
			key, _, _ := strings.Cut(pair, "=")
			if k, err := url.QueryUnescape(key); err == nil && k == p.Name {
				continue
			}
			rest = append(rest, pair)
		}
		query = strings.Join(rest, "&")
	}
	return query
}
