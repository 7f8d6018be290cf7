package match

import (
	"errors"
	"strings"
	"testing"
)

var (
	asMatched = PathRules{}
	encoded   = PathRules{EncodedSlashes: true}
	asItCame  = PathRules{EncodedSlashes: true, KeepSlashes: true}
)

// send routes raw through one rule to a target's path, and returns the path sent.
func send(t *testing.T, from Path, target, raw string, rules PathRules) (string, error) {
	t.Helper()
	path, err := NormalizePath(raw)
	if err != nil {
		t.Fatal(err)
	}
	tree := mustCompile(t, []Rule{{Path: from}})
	r, c := &Request{Method: "GET", Path: path}, Captures{}
	if tree.Lookup(r, &c) < 0 {
		t.Fatalf("%v does not match %s", from, raw)
	}
	c.Index(0) // a pool may have looked
	sent, err := tree.PathFor(0, r, raw, rules, &c)
	if err != nil {
		return "", err
	}
	rewrite, err := NewRewrite(target, "", from)
	if err != nil {
		t.Fatal(err)
	}
	path, _, err = rewrite.Apply(sent, "", &c)
	return path, err
}

func TestPathFor(t *testing.T) {
	exact, prefix, regex := path(Exact), path(Prefix), path(Regex)
	for _, test := range []struct {
		from        Path
		target, raw string
		rules       PathRules
		want        string
		err         error
	}{
		{prefix("/"), "", "/a//b", asMatched, "/a/b", nil},
		{prefix("/"), "", "/a%2fb", asMatched, "", errEncodedSlash},
		{prefix("/"), "", "/a%2Fb", PathRules{KeepSlashes: true}, "", errEncodedSlash},
		{prefix("/"), "", "/a%2Fb/../c", asMatched, "", errEncodedSlash}, // although it is gone
		{prefix("/"), "", "/a%252Fb", asMatched, "/a%252Fb", nil},
		{exact("/a%2Fb"), "/c", "/a%2Fb", asMatched, "", errEncodedSlash},

		{prefix("/"), "", "/a%2fb", encoded, "/a%2Fb", nil},
		{prefix("/"), "", "/a%2F..%2f//b", encoded, "/a%2F..%2F/b", nil},
		{prefix("/a/"), "/b/", "/a/%2F/c", encoded, "/b/%2F/c", nil},
		{prefix("/a%2fb"), "/b", "/a%2Fb/c", encoded, "/b/c", nil},
		{exact("/{x}/ws"), "/r/{x}", "/a%2Fb/ws", encoded, "/r/a%2Fb", nil},
		{regex("^/([^/]+)/(.*)$"), "/$2/$1", "/a%2fb/c%2Fd", encoded, "/c%2Fd/a%2Fb", nil},
		{exact("/a"), "/x%2Fy", "/a", asMatched, "/x%2Fy", nil}, // the author's own

		{Path{}, "", "/proxy/https://h/x", asItCame, "/proxy/https://h/x", nil},
		{prefix("/"), "", "//a", asItCame, "//a", nil},
		{prefix("/"), "", "//", asItCame, "//", nil},
		{prefix("/"), "", "/a/%7e%2f%c3%A9//", asItCame, "/a/%7e%2f%c3%A9//", nil},
		{prefix("/"), "", "/a/%7e", asItCame, "/a/%7e", nil},
		{prefix("/"), "", "/x/http://[::1]:1/{a|b}", asItCame, "/x/http://[::1]:1/%7Ba%7Cb%7D", nil},
		{prefix("/"), "", "/a/../b", asItCame, "/b", nil},
		{prefix("/"), "", "/a/%2e/b%7e", asItCame, "/a/b~", nil},
		{prefix("/"), "", "/a//../b", asItCame, "", errSlashesDots},
		{prefix("/"), "", "/a/..//b", asItCame, "", errSlashesDots},
		{prefix("/"), "", "//a/%2E%2e", asItCame, "", errSlashesDots},
		{prefix("/"), "", "/a//...", asItCame, "/a//...", nil},

		{prefix("/a"), "/b", "/a//c", asItCame, "/b//c", nil},
		{prefix("/a"), "/b/", "/a//c", asItCame, "/b//c", nil},
		{prefix("/a/"), "/b", "/a//c", asItCame, "/b//c", nil},
		{prefix("/a/"), "/", "/%61//c", asItCame, "//c", nil},
		{prefix("/"), "/b", "//c", asItCame, "/b//c", nil},
		{prefix("/a"), "/b", "/%61", asItCame, "/b", nil},
		{prefix("/a"), "", "//a/c", asItCame, "", errSlashWithin},
		{prefix("/a/b"), "", "/a//b", asItCame, "", errSlashWithin},
		{prefix("/a/b/"), "/x", "/a//b/", asItCame, "", errSlashWithin},
		{exact("/a/b"), "", "/a//b", asItCame, "", errSlashWithin},
		{exact("/a/"), "", "/a//", asItCame, "", errSlashWithin},
		{exact("/a/{x}"), "", "//a/b", asItCame, "", errSlashWithin},
		{exact("/a/{x}"), "/{x}", "/%61/%62", asItCame, "/b", nil},

		{regex("^/p/"), "", "/p/ws://h", asItCame, "/p/ws://h", nil},
		{regex("^/p/(.*)$"), "/f/$1/end", "/p/ws://%7eh//", asItCame, "/f/ws://~h///end", nil},
		{regex("^/p/(.*)$"), "/f/$1", "/p/ws://h", asMatched, "/f/ws:/h", nil},
		{regex("^/p/a$"), "", "/p//a", asItCame, "", errSlashWithin},
		{regex("^/p/(.*)(x?)$"), "/f/$2/$1", "/p/a", asItCame, "/f//a", nil},
	} {
		got, err := send(t, test.from, test.target, test.raw, test.rules)
		if got != test.want || !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("%v to %q: %s is sent as %q, %v; want %q, %v", test.from, test.target, test.raw, got, err, test.want, test.err)
		}
	}
}

// Captures of a path that is kept make no dot segment either.
func TestPathForCapturesMakeNoDots(t *testing.T) {
	for pattern, raw := range map[string]string{"^/p/x(.)$": "/p/x.", "^/p/+x(.)$": "/p//x."} {
		if got, err := send(t, Path{Regex, pattern}, "/f/$1/b", raw, asItCame); err == nil {
			t.Errorf("%s is sent as %s", raw, got)
		}
	}
}

// FuzzPathFor holds what a backend may rely on, whatever a route allows.
func FuzzPathFor(f *testing.F) {
	for _, test := range normalPaths {
		f.Add(test.raw)
	}
	for _, raw := range []string{"/a//..", "//a/.", "/p//%2e%2e", "/p/ws://x", "/p%2F..%2Fa", "/%70//a", "/p//{", "//p/a"} {
		f.Add(raw)
	}
	patterns := []Path{{}, {Prefix, "/"}, {Prefix, "/p"}, {Prefix, "/p/"}, {Exact, "/p/{x}"}, {Regex, "^/p/+(.*)$"}, {Regex, "^/[^/]+/[^/]*$"}}
	var trees []*Tree
	for _, p := range patterns {
		tree, _ := Compile([]Rule{{Path: p}})
		trees = append(trees, tree)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, err := NormalizePath(raw)
		if err != nil {
			return
		}
		for i, tree := range trees {
			r := &Request{Method: "GET", Path: path}
			if tree.Lookup(r, nil) < 0 {
				continue
			}
			for _, rules := range []PathRules{asMatched, encoded, {KeepSlashes: true}, asItCame} {
				sent, err := tree.PathFor(0, r, raw, rules, nil)
				if err != nil {
					continue
				}
				before, after := sent.Text[:sent.Prefix], sent.Text[sent.Prefix:]
				if before != "" && !strings.HasSuffix(before, "/") && after != "" && !strings.HasPrefix(after, "/") {
					t.Errorf("%v: the prefix of %q ends within a segment, at %d", patterns[i], sent.Text, sent.Prefix)
				}
				// A reader that merges and one that does not, in either order, see one path.
				again, err := NormalizePath(sent.Text)
				if again != path || err != nil {
					t.Errorf("%v, %+v: %q is matched as %q and sent as %q, which is %q, %v", patterns[i], rules, raw, path, sent.Text, again, err)
				}
				for _, segment := range strings.Split(sent.Text, "/") {
					if s := strings.ReplaceAll(strings.ToLower(segment), "%2e", "."); s == "." || s == ".." {
						t.Errorf("%v, %+v: %q is sent as %q, with a dot segment", patterns[i], rules, raw, sent.Text)
					}
				}
				count := func(s string) int { return strings.Count(strings.ToLower(s), "%2f") }
				switch {
				case !rules.EncodedSlashes && count(raw) > 0:
					t.Errorf("%v, %+v: %q has an encoded slash and is sent", patterns[i], rules, raw)
				case count(sent.Text) != count(path):
					t.Errorf("%v, %+v: %q is matched as %q and sent as %q: an encoded slash came or went", patterns[i], rules, raw, path, sent.Text)
				case !rules.KeepSlashes && sent.Text != path:
					t.Errorf("%v, %+v: %q is matched as %q and sent as %q", patterns[i], rules, raw, path, sent.Text)
				case !patternMatches(tree, sent.Text):
					t.Errorf("%v, %+v: %q is sent as %q, which the route does not match", patterns[i], rules, raw, sent.Text)
				}
			}
		}
	})
}

// patternMatches reports whether the tree's one pattern matches a path with its
// slashes as they are.
func patternMatches(tree *Tree, path string) bool {
	kept, err := rewritePath(path, keepSlashes)
	return err == nil && tree.byIndex[0].path.matches(kept)
}
