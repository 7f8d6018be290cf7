package match

import (
	"strings"
	"testing"
)

func TestParseTemplateRefs(t *testing.T) {
	for _, test := range []struct{ template, refs string }{
		{"", ""},
		{"/plain", ""},
		{"/$1", "$1"},
		{"/${1}0/$10", "${1} $10"},
		{"/r/{room}/$0", "{room} $0"},
		{"/$$1/{a}{b}", "{a} {b}"},
	} {
		tmpl, err := ParseTemplate(test.template)
		if err != nil {
			t.Errorf("ParseTemplate(%q): %v", test.template, err)
			continue
		}
		if got := strings.Join(tmpl.Refs(), " "); got != test.refs {
			t.Errorf("ParseTemplate(%q) refers to %q, want %q", test.template, got, test.refs)
		}
	}
}

func TestParseTemplateRefuses(t *testing.T) {
	for _, test := range []struct{ template, want string }{
		{"/$", `target "/$": "$": want the number of a capture, $1; a literal dollar is $$`},
		{"/$a", `target "/$a": "$a": want the number of a capture, $1; a literal dollar is $$`},
		{"/$1234", `target "/$1234": "$1234": want the number of a capture, $1; a literal dollar is $$`},
		{"/${1", `target "/${1": "${1": want ${1}; a capture with a name is {name}`},
		{"/${a}", `target "/${a}": "${a}": want ${1}; a capture with a name is {name}`},
		{"/${}", `target "/${}": "${}": want the number of a capture, $1; a literal dollar is $$`},
		{"/{", `target "/{": "{": want {name}; a literal brace is %7B or %7D`},
		{"/{{a}}", `target "/{{a}}": "{{a}": want {name}; a literal brace is %7B or %7D`},
		{"/{1}", `target "/{1}": "{1}": want {name}; a literal brace is %7B or %7D`},
		{"/a}", `target "/a}": "}" without "{": want {name}; a literal brace is %7B or %7D`},
		{"/a b", `target "/a b": " ": want it percent-encoded`},
		{"/a\r\nb", `target "/a\r\nb": "\r": want it percent-encoded`},
		{"/a#b", `target "/a#b": "#": want it percent-encoded`},
		{"/%$1", `target "/%$1": bad escape "%": want % and two hex digits`},
		{"/%2{a}", `target "/%2{a}": bad escape "%2": want % and two hex digits`},
	} {
		if _, err := ParseTemplate(test.template); err == nil || err.Error() != test.want {
			t.Errorf("ParseTemplate(%q): %v\nwant %s", test.template, err, test.want)
		}
	}
}

func mustParseTemplate(t *testing.T, s string) *Template {
	t.Helper()
	tmpl, err := ParseTemplate(s)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func TestCheckPath(t *testing.T) {
	for _, test := range []struct{ template, want string }{
		{"/", ""},
		{"/a/$1/{b}", ""},
		{"/$1", ""},
		{"/%7b$1", ""},
		{"", "literal slash"},
		{"$1", "literal slash"},
		{"a", "literal slash"},
		{"/a?b", `"?"`},
		{"/a%5c$1", "backslash"},
		{"/a/../b", "dot segments"},
		{"/a//$1", "double slashes"},
	} {
		err := mustParseTemplate(t, test.template).CheckPath()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("CheckPath of %q: %v, want %q", test.template, err, test.want)
		}
	}
}

func TestCheckRefs(t *testing.T) {
	for _, test := range []struct {
		template string
		path     Path
		want     string
	}{
		{"/a", Path{}, ""},
		{"/$1/{x}", Path{Exact, "/{x}"}, ""},
		{"/$0/$1/$2/{x}", Path{Regex, "^/(?P<x>a)(b)"}, ""},
		{"/$0", Path{Regex, "^/a"}, ""},
		{"/$1", Path{Regex, "not compiled"}, ""},
		{"/$1", Path{}, `"$1": the route has no path or path_regex to capture from`},
		{"/{x}", Path{Prefix, "/a/"}, `"{x}": path_prefix /a/ captures nothing: want path or path_regex`},
		{"/$1", Path{Exact, "/a"}, `"$1": path /a captures nothing`},
		{"/$0", Path{Exact, "/{x}"}, `"$0": path /{x} has no such capture: want one of $1, {x}`},
		{"/${2}", Path{Exact, "/{x}"}, `"${2}": path /{x} has no such capture: want one of $1, {x}`},
		{"/{y}", Path{Regex, "^/(a)(?P<x>b)"}, `"{y}": path_regex ^/(a)(?P<x>b) has no such capture: want one of $1, $2, {x}`},
	} {
		err := CheckRefs(mustParseTemplate(t, test.template), test.path)
		if err == nil && test.want != "" || err != nil && err.Error() != test.want {
			t.Errorf("CheckRefs(%q, %+v): %v\nwant %s", test.template, test.path, err, test.want)
		}
	}
}

// captured returns what a rule with that path captures of path.
func captured(t *testing.T, p Path, path string) *Captures {
	t.Helper()
	var c Captures
	if mustCompile(t, []Rule{{Path: p}}).Lookup(&Request{Path: path}, &c) != 0 {
		t.Fatalf("%+v does not match %q", p, path)
	}
	return &c
}

func TestAppendPath(t *testing.T) {
	for _, test := range []struct{ pattern, path, template, want string }{
		{"^/(myApp/ws)$", "/myApp/ws", "/x/$1", "/x/myApp/ws"},
		{"^/(.*)$", "/a%2Bb+c%25", "/$1", "/a%2Bb+c%25"},
		{"^/(.*)$", "/a&b=c;d", "/$1", "/a&b=c;d"},
		{"^/(.)(.*)$", "/ab", "/$2${1}0$$", "/ba0$"},
		{"^/a(/x)?", "/ab", "/y$1/z", "/y/z"},
		{"^/a(/x)?", "/ab", "/y/$1/z", "/y/z"},
		{"^/a(/.*)", "/a/b/", "/x/$1", "/x/b/"},
		{"^/(.)", "/%2B", "/${1}2F", "/%252F"},
		{"^/(..)", "/%2B", "/${1}F", "/%252F"},
		{"^/.(..)", "/%2B", "/$1", "/2B"},
		{"^/(.*)", "/well-known", "/.$1", "/.well-known"},
		{"^/x(.*)", "/x%3B", "/a$1", "/a%3B"},
		{"^/(.*)", "/a", "/%7e$1", "/~a"},
		{"^/b.?", "/bcd", "/a$0", "/a/bc"},
		{"/r/{room}/{x}", "/r/a%20b/c", "/{x}/$1", "/c/a%20b"},
	} {
		got, err := mustParseTemplate(t, test.template).AppendPath([]byte("kept"), captured(t, patternOf(test.pattern), test.path))
		if string(got) != "kept"+test.want || err != nil {
			t.Errorf("%s of %s, %s: %q, %v; want %q", test.template, test.pattern, test.path, got, err, test.want)
		}
	}
}

func patternOf(s string) Path {
	if strings.HasPrefix(s, "^") {
		return Path{Regex, s}
	}
	return Path{Exact, s}
}

func TestAppendPathRefuses(t *testing.T) {
	for _, test := range []struct{ pattern, path, template, want string }{
		{"^/a(.*)", "/a.", "/x/.$1", "dot segment"},
		{"^/a(.*)", "/a.", "/x/$1", "dot segment"},
		{"^/a(.*)", "/a.", "/x/$1/y", "dot segment"},
		{"^/a(.*)", "/a..", "/x/$1/y", "dot segment"},
		{"^/a(.*)", "/a..;x", "/x/$1/y", "dot segment"},
		{"^/a(.*)", "/a..%3Bx", "/x/$1/y", "dot segment"},
		{"^/a(.*)", "/a.", "/%2e$1/y", "dot segment"},
		{"^/a(.*)", "/ab", "$1", "leading slash"},
		{"^/a(.*)", "/ab", "/$2", "none of that name"},
		{"^/a(.*)", "/ab", "/{x}", "none of that name"},
	} {
		got, err := mustParseTemplate(t, test.template).AppendPath([]byte("kept"), captured(t, patternOf(test.pattern), test.path))
		if string(got) != "kept" || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s of %s, %s: %q, %v; want an error with %q", test.template, test.pattern, test.path, got, err, test.want)
		}
	}
}

func TestAppendQuery(t *testing.T) {
	for _, test := range []struct{ pattern, path, template, want string }{
		{"^/(.*)$", "/a/b", "x=$1&y=1", "x=a/b&y=1"},
		{"^/(.*)$", "/a&b=c+d;e?"[:9], "x=$1", "x=a%26b%3Dc%2Bd%3B"},
		{"^/(.*)$", "/%26%2B%25", "x=$1", "x=%26%2B%25"},
		{"^/(.)", "/%2B", "x=${1}26", "x=%2526"},
		{"/{room}", "/a:b@c!$'()*,", "r={room}", "r=a%3Ab%40c%21%24%27%28%29%2A%2C"},
	} {
		got, err := mustParseTemplate(t, test.template).AppendQuery([]byte("kept"), captured(t, patternOf(test.pattern), test.path))
		if string(got) != "kept"+test.want || err != nil {
			t.Errorf("%s of %s, %s: %q, %v; want %q", test.template, test.pattern, test.path, got, err, test.want)
		}
	}
}

func TestAppendRefusesControlBytes(t *testing.T) {
	p, err := compiledPattern(Path{Regex, "^/(?s:(.*))$"})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/\r\n", "/\x00", "/%0d", "/%0A", "/%00", "/%7f"} {
		c := &Captures{path: path, pattern: p} // not a normal path: a caller's mistake
		tmpl := mustParseTemplate(t, "/$1")
		if got, err := tmpl.AppendPath(nil, c); err == nil {
			t.Errorf("a path made of %q is %q", path, got)
		}
		if got, err := tmpl.AppendQuery(nil, c); err == nil {
			t.Errorf("a query made of %q is %q", path, got)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	c := captured(t, Path{Exact, "/rooms/{room}/ws"}, "/rooms/a%20b/ws")
	tmpl := mustParseTemplate(t, "/r/{room}/$1")
	dst := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() { tmpl.AppendPath(dst, c); tmpl.AppendQuery(dst, c) }); n != 0 {
		t.Errorf("expanding allocates %v times", n)
	}
}

// FuzzTemplate: whatever a client sends, a path is normal and has no more
// segments than were written and captured, and a query has no more parameters
// than were written.
func FuzzTemplate(f *testing.F) {
	f.Add("/x/$1/$2", "^/(.)(.*)$", "/a/b/c")
	f.Add("/x/.$1", "^/a(.*)", "/a./b")
	f.Add("/${1}2F$2", "^/(.)(.*)", "/%252e")
	f.Add("/{x}/{y}", "/{x}/{y}", "/a;b/%C3%A9")
	f.Add("/?a=$1&b=$0", "^/(.*)", "/a&b=c#d+e")
	f.Add("$1$$", "^(.*)", "//a//..;/%2e%2e")
	f.Fuzz(func(t *testing.T, template, pattern, raw string) {
		tmpl, err := ParseTemplate(template)
		if err != nil {
			t.Skip("not a template")
		}
		path, err := NormalizePath(raw)
		if err != nil {
			t.Skip("not a path")
		}
		p, err := compiledPattern(patternOf(pattern))
		if err != nil || !p.matches(path) || CheckRefs(tmpl, patternOf(pattern)) != nil {
			t.Skip("no captures")
		}
		checkExpansion(t, tmpl, &Captures{path: path, pattern: p})
	})
}

func checkExpansion(t *testing.T, tmpl *Template, c *Captures) {
	t.Helper()
	slashes, parameters := 0, 0
	for _, part := range tmpl.parts {
		if part.isRef() {
			capture, _ := part.in(c)
			slashes += strings.Count(capture, "/")
		}
		slashes += strings.Count(part.text, "/")
		parameters += strings.Count(part.text, "&")
	}
	made, err := tmpl.AppendPath(nil, c)
	if err == nil && !slowNormal(string(made)) {
		t.Errorf("%v of %q makes the path %q", tmpl, c.path, made)
	}
	if n := strings.Count(string(made), "/"); n > slashes {
		t.Errorf("%v of %q makes the path %q with %d slashes, %d were given", tmpl, c.path, made, n, slashes)
	}
	query, err := tmpl.AppendQuery(nil, c)
	if err != nil {
		t.Errorf("%v of %q makes no query: %v", tmpl, c.path, err)
	}
	if n := strings.Count(string(query), "&"); n > parameters || strings.ContainsAny(string(query), "\r\n\x00 #") {
		t.Errorf("%v of %q makes the query %q, with %d parameters written", tmpl, c.path, query, parameters)
	}
}

// compiledPattern is compilePattern and what rule.compile does.
func compiledPattern(of Path) (*pattern, error) {
	p, err := compilePattern(of)
	if err == nil {
		(&rule{path: p}).compileRegexes()
	}
	return p, err
}
