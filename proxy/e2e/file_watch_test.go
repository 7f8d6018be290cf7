package e2e

// Changes however they come about are noticed: renames, writes in place, links,
// directories that are replaced, and what no notification tells of.

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// awaitPage waits for the generation that serves page(body), and asks it.
func (p *proxy) awaitPage(m mark, text, body string) {
	p.t.Helper()
	p.waitLogAfter(m, "routes loaded", fields{"revision": revision(text)})
	if got := get(p.t, p.http("/page")); got.body != body {
		p.t.Errorf("after the edit: %d %q, wanted %q", got.status, got.body, body)
	}
}

// TestEditsOfEveryKind makes one edit after another, each in another way.
func TestEditsOfEveryKind(t *testing.T) {
	t.Parallel()
	p := startFiles(t, map[string]string{"dir/routes.yaml": page("start")}, "dir/routes.yaml")
	dir, path := p.path("dir"), p.path("dir/routes.yaml")
	write := func(text string) error { return os.WriteFile(path, []byte(text), 0o644) }
	whole := map[string]string{} // edits by the revision that they end with
	for i, edit := range []struct {
		name string
		make func(text string) error
	}{
		{"in place", write},
		{"removed and created", func(text string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return write(text)
		}},
		{"older", func(text string) error {
			if err := write(text); err != nil {
				return err
			}
			return os.Chtimes(path, time.Time{}, time.Unix(1e9, 0))
		}},
		{"of the future", func(text string) error {
			if err := write(text); err != nil {
				return err
			}
			return os.Chtimes(path, time.Time{}, time.Now().Add(1000*time.Hour))
		}},
		{"beside, and linked", func(text string) error {
			if err := os.WriteFile(filepath.Join(dir, "other.yaml"), []byte(text), 0o644); err != nil {
				return err
			}
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Symlink("other.yaml", path)
		}},
		{"at the link's end", func(text string) error { return os.WriteFile(filepath.Join(dir, "other.yaml"), []byte(text), 0o644) }},
		{"a directory in its directory's place", func(text string) error {
			if err := os.Rename(dir, dir+".old"); err != nil {
				return err
			}
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			return write(text)
		}},
		{"in pieces", func(text string) error { return writeSlowly(path, text) }},
		{"by 100 writes", func(text string) error {
			for n := range 100 {
				if err := write(page(fmt.Sprint("on the way ", n))); err != nil {
					return err
				}
			}
			return write(text)
		}},
		{"by two writers", func(text string) error { return twoWriters(path, text) }},
		{"through a memory map", func(text string) error { return writeMapped(path, text) }},
	} {
		body := fmt.Sprintf("edit-%02d", i) // of one length: the size tells nothing
		whole[revision(page(body))] = edit.name
		m := p.log.mark()
		if err := edit.make(page(body)); err != nil {
			t.Fatalf("%s: %v", edit.name, err)
		}
		p.awaitPage(m, page(body), body)
	}
	// A writer that is held up behind the truncation leaves what is rightly refused.
	for _, refused := range p.logged(0, "routes refused") {
		if name := whole[refused.text("revision")]; name != "" {
			t.Errorf("%s: the whole file was refused", name)
		}
	}
}

// writeSlowly writes a byte at a time, in place.
func writeSlowly(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range len(text) {
		if _, err := f.WriteString(text[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// twoWriters has two rename files of their own into place, both the same in the
// end.
func twoWriters(path, text string) error {
	var writers sync.WaitGroup
	errs := make([]error, 2)
	for w := range errs {
		writers.Go(func() {
			for n := range 20 {
				body := page(fmt.Sprintf("writer %d, %d", w, n))
				if n == 19 {
					body = text
				}
				own := fmt.Sprintf("%s.%d", path, w)
				if errs[w] = os.WriteFile(own, []byte(body), 0o644); errs[w] == nil {
					errs[w] = os.Rename(own, path)
				}
			}
		})
	}
	writers.Wait()
	if errs[0] != nil {
		return errs[0]
	}
	return errs[1]
}

// writeMapped changes the file in memory; the kernel notifies of nothing.
func writeMapped(path, text string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, len(text), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	copy(mapped, text)
	return unix.Munmap(mapped)
}

// TestWriterKilledHalfWay: what it leaves is refused while it is no good file,
// and a good prefix of the list is taken for what it is: a file with fewer routes.
func TestWriterKilledHalfWay(t *testing.T) {
	t.Parallel()
	full := web + "routes:\n  page: {match: {path: /page}, respond: {body: one}}\n  more: {match: {path: /more}, respond: {body: two}}\n"
	p := start(t, full)
	conn := connect(t, p)
	for _, cut := range []string{"", "version: 1\n", web, web + "routes:\n", full[:len(full)-5]} {
		p.spoilInPlace(cut)
		for _, path := range []string{"/page", "/more"} {
			if got := ask(t, conn, request("GET "+path+" HTTP/1.1", "Host: x")); got.status != 200 {
				t.Errorf("with %q left of the file, %s answers %d", cut, path, got.status)
			}
		}
		p.restore(full)
	}
}

// spoilInPlace is spoil without a rename.
func (p *proxy) spoilInPlace(text string) {
	p.t.Helper()
	m := p.log.mark()
	if err := os.WriteFile(p.path(routesFile), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.waitLogAfter(m, "routes refused", nil)
}

// TestTouchIsNoEdit: the content counts.
func TestTouchIsNoEdit(t *testing.T) {
	t.Parallel()
	p := start(t, page("same"))
	if err := os.Chtimes(p.path(routesFile), time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	p.write(routesFile, page("same"))
	p.signal(syscall.SIGHUP)
	p.waitLog("routes unchanged", fields{"generation": 1})
	if n := p.countLog("routes loaded", nil); n != 1 {
		t.Errorf("%d generations, wanted one", n)
	}
}

// TestConfigMapSwaps: three swaps of ..data, a bad one among them, two at once.
func TestConfigMapSwaps(t *testing.T) {
	t.Parallel()
	m := mountConfigMap(t, t.TempDir(), page("zero"))
	p := startFiles(t, nil, m.file())
	for _, body := range []string{"one", "two"} {
		from := p.log.mark()
		m.swap(page(body))
		p.awaitPage(from, page(body), body)
	}
	from := p.log.mark()
	m.swap(page("bad") + "nonsense: 1\n")
	p.waitLogAfter(from, "mistake", fields{"line": 4})
	if got := get(t, p.http("/page")); got.body != "two" {
		t.Errorf("with a bad file mounted: %q, wanted two", got.body)
	}
	from = p.log.mark()
	m.swap(page("three"))
	m.swap(page("four"))
	p.awaitPage(from, page("four"), "four")
}

// TestSetOfFiles: files and a directory are one set, loaded or refused as a whole.
func TestSetOfFiles(t *testing.T) {
	t.Parallel()
	route := func(name, body string) string {
		return "version: 1\nroutes: {" + name + ": {match: {path: /" + name + "}, respond: {body: " + body + "}}}\n"
	}
	p := startFiles(t, map[string]string{
		"base.yaml":       web + "trusted_proxies: [10.0.0.0/8]\nroutes: {}\n",
		"routes.d/a.yaml": route("a", "one"),
		"routes.d/b.yml":  route("b", "one"),
		"routes.d/.c.yml": "hidden, and nonsense",
	}, "base.yaml", "routes.d")
	answers := func(want string) {
		t.Helper()
		var got []string
		for _, name := range []string{"a", "b", "c"} {
			if answer := get(t, p.http("/"+name)); answer.status == 200 {
				got = append(got, name+"="+answer.body)
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("the routes answer %q, wanted %q", text, want)
		}
	}
	refusal := func(from mark, about string) {
		t.Helper()
		p.waitLogAfter(from, "routes refused", nil)
		if first := p.waitLogAfter(from, "mistake", nil); !regexp.MustCompile(about).MatchString(first.text("file") + ": " + first.text("text")) {
			t.Errorf("the mistake is %v, wanted something about %q", first, about)
		}
		answers("a=one b=two")
	}
	loaded := func(edit func()) {
		t.Helper()
		from := p.log.mark()
		edit()
		p.waitLogAfter(from, "routes loaded", nil)
	}
	remove := func(name string) {
		if err := os.Remove(p.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	answers("a=one b=one")
	loaded(func() { p.write("routes.d/b.yml", route("b", "two")) })
	answers("a=one b=two")

	for _, bad := range []struct{ file, text, about string }{
		{"routes.d/c.yaml", route("a", "stolen"), `"a"`},                                        // the same name twice
		{"routes.d/c.yaml", "version: 1\ntrusted_proxies: [192.0.2.0/24]\n", "trusted_proxies"}, // the same key twice
		{"routes.d/c.yaml", "nonsense", "c.yaml"},
	} {
		from := p.log.mark()
		p.write(bad.file, bad.text)
		refusal(from, bad.about)
		from = p.log.mark()
		remove(bad.file)
		p.waitLogAfter(from, "routes restored", nil)
	}
	from := p.log.mark()
	if err := os.Rename(p.path("base.yaml"), p.path("base.away")); err != nil {
		t.Fatal(err)
	}
	refusal(from, "base.yaml")
	from = p.log.mark()
	if err := os.Rename(p.path("base.away"), p.path("base.yaml")); err != nil {
		t.Fatal(err)
	}
	p.waitLogAfter(from, "routes restored", nil)

	loaded(func() { p.write("routes.d/c.yaml", route("c", "new")) })
	answers("a=one b=two c=new")
	loaded(func() { remove("routes.d/a.yaml") }) // a file that leaves a directory is a removal
	answers("b=two c=new")
	loaded(func() {
		if err := os.Rename(p.path("routes.d/b.yml"), filepath.Join(p.dir, "routes.d", "z.yaml")); err != nil {
			t.Fatal(err)
		}
	})
	answers("b=two c=new")
}
