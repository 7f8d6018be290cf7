package e2e

// encoded_slash and merge_slashes: what a backend gets of a path is the same over every
// version of HTTP and by every way of a handshake.

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// slashed is a target, and what the backend gets of it: "" for 400, "403" for that.
type slashed struct{ target, want string }

// TestEncodedSlashes: an encoded slash is a character of its segment. It is never
// decoded, and no way around another route.
func TestEncodedSlashes(t *testing.T) {
	t.Parallel()
	checkSlashes(t, `
  secret: {match: {path_prefix: /secret}, respond: {status: 403}, encoded_slash: keep}
  queues: {match: {path: "/queues/{vhost}/{name}"}, to: "http://$b/q/{name}/{vhost}?v={vhost}", encoded_slash: keep}
  files:  {match: {path_regex: "^/files/([^/]+)$"}, to: "http://$b/f/$1", encoded_slash: keep}
  inner:  {match: {path_prefix: /in/%2f/}, to: "http://$b/%2F/", encoded_slash: keep}
  strict: {match: {path_prefix: /strict}, to: "http://$b"}
  rest:   {match: {path_prefix: /}, to: "http://$b", encoded_slash: keep}
`, []slashed{
		{"/api/queues/%2F/jobs", "/api/queues/%2F/jobs"},
		{"/api/group%2fproject", "/api/group%2Fproject"},
		{"/cool/https%3A%2F%2Fa%2Findex.php%3Ft%3D1/ws?s=https%3a%2f%2fb", "/cool/https%3A%2F%2Fa%2Findex.php%3Ft%3D1/ws?s=https%3a%2f%2fb"},
		{"/%2F", "/%2F"},
		{"/%2f//%2f?", "/%2F/%2F?"},
		{"http://site.example/a%2Fb", "/a%2Fb"},

		{"/queues/%2F/jobs", "/q/jobs/%2F?v=%2F"},
		{"/queues/a%2fb/c%2Fd?x", "/q/c%2Fd/a%2Fb?v=a%2Fb&x"},
		{"/files/a%2Fb", "/f/a%2Fb"},
		{"/files/..%2Fb", "/f/..%2Fb"},
		{"/in/%2F/x", "/%2F/x"},

		// Not decoded, so none of these is in /secret; nor out of it.
		{"/x/..%2Fsecret", "/x/..%2Fsecret"},
		{"/x%2F..%2Fsecret", "/x%2F..%2Fsecret"},
		{"/x/%2f%2e%2e%2fsecret", "/x/%2F..%2Fsecret"},
		{"/%2Fsecret", "/%2Fsecret"},
		{"/secret%2F..", "/secret%2F.."}, // a name of its own, "secret%2F.."
		{"/secret/..%2F..", "403"},
		{"/secret/%2F..%2Fx", "403"},
		{"/x%2Fy/../secret", "403"},
		{"/x%2F/%2e%2e/secret", "403"},
		{"/x/%252F..%252Fsecret", "/x/%252F..%252Fsecret"},
		{"/x/..%252Fsecret", "/x/..%252Fsecret"},
		{"/x/%c0%ae%c0%ae%c0%afsecret", "/x/%C0%AE%C0%AE%C0%AFsecret"}, // overlong UTF-8
		{"/x;/..%2Fsecret", "/x;/..%2Fsecret"},
		{"/SECRET%2F", "/SECRET%2F"}, // paths have case

		// No route changes these.
		{"/x/..%5Csecret", ""},
		{"/x%2F%5c", ""},
		{"/x%2F%00", ""},
		{"/x/..;%2Fsecret", ""},
		{"/x%2F/..;/secret", ""},
		{"/x%2F/%2e.%3b/secret", ""},

		{"/strict/a%2Fb", ""},
		{"/strict/%2f/..", ""},
		{"/strict/..%2Fsecret", ""},
		{"/strict/%252F", "/strict/%252F"},
	})
}

// TestDoubleSlashes: a path is matched with its slashes merged, and sent as it came.
func TestDoubleSlashes(t *testing.T) {
	t.Parallel()
	checkSlashes(t, `
  secret: {match: {path_prefix: /secret}, respond: {status: 403}, merge_slashes: false}
  exact:  {match: {path: /exact/one}, to: "http://$b", merge_slashes: false}
  app:    {match: {path_prefix: /app/}, to: "http://$b/new/", merge_slashes: false}
  fetch:  {match: {path_regex: "^/fetch/(.*)$"}, to: "http://$b/get/$1", merge_slashes: false}
  merged: {match: {path_prefix: /merged}, to: "http://$b"}
  rest:   {match: {path_prefix: /}, to: "http://$b", merge_slashes: false, encoded_slash: keep}
`, []slashed{
		{"/proxy/https://api.example.com/compute?q=a//b", "/proxy/https://api.example.com/compute?q=a//b"},
		{"/sim/ws://127.0.0.1:9323/devtools/page/1", "/sim/ws://127.0.0.1:9323/devtools/page/1"},
		{"/v6/http://[::1]:80//x", "/v6/http://[::1]:80//x"},
		{"/bucket//key", "/bucket//key"},
		{"//", "//"},
		{"//x", "//x"},
		{"/x//", "/x//"},
		{"/x///y/?", "/x///y/?"},
		{"/a%2f//%7e%c3%a9", "/a%2f//%7e%c3%a9"},
		{"/%7e", "/%7e"},
		{"//a%2Fb/{x}", "//a%2Fb/%7Bx%7D"},
		{"http://site.example//a", "//a"},

		{"/x/../y", "/y"},
		{"/x/%2E%2e/y", "/y"},
		{"/x//../y", ""}, // /y or /x/y
		{"/x/..//y", ""},
		{"//./y", ""},
		{"/x//%2e", ""},
		{"/x//..;/y", ""},
		{"/x//%5c", ""},

		{"/app/x//y", "/new/x//y"},
		{"/app//x", "/new//x"},
		{"/%61pp//%78", "/new//%78"},
		{"//app/x", ""},
		{"/exact/one", "/exact/one"},
		{"/exact//one", ""},
		{"/fetch/https://a//b", "/get/https://a//b"},
		{"//fetch/a", ""},

		{"/secret//x", "403"},
		{"//secret", ""}, // of its route, for the double slash is before what it matches
		{"/x/../secret", "403"},
		{"/%73ecret//", "403"},
		{"/merged//x//", "/merged/x/"},
		{"//merged", "/merged"},
	})
}

// checkSlashes asks for every target in every way.
func checkSlashes(t *testing.T, routes string, targets []slashed) {
	t.Helper()
	b := newWire(t, map[string]script{"/": func(conn net.Conn, in *bufio.Reader, head string) bool {
		if strings.Contains(head, "Upgrade: websocket") {
			return repeat(switching())(conn, in, head)
		}
		return keep(ok)(conn, in, head)
	}})
	authority := proxytest.NewAuthority(t)
	certificate := authority.Issue([]string{"127.0.0.1", "site.example"})
	p := start(t, fmt.Sprintf(`version: 1
listeners:
  web:    {address: "127.0.0.1:0"}
  secure: {address: "127.0.0.1:0", tls: {certificates: [{certificate: %s, key: %s}]}}
routes:%s`, certificate.File, certificate.KeyFile, fill(routes, map[string]string{"b": b.Addr})))
	config := &tls.Config{RootCAs: authority.Pool(), ServerName: "site.example"}
	overTLS := func() *proxytest.Raw {
		conn, err := tls.Dial("tcp", p.address("secure"), config)
		if err != nil {
			t.Fatal(err)
		}
		return proxytest.RawOver(t, conn)
	}
	plainText := func(target string) string { return request("GET "+target+" HTTP/1.1", "Host: site.example") }
	handshake := func(target string) string {
		return proxytest.Handshake{Target: target, Host: "site.example"}.String()
	}
	for name, way := range map[string]func(target string) int{
		"HTTP/1.1":  func(target string) int { return ask(t, connect(t, p), plainText(target)).status },
		"handshake": func(target string) int { return ask(t, connect(t, p), handshake(target)).status },
		"TLS":       func(target string) int { return ask(t, overTLS(), handshake(target)).status },
		"HTTP/2":    func(target string) int { return askHTTP2(t, p, config, [][2]string{{":path", target}}) },
		"kept, upgrade": func(target string) int {
			client := connect(t, p)
			ask(t, client, plainText("/first"))
			return ask(t, client, handshake(target)).status
		},
	} {
		for _, tt := range targets {
			if name == "HTTP/2" && !strings.HasPrefix(tt.target, "/") {
				continue // it has no absolute form
			}
			before := len(b.asked())
			status := way(tt.target)
			asked := b.asked()[before:]
			if name == "kept, upgrade" {
				asked = asked[1:]
			}
			got := fmt.Sprint(status)
			if len(asked) == 1 && (status == 200 || status == 101) {
				_, rest, _ := strings.Cut(asked[0], " ")
				got, _, _ = strings.Cut(rest, " ")
			}
			if want := tt.want; got != want && !(want == "" && got == "400" && len(asked) == 0) {
				t.Errorf("%s, %s: %s, the backend was asked %q, wanted %q", name, tt.target, got, asked, want)
			}
		}
	}
}
