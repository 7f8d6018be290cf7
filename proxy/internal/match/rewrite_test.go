package match

import "testing"

// carry routes path?query through one rule and returns what a backend gets.
func carry(t *testing.T, from Path, target, targetQuery, path, query string) string {
	t.Helper()
	tree, problems := Compile([]Rule{{Name: "r", Path: from}})
	if len(problems) > 0 {
		t.Fatalf("compiling %v: %s", from, problems[0].Text)
	}
	var captures Captures
	index := tree.Lookup(&Request{Method: "GET", Path: path}, &captures)
	if index < 0 {
		t.Fatalf("%v does not match %q", from, path)
	}
	uri, err := NewRewrite(target, targetQuery, from)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := tree.PathFor(index, &Request{Path: path}, path, PathRules{}, &captures)
	if err != nil {
		t.Fatal(err)
	}
	newPath, newQuery, err := uri.Apply(sent, query, &captures)
	if err != nil {
		return "error: " + err.Error()
	}
	return newPath + newQuery
}

func TestPrefixTargets(t *testing.T) {
	tests := []struct{ prefix, target, path, want string }{
		{"/ws2/", "/", "/ws2/", "/"},
		{"/ws2/", "/", "/ws2/a/b", "/a/b"},
		{"/ws2/", "/x", "/ws2/a", "/x/a"},
		{"/ws2/", "/x/", "/ws2/a", "/x/a"},
		{"/ws2/", "/x", "/ws2/", "/x/"},
		{"/ws2/", "/x/", "/ws2/a/", "/x/a/"},
		{"/a", "/x", "/a", "/x"},
		{"/a", "/x", "/a/b", "/x/b"},
		{"/a", "/x/", "/a", "/x/"},
		{"/a", "/x/", "/a/b", "/x/b"},
		{"/a", "/", "/a", "/"},
		{"/a", "/", "/a/", "/"},
		{"/a", "/", "/a/b", "/b"},
		{"/", "/", "/a", "/a"},
		{"/", "/x", "/a", "/x/a"},
		{"/", "/x", "/", "/x/"},
		{"/", "/x/", "/", "/x/"},
		{"/a", "", "/a/b", "/a/b"}, // no path in the target: the request's own
	}
	for _, tt := range tests {
		got := carry(t, Path{Kind: Prefix, Pattern: tt.prefix}, tt.target, "", tt.path, "")
		if got != tt.want {
			t.Errorf("%s -> %s: %s goes to %q, want %q", tt.prefix, tt.target, tt.path, got, tt.want)
		}
	}
}

func TestCapturingTargets(t *testing.T) {
	tests := []struct {
		kind               PathKind
		pattern, target, q string
		path, query, want  string
	}{
		{Regex, "^/(myApp/ws)$", "/$1", "", "/myApp/ws", "", "/myApp/ws"},
		{Regex, "^/v([0-9]+)/(.*)", "/${1}0/$2", "", "/v2/a/b", "?k=v", "/20/a/b?k=v"},
		{Exact, "/rooms/{room}/ws", "/r/{room}", "", "/rooms/7/ws", "", "/r/7"},
		{Exact, "/rooms/{room}/ws", "/r", "room={room}", "/rooms/a%26b/ws", "?x=1", "/r?room=a%26b&x=1"},
		{Exact, "/rooms/{room}/ws", "/r/{room}", "", "/rooms/a%3Fb/ws", "", "/r/a%3Fb"},
		{Exact, "/a", "/b$$c", "", "/a", "", "/b$c"},
		{Exact, "/a", "", "", "/a", "?q", "/a?q"},
		{Exact, "/a", "", "", "/a", "?", "/a?"},
		{Exact, "/a", "/b", "", "/a", "??", "/b??"},
		{Exact, "/a", "/b", "x", "/a", "?", "/b?x"},
	}
	for _, tt := range tests {
		got := carry(t, Path{Kind: tt.kind, Pattern: tt.pattern}, tt.target, tt.q, tt.path, tt.query)
		if got != tt.want {
			t.Errorf("%s -> %s?%s: %s goes to %q, want %q", tt.pattern, tt.target, tt.q, tt.path, got, tt.want)
		}
	}
}

func TestSplitLocation(t *testing.T) {
	tests := []struct{ to, origin, path, query string }{
		{"https://a.example/x?y=1", "https://a.example", "/x", "y=1"},
		{"https://a.example", "https://a.example", "", ""},
		{"https://a.example?y=1", "https://a.example", "", "y=1"},
		{"/x", "", "/x", ""},
		{"/x?u=http://b/", "", "/x", "u=http://b/"},
	}
	for _, tt := range tests {
		origin, path, query := SplitLocation(tt.to)
		if origin != tt.origin || path != tt.path || query != tt.query {
			t.Errorf("SplitLocation(%q) = %q, %q, %q, want %q, %q, %q", tt.to, origin, path, query, tt.origin, tt.path, tt.query)
		}
	}
}

// A capture may begin with a slash; the redirect must stay on this host all the
// same.
func TestARedirectStaysOnThisHost(t *testing.T) {
	tree, problems := Compile([]Rule{{Name: "r", Path: Path{Kind: Regex, Pattern: "^/go(.*)"}}})
	if len(problems) > 0 {
		t.Fatal(problems[0].Text)
	}
	place, err := NewLocation("/$1", Path{Kind: Regex, Pattern: "^/go(.*)"})
	if err != nil {
		t.Fatal(err)
	}
	var captures Captures
	tree.Lookup(&Request{Method: "GET", Path: "/go/evil.example"}, &captures)
	if got, err := place.Make(&Values{Host: "h", Captures: &captures}, SentPath{Text: "/go/evil.example"}, ""); got != "/evil.example" {
		t.Errorf("location %q (%v), want /evil.example", got, err)
	}
}
