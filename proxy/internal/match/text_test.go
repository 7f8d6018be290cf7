package match

import (
	"errors"
	"strings"
	"testing"
)

// captured returns what a rule with that pattern captures of path.
func capturesOf(t testing.TB, p Path, path string) *Captures {
	t.Helper()
	tree, problems := Compile([]Rule{{Name: "r", Path: p}})
	if len(problems) > 0 {
		t.Fatal(problems[0].Text)
	}
	c := new(Captures)
	if tree.Lookup(&Request{Method: "GET", Path: path}, c) < 0 {
		t.Fatalf("%s does not match %s", p.Pattern, path)
	}
	return c
}

func someValues(c *Captures) *Values {
	return &Values{
		Client: "192.0.2.7", ClientPort: "5000", Host: "a.example", Scheme: "https", RequestID: "f00", Listener: "web", Captures: c,
	}
}

func TestTextExpands(t *testing.T) {
	room := Path{Exact, "/rooms/{room}/{B2}"}
	regex := Path{Regex, "^/(a)/(?P<name>b)"}
	for _, test := range []struct {
		path         Path
		request      string
		source, want string
	}{
		{Path{}, "/", "", ""},
		{Path{}, "/", "plain", "plain"},
		{Path{}, "/", "{client}:{client_port} {scheme}://{host} {request_id}-{listener}-{user}-", "192.0.2.7:5000 https://a.example f00-web--"},
		{Path{}, "/", "{{client} $$client {{{client}}", "{client} $client {192.0.2.7}"},
		{Path{}, "/", "{{{{ $$$$", "{{ $$"},
		// Every other brace, dollar and percent is itself.
		{Path{}, "/", `{"a":{"b":1}} {} { {a-b} {a.b} {1} {a b} } ${} $ 5$ $5 $1.50 ${1} $(x) $A $a1 ${A} {A} {a1} 100% %s %{ %{}`,
			`{"a":{"b":1}} {} { {a-b} {a.b} {1} {a b} } ${} $ 5$ $5 $1.50 ${1} $(x) $A $a1 ${A} {A} {a1} 100% %s %{ %{}`},
		{Path{}, "/", "%{client}", "%192.0.2.7"},
		{Path{}, "/", "$1234 ${1234}", "$1234 ${1234}"},
		{room, "/rooms/7%20a/x", "{room} {B2} $1 ${2}0 $$1 {{room}", "7%20a x 7%20a x0 $1 {room}"},
		{regex, "/a/bc", "$1{name}$2 $0", "abb /a/b"},
	} {
		text, err := ParseText(test.source)
		if err != nil {
			t.Errorf("%q: %v", test.source, err)
			continue
		}
		if err := CheckText(text, test.path); err != nil {
			t.Errorf("%q: %v", test.source, err)
		}
		if got, err := text.Expand(someValues(capturesOf(t, test.path, test.request))); got != test.want || err != nil {
			t.Errorf("%q is %q (%v), want %q", test.source, got, err, test.want)
		}
	}
}

// What other proxies take for a variable, and misspelt names, are mistakes.
func TestTextRefusesUnknownNames(t *testing.T) {
	room := Path{Exact, "/rooms/{room}"}
	for _, test := range []struct {
		path            Path
		source, unknown string
	}{
		{Path{}, "$remote_addr", "$remote_addr"},
		{Path{}, "a$host.b", "$host"},
		{Path{}, "$client", "$client"},
		{Path{}, "${client}", "${client}"},
		{Path{}, "${http_upgrade}", "${http_upgrade}"},
		{Path{}, "x %{HTTP_HOST} y", "%{HTTP_HOST}"},
		{Path{}, "%{HTTP:Upgrade}", "%{HTTP:Upgrade}"},
		{Path{}, "%{X-Foo}i", "%{X-Foo}"},
		{Path{}, "%{REMOTE_ADDR}s", "%{REMOTE_ADDR}"},
		{Path{}, "{remote_addr}", "{remote_addr}"},
		{Path{}, "%{remote_addr}", "{remote_addr}"},
		{Path{}, "{_}", "{_}"},
		{Path{}, "{room}", "{room}"},
		{room, "{rooms}", "{rooms}"},
		{Path{Prefix, "/a"}, "{room}", "{room}"},
	} {
		text, err := ParseText(test.source)
		if err == nil {
			err = CheckText(text, test.path)
		}
		var unknown *PlaceholderError
		if !errors.As(err, &unknown) || unknown.Source != test.unknown {
			t.Errorf("%q: %v, want unknown placeholder %q", test.source, err, test.unknown)
		}
	}
}

func TestCheckText(t *testing.T) {
	for _, test := range []struct {
		path         Path
		source, want string
	}{
		{Path{Exact, "/u/{user}"}, "{user}", `"{user}" is both a placeholder and a capture of the match: rename the capture`},
		{Path{Regex, "^/(a)"}, "$2", `"$2": path_regex ^/(a) has no such capture: want one of $1; a literal dollar is $$`},
		{Path{Regex, "^/a"}, "$1", `"$1": path_regex ^/a captures nothing; a literal dollar is $$`},
		{Path{Exact, "/u/{id}"}, "$0", `"$0": path /u/{id} has no such capture: want one of $1, {id}; a literal dollar is $$`},
		{Path{Exact, "/u/{id}"}, "${1} {id}", ""},
		{Path{Regex, "^("}, "{any}", ""}, // the pattern's own mistake
	} {
		text, err := ParseText(test.source)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := CheckText(text, test.path); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q in %s: %q, want %q", test.source, test.path.Pattern, got, test.want)
		}
	}
}

func TestTextRefusesControlBytes(t *testing.T) {
	text, err := ParseText("a {request_id}")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"a\r\nX: y", "\t", "\x00", "\x7f", "a%0Db", "%09"} {
		v := someValues(nil)
		v.RequestID = bad
		if got, err := text.Expand(v); err == nil {
			t.Errorf("%q passes: %q", bad, got)
		}
	}
}

func TestTextQuotesOnlyWhatIsPutIn(t *testing.T) {
	text, err := ParseText("<b>{host}</b>")
	if err != nil {
		t.Fatal(err)
	}
	got, err := text.ExpandWith(someValues(nil), strings.ToUpper)
	if got != "<b>A.EXAMPLE</b>" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLocations(t *testing.T) {
	for _, test := range []struct {
		to            string
		from          Path
		request, want string
	}{
		{"https://{host}/$1", Path{Regex, "^/(.*)$"}, "/x/y", "https://a.example/x/y?q=1"},
		{"https://{host}/", Path{Prefix, "/"}, "/x", "https://a.example/x?q=1"},
		{"https://{host}:8443", Path{Prefix, "/"}, "/x", "https://a.example:8443/x?q=1"},
		{"{scheme}://www.{host}/n", Path{}, "/x", "https://www.a.example/n?q=1"},
		{"/from/{host}?c={client}&i={request_id}", Path{Exact, "/x"}, "/x", "/from/a.example?c=192.0.2.7&i=f00&q=1"},
		{"/a$$b/$/$x1/{{", Path{Exact, "/x"}, "/x", "/a$b/$/$x1/%7B?q=1"},
	} {
		place, err := NewLocation(test.to, test.from)
		if err != nil {
			t.Errorf("%s: %v", test.to, err)
			continue
		}
		prefixLen := 0
		if test.from.Kind == Prefix {
			prefixLen = 1
		}
		if got, err := place.Make(someValues(capturesOf(t, test.from, test.request)), SentPath{test.request, prefixLen}, "?q=1"); got != test.want || err != nil {
			t.Errorf("%s: %q (%v), want %q", test.to, got, err, test.want)
		}
	}
	for _, to := range []string{"https://$host/", "/$uri", "https://%{HTTP_HOST}/", "/x%{REQUEST_URI}", "/x?%{QUERY_STRING}", "/?${args}"} {
		var unknown *PlaceholderError
		if _, err := NewLocation(to, Path{}); !errors.As(err, &unknown) {
			t.Errorf("%s: %v, want an unknown placeholder", to, err)
		}
	}
}

// A host that leaves no host, and a value that would add a header line, are refused.
func TestLocationsRefuse(t *testing.T) {
	for _, test := range []struct{ to, host, id string }{
		{"https://{host}/", "", ""},
		{"https://www.{host}/", "[2001:db8::1]", ""},
		{"/?{request_id}", "a.example", "a\r\nb"},
	} {
		place, err := NewLocation(test.to, Path{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := place.Make(&Values{Host: test.host, RequestID: test.id, Captures: new(Captures)}, SentPath{Text: "/x"}, ""); err == nil {
			t.Errorf("%s for %q: %q", test.to, test.host, got)
		}
	}
}

// FuzzText holds the parser to a slow and obvious reading: what is put in by placeholders
// apart, no byte of a text is lost, changed or made up.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "{client}", "{{client}}", "$$1$1${1}${x}", "%{A}%{client}", `{"a":1}`, "a{b}c${", "{room}$0", "\xff{\x00}"} {
		f.Add(seed)
	}
	names := Placeholders()
	f.Fuzz(func(t *testing.T, s string) {
		text, err := ParseText(s)
		var unknown *PlaceholderError
		if err != nil {
			if !errors.As(err, &unknown) || !strings.Contains(s, unknown.Source) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		// Without values, placeholders are empty and captures literal.
		got, err := text.Expand(&Values{})
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := slowly(s, names); got != want {
			t.Fatalf("%q is %q, want %q", s, got, want)
		}
	})
}

// slowly expands s with empty values, byte by byte.
func slowly(s string, names []string) string {
	var out strings.Builder
next:
	for i := 0; i < len(s); {
		if rest := s[i:]; strings.HasPrefix(rest, "{{") || strings.HasPrefix(rest, "$$") {
			out.WriteByte(s[i])
			i += 2
			continue
		}
		for _, name := range names {
			if strings.HasPrefix(s[i:], "{"+name+"}") {
				i += len(name) + 2
				continue next
			}
		}
		out.WriteByte(s[i])
		i++
	}
	return out.String()
}
