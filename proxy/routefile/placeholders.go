package routefile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Placeholders in texts that are sent: values of headers, bodies and redirects. What other
// proxies take for a variable is a mistake, with the placeholder that means the same.

// placeholderHelp is for the reference, in sync with match.Placeholders.
const placeholderHelp = "May have placeholders: {client}, {client_port}, {host}, {scheme}, {request_id}, {user}, {listener} and captures."

// checkText accepts a text whose placeholders are well formed. Which captures there are
// shows only beside the route's match.
func checkText(s string) error {
	_, err := match.ParseText(s)
	return withHint(err)
}

// withHint adds to an unknown placeholder what was probably meant.
func withHint(err error) error {
	var unknown *match.PlaceholderError
	if !errors.As(err, &unknown) {
		return err
	}
	return fmt.Errorf("%w: %s", unknown, placeholderHint(unknown))
}

func placeholderHint(e *match.PlaceholderError) string {
	literal := strings.Replace(strings.Replace(e.Source, "$", "$$", 1), "{", "{{", 1)
	known := append(match.Placeholders(), e.Known...)
	name := strings.ToLower(e.Name)
	switch hint, near := foreignHint(name), nearest(name, known); {
	case slices.Contains(known, name):
		return fmt.Sprintf("write {%s}, or %s for the text", name, literal)
	case hint != "":
		return hint
	case near != "":
		return fmt.Sprintf("did you mean {%s}? For the text itself write %s", near, literal)
	}
	return fmt.Sprintf("wanted {%s} or a capture of the match; for the text itself write %s", strings.Join(known, "}, {"), literal)
}

// foreignHints say what to write for variables of nginx, Apache, HAProxy, Caddy and Envoy,
// by their names in lower case.
var foreignHints = map[string]string{
	"remote_addr": "write {client}", "binary_remote_addr": "write {client}", "realip_remote_addr": "write {client}",
	"proxy_protocol_addr": "write {client}", "remote_ip": "write {client}", "remote_host": "write {client}", "client_ip": "write {client}",
	"conn_remote_addr": "write {client}", "src": "write {client}", "downstream_remote_address": "write {client}",
	"remote_port": "write {client_port}", "proxy_protocol_port": "write {client_port}", "src_port": "write {client_port}",
	"http_host": "write {host}", "server_name": "write {host}", "hostname": "write {host}", "hostport": "write {host}", "authority": "write {host}",
	"request_scheme": "write {scheme}", "http_x_forwarded_proto": "write {scheme}, which trusts trusted_proxies", "proto": "write {scheme}",
	"unique_id": "write {request_id}", "http_x_request_id": "write {request_id}", "req_id": "write {request_id}",
	"remote_user": "write {user}", "auth_user": "write {user}", "authenticated_user": "write {user}",

	"proxy_add_x_forwarded_for": "X-Forwarded-For is sent without it: see forwarded",
	"http_x_forwarded_for":      "X-Forwarded-For is sent without it: see forwarded; for the client's address write {client}",
	"http_x_real_ip":            "X-Real-IP is sent without it: see forwarded; for the client's address write {client}",
	"http_upgrade":              "Upgrade and Connection of a handshake are sent without it",
	"http_connection":           "Upgrade and Connection of a handshake are sent without it",
	"connection_upgrade":        "Upgrade and Connection of a handshake are sent without it",
	"http:upgrade":              "Upgrade and Connection of a handshake are sent without it",
	"http:connection":           "Upgrade and Connection of a handshake are sent without it",
	"upgrade":                   "Upgrade and Connection of a handshake are sent without it",
	"proxy_host":                "the target's host is the Host header with preserve_host: false",
	"https":                     "write {scheme}, which is http or https",
}

// foreignHint is the hint for a variable of another proxy, "" for an unknown one.
func foreignHint(name string) string {
	if hint := foreignHints[name]; hint != "" {
		return hint
	}
	switch {
	case isAnyOf(name, "request_uri", "uri", "document_uri", "path", "args", "is_args", "query", "query_string", "request_filename", "script_name", "path_info"):
		return "no placeholder has the path or the query: capture the path by path or path_regex; a redirect with scheme, or without a path, keeps both"
	case hasAnyPrefix(name, "http_", "http:", "sent_http_", "upstream_http_"), strings.Contains(name, "-"):
		return "no placeholder has a header: headers are passed on without it"
	case hasAnyPrefix(name, "arg_", "cookie_"):
		return "no placeholder has a query parameter or a cookie: both are passed on without it"
	case hasAnyPrefix(name, "ssl_client_"):
		return "no placeholder has the client's certificate: it is sent as Client-Cert"
	}
	return ""
}

func isAnyOf(s string, words ...string) bool { return slices.Contains(words, s) }

func hasAnyPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

// sentText is a text of a record that may have placeholders, with the keys that lead to it.
type sentText struct {
	keys []string // below the record
	raw  string
}

// sentTexts returns the texts of settings that may have placeholders.
func (s *Settings) sentTexts() (all []sentText) {
	if s == nil {
		return nil
	}
	for _, named := range s.headerLists() {
		all = appendHeaderTexts(all, named.list, named.keys...)
	}
	for _, page := range s.Errors.Pages {
		all = append(all, sentText{[]string{"errors", page.Status, "body"}, page.Body})
	}
	return all
}

// sentTexts returns the texts of r that may have placeholders, without its settings.
func (r *Respond) sentTexts() (all []sentText) {
	if r == nil {
		return nil
	}
	all = appendHeaderTexts(all, r.Headers, "respond", "headers")
	return append(all, sentText{[]string{"respond", "body"}, r.Body})
}

func appendHeaderTexts(all []sentText, headers []Header, keys ...string) []sentText {
	for _, h := range headers {
		all = append(all, sentText{append(slices.Clone(keys), h.Name), h.Value})
	}
	return all
}

// withPlaceholders returns the texts that are not the same for every request.
func withPlaceholders(all []sentText) []sentText {
	return slices.DeleteFunc(all, func(t sentText) bool { return !strings.ContainsAny(t.raw, "${") })
}

// checkTexts checks placeholders in defaults, which have no captures, and in routes.
func (c *checker) checkTexts() {
	inherited := map[*File][]sentText{}
	for _, f := range c.files {
		inherited[f] = withPlaceholders(f.Defaults.sentTexts())
		for _, t := range inherited[f] {
			c.checkText(f, match.Path{}, t, "", "defaults")
		}
	}
	own := map[*Settings][]sentText{} // of settings that routes share
	for _, name := range sortedNames(c.routes) {
		r := c.routes[name]
		settings, known := own[r.it.Settings]
		if !known {
			settings = withPlaceholders(r.it.Settings.sentTexts())
			own[r.it.Settings] = settings
		}
		if p := r.it.Match.pattern(); !r.it.invalid || p.Kind != match.AnyPath {
			for _, t := range slices.Concat(settings, withPlaceholders(r.it.Respond.sentTexts())) {
				c.checkText(r.file, p, t, recordOf("route", name), "routes", name)
			}
			c.checkInherited(r, inherited[r.file])
		}
	}
}

func (c *checker) checkText(f *File, p match.Path, t sentText, record string, keys ...string) {
	text, err := match.ParseText(t.raw)
	if err != nil {
		return // Parse has reported it
	}
	if err := withHint(match.CheckText(text, p)); err != nil {
		c.at(f, append(keys, t.keys...), record, "%s %q: %v", strings.Join(t.keys, "."), yamledit.Clip(t.raw), err)
	}
}

// checkInherited reports a capture that has the name of a placeholder which the defaults
// use: in this route it could be either.
func (c *checker) checkInherited(r placed[*Route], texts []sentText) {
	if len(texts) == 0 || r.it.Match.PathRegex == "" && !strings.Contains(r.it.Match.Path, "{") {
		return
	}
	effective := overlay(deref(r.it.Settings), deref(r.file.Defaults))
	used := withPlaceholders(effective.sentTexts())
	for _, t := range texts {
		if !slices.ContainsFunc(used, func(u sentText) bool { return u.raw == t.raw && slices.Equal(u.keys, t.keys) }) {
			continue
		}
		text, err := match.ParseText(t.raw)
		if err != nil {
			continue
		}
		var unknown *match.PlaceholderError
		if err := match.CheckText(text, r.it.Match.pattern()); err != nil && !errors.As(err, &unknown) {
			c.at(r.file, []string{"routes", r.it.Name, "match"}, recordOf("route", r.it.Name), "defaults.%s: %v", strings.Join(t.keys, "."), err)
			return
		}
	}
}

func deref[T any](p *T) T { return *cmp.Or(p, new(T)) }
