package e2e

// What the proxy's own cookie says besides its value.

import (
	"strings"
	"testing"
)

// TestStickyAttributes: each as the pool says it, on the 101 and on an HTTP answer
// alike.
func TestStickyAttributes(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	pools, routes := "pools:\n", "routes:\n"
	tests := map[string]struct{ said, want string }{
		"plain":    {`cookie: TF`, "; Path=/; HttpOnly; SameSite=Lax"},
		"all":      {`cookie: TF, path: /all, domain: example.com, secure: true, http_only: false, same_site: none, max_age: 90s`, "; Path=/all; Domain=example.com; Max-Age=90; Secure; SameSite=None"},
		"strict":   {`cookie: TF, same_site: strict, max_age: off, secure: false`, "; Path=/; HttpOnly; SameSite=Strict"},
		"prefixed": {`cookie: __Host-TF, secure: true`, "; Path=/; HttpOnly; Secure; SameSite=Lax"},
	}
	for name, tt := range tests {
		pools += "  " + name + ": {sticky: {" + tt.said + "}, backends: {b: {url: \"" + b.url("ws") + "\"}}}\n"
		routes += "  " + name + ": {match: {path_prefix: /" + name + "}, to: \"pool://" + name + "\"}\n"
	}
	p := start(t, web+pools+routes)
	for name, tt := range tests {
		_, answer := tunnelWith(t, p.ws("/"+name), nil)
		for where, line := range map[string]string{
			"the 101": answer.Header.Get("Set-Cookie"),
			"the 200": get(t, p.http("/"+name)).header.Get("Set-Cookie"),
		} {
			if _, got, _ := strings.Cut(line, ";"); ";"+got != tt.want {
				t.Errorf("%s: %s sets %q, wanted a value and %q", name, where, line, tt.want)
			}
		}
	}
}
