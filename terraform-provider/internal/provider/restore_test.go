package provider

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// uglyFile has comments everywhere, anchors and merge keys, odd spacing, and every
// style of YAML.
const uglyFile = "\ufeff#  Routes of the   company\t\n\n\nversion:    1   # always\n\ndefaults: {  timeouts :  {idle:   10m ,  connect: 3s } ,\n   drain:\n    {window: 1m} }\n" +
	"\n\npools:\n    chat:   # four spaces here\n        backends: &backends\n            a:   {url:   'ws://10.0.0.1:9000'}   # old\n\n\n            b: {   \"url\": \"ws://10.0.0.2:9000\"}\n" +
	"    chat-2:\n        balance: round_robin\n        backends: *backends\n" +
	"# --- routes ---\nroutes:\n" +
	"      \"chat\":  {match:\n          {path_prefix: /chat/}, to: pool://chat/}\n\n\n" +
	"      # the socket\n      socket:   &base\n            match:\n              host:   chat.example.com\n              headers: {X-A:   \"1\",X-B: {present:   true}}\n            respond: {status:   200,  body: 'it''s' }   # said\n" +
	"      z:\n            <<: {timeouts: {idle: 1m}}\n            match: {path: /z}\n            respond:\n               body: >\n                 folded\n                 text\n\n               status:   200\n" +
	"      # the last word\n\n"

// Creating, changing and destroying ten routes leaves the file as it was, byte for
// byte.
func TestAccUglyFileIsRestored(t *testing.T) {
	for name, text := range map[string]string{
		"LF":           uglyFile,
		"CRLF":         strings.ReplaceAll(uglyFile, "\n", "\r\n"),
		"no last line": strings.TrimRight(strings.TrimSuffix(uglyFile, "      # the last word\n\n"), "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t, "")
			file := filepath.Join(t.TempDir(), "routes.yaml")
			writeFile(t, file, text)
			routes := func(n int, status int) string {
				return providerBlock(file) + fmt.Sprintf(`
resource "tunnelform_route" "r" {
  count   = %d
  name    = "r${count.index}"
  match { path = "/r/${count.index}" }
  respond {
    status = %d
    body   = "first\nsecond"
  }
}
`, n, status)
			}
			w.write(routes(10, 200))
			w.must("apply", "-auto-approve")
			for i := range 10 {
				if !routesIn(t, file)[fmt.Sprintf("r%d", i)] {
					t.Errorf("route r%d is not in the file", i)
				}
			}
			w.write(routes(5, 202))
			w.must("apply", "-auto-approve")
			w.must("destroy", "-auto-approve")
			if got := readFile(t, file); got != text {
				t.Errorf("after destroy the file holds\n%q\nwant\n%q", got, text)
			}
		})
	}
}
