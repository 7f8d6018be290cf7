package e2e

// Files that must change nothing: each is refused once, with every mistake's
// place, while the last good routes serve; the next good file is taken.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// page is a good file whose route /page answers with body.
func page(body string) string {
	return web + `routes: {page: {match: {path: /page}, respond: {body: "` + body + "\"}}}\n"
}

// badContents are what a routes file may come to hold, with the place that the
// first mistake must name, and a word that it must say.
var badContents = []badContent{
	{"empty", "", 0, 0, ""},
	{"blank", "\n  \n\n", 0, 0, ""},
	{"comment", "# nothing\n", 0, 0, ""},
	{"null", "null\n", 0, 0, ""},
	{"NULs", strings.Repeat("\x00", 4096), 0, 0, ""},
	{"garbage", "\x7fELF\x02\x01\x01\xff\xfe\xfd", 0, 0, ""},
	{"not UTF-8", page("\xc3\x28"), 3, 0, ""},
	{"a list", "- version: 1\n", 1, 1, ""},
	{"a word", "routes\n", 1, 1, ""},
	{"truncated in a flow", page("x")[:len(page("x"))-3], 3, 0, ""},
	{"tab", "version: 1\nroutes:\n\tpage: {}\n", 3, 0, ""},
	{"unknown key", page("x") + "rotues: {}\n", 4, 1, `routes`},
	{"duplicate key", page("x") + "routes: {}\n", 4, 1, "routes"},
	{"duplicate route", web + "routes:\n  a: {respond: {}}\n  a: {respond: {}}\n", 5, 3, "a"},
	{"no routes", web, 0, 0, "routes: {}"},
	{"routes null", web + "routes:\n", 0, 0, "routes: {}"},
	{"second document", page("x") + "---\n" + page("y"), 4, 0, "document"},
	{"unknown tag", web + "routes: !!python/object {page: {respond: {}}}\n", 3, 9, "tag"},
	{"own tag", web + "routes: {page: {respond: {body: !secret x}}}\n", 3, 0, "tag"},
	{"wrong version", strings.Replace(page("x"), "version: 1", "version: 2", 1), 1, 10, "1"},
	{"wrong kind", web + "routes: [page]\n", 3, 9, ""},
	{"unknown pool", web + `routes: {page: {to: "pool://chta"}}` + "\npools: {chat: {backends: {a: {url: \"ws://127.0.0.1:1\"}}}}\n", 3, 0, "chat"},
	{"unreachable route", web + "routes:\n  a: {match: {path: /a}, respond: {}}\n  b: {match: {path: /a}, respond: {}}\n", 0, 0, ""},
	{"not supported yet", "version: 1\nlisteners: {web: {address: \"127.0.0.1:0\", proxy_protocol: {}}}\nroutes: {}\n", 2, 0, "not supported yet"},
	{"alias bomb", aliasBomb(), 0, 0, ""},
	{"20,000 levels", web + "routes: " + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "\n", 0, 0, ""},
	{"too many values", page("x") + "x: [" + strings.Repeat("1,", routefile.MaxValues) + "1]\n", 4, 0, "keys and values"},
	{"too many routes", web + "routes:\n" + strings.Repeat("  a: {respond: {}}\n", routefile.MaxRoutes+1), routefile.MaxRoutes + 4, 3, "routes"},
	{"too big", page("x") + "#" + strings.Repeat("x", routefile.MaxBytes), 0, 0, ""},
	{"a missing certificate", strings.Replace(page("x"), `"127.0.0.1:0"`, `"127.0.0.1:0", tls: {certificates: [{certificate: no.crt, key: no.key}]}`, 1), 2, 0, "no.crt"},
	{"an address of another machine", strings.Replace(page("x"), "listeners: {", `listeners: {stray: {address: "192.0.2.1:8080"}, `, 1), 2, 0, "192.0.2.1"},
}

type badContent struct {
	name, text string
	line, col  int
	says       string
}

// tryOn gives it to a proxy that serves page("good"), to a client that has had one
// connection all along, and puts the good file back.
func (bad badContent) tryOn(t *testing.T, p *proxy, conn *proxytest.Raw) {
	t.Helper()
	m := p.log.mark()
	first := p.spoil(bad.text)[0]
	if bad.line != 0 && first.text("line") != fmt.Sprint(bad.line) || bad.col != 0 && first.text("column") != fmt.Sprint(bad.col) {
		t.Errorf("%s: the first mistake is at %s:%s, wanted %d:%d", bad.name, first.text("line"), first.text("column"), bad.line, bad.col)
	}
	if !strings.Contains(first.text("text"), bad.says) || strings.Contains(first.text("text"), "yaml.") {
		t.Errorf("%s: the first mistake is %q, wanted one that says %q and no word of the parser's", bad.name, first.text("text"), bad.says)
	}
	if got := ask(t, conn, request("GET /page HTTP/1.1", "Host: x")); got.body != "good" {
		t.Errorf("%s: meanwhile the route answers %d %q", bad.name, got.status, got.body)
	}
	p.restore(page("good"))
	if found, _, _ := p.log.find(m, "routes refused", nil); len(found) != 1 {
		t.Errorf("%s: refused %d times, wanted once", bad.name, len(found))
	}
}

// aliasBomb is a billion of laughs.
func aliasBomb() string {
	var b strings.Builder
	b.WriteString(web + "routes:\n  l0: &l0 {respond: {body: ha}}\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "  l%d: &l%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	return b.String()
}

// TestBadContent gives each to a proxy that serves.
func TestBadContent(t *testing.T) {
	t.Parallel()
	const shards = 3 // each a proxy of its own: together they take less time
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			p := start(t, page("good"))
			conn := connect(t, p) // one connection, served through all of it
			for i := shard; i < len(badContents); i += shards {
				badContents[i].tryOn(t, p, conn)
			}
			p.edit(page("next"))
			if got := ask(t, conn, request("GET /page HTTP/1.1", "Host: x")); got.body != "next" {
				t.Errorf("the next good file: %d %q", got.status, got.body)
			}
		})
	}
}

// badPaths are what may come to stand where the routes file was.
var badPaths = []struct {
	name string
	put  func(path string) error
}{
	{"nothing", func(string) error { return nil }},
	{"a directory", func(path string) error { return os.Mkdir(path, 0o755) }},
	{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o644) }},
	{"a device without end", func(path string) error { return os.Symlink("/dev/zero", path) }},
	{"a link to nothing", func(path string) error { return os.Symlink("nowhere.yaml", path) }},
	{"a link to itself", func(path string) error { return os.Symlink(filepath.Base(path), path) }},
	{"a file beneath a file", func(path string) error { return os.Symlink("/etc/passwd/routes.yaml", path) }},
	{"an empty file", func(path string) error { return os.WriteFile(path, nil, 0o644) }},
	{"a hole of 64 MiB", func(path string) error {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
		return os.Truncate(path, 64<<20)
	}},
	{"a file without read permission", func(path string) error { return os.WriteFile(path, nil, 0) }},
}

// TestBadPath puts each in the file's place.
func TestBadPath(t *testing.T) {
	t.Parallel()
	p := start(t, page("good"))
	path := p.path(routesFile)
	for i, bad := range badPaths {
		t.Run(bad.name, func(t *testing.T) {
			m := p.log.mark()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := bad.put(path); err != nil {
				t.Fatal(err)
			}
			p.waitLogAfter(m, "mistake", nil)
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			next := page(fmt.Sprint(i))
			p.edit(next)
			if got := get(t, p.http("/page")); got.body != fmt.Sprint(i) {
				t.Errorf("the next good file: %d %q", got.status, got.body)
			}
			for _, mistake := range p.logged(m, "mistake") {
				if text := mistake.text("text") + mistake.text("file"); !strings.Contains(text, "routes") {
					t.Errorf("the mistake %v does not say what it is about", mistake)
				}
			}
		})
	}
}

// logged are the lines of that message so far.
func (p *proxy) logged(m mark, message string) []line {
	found, _, _ := p.log.find(m, message, nil)
	return found
}

// TestRoutesThatVanish: a file whose routes are all gone must say so itself, and
// when it does, is taken.
func TestRoutesThatVanish(t *testing.T) {
	t.Parallel()
	p := start(t, page("here"))
	if first := p.spoil(web)[0].text("text"); !strings.Contains(first, "routes: {}") {
		t.Errorf("the mistake is %q, wanted what to write", first)
	}
	if got := get(t, p.http("/page")); got.body != "here" {
		t.Errorf("after the routes have vanished: %d %q", got.status, got.body)
	}
	p.edit(web + "routes: {}\n")
	if got := get(t, p.http("/page")); got.status != 404 {
		t.Errorf("after routes: {}: %d, wanted 404", got.status)
	}
	p.edit(page("again"))
	if got := get(t, p.http("/page")); got.body != "again" {
		t.Errorf("after the routes' return: %d %q", got.status, got.body)
	}
}

// TestAllMistakesAtOnce: a file's mistakes are told together and in order, and a
// long list is cut short.
func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t, page("good"))
	var b bytes.Buffer
	b.WriteString(web + "routes:\n")
	for i := range 200 {
		fmt.Fprintf(&b, "  r%03d: {match: {path: /%d}, respond: {statsu: 200}}\n", i, i)
	}
	m := p.log.mark()
	p.write(routesFile, b.String())
	refused := p.waitLogAfter(m, "routes refused", nil)
	if got := refused.text("mistakes"); got != "200" {
		t.Errorf("%s mistakes, wanted 200", got)
	}
	told, err := p.log.wait(m, 51, "mistake", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, mistake := range told[:50] {
		if mistake.text("line") != fmt.Sprint(i+4) || !strings.Contains(mistake.text("text"), "status") {
			t.Fatalf("mistake %d is %v, wanted line %d and the key that was meant", i, mistake, i+4)
		}
	}
	if text := told[50].text("text"); !strings.Contains(text, "150 more") {
		t.Errorf("the last line is %q, wanted how many more there are", text)
	}
}
