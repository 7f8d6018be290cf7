package match

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
)

func TestExplain(t *testing.T) {
	field := func(op FieldOp, value string) []Field { return []Field{{Name: "x-room", Op: op, Value: value}} }
	r := &Request{
		Listener: "web", Method: "PUT", Host: "h.example.com", Path: "/chat", Query: "a=1&b=%zz",
		Header: http.Header{"X-Room": {"1", "2"}, "Sec-Websocket-Protocol": {"v1, v2"}, "Cookie": {"c=3"}},
		Client: netip.MustParseAddr("192.0.2.1"), Upgrade: []string{"websocket"},
	}
	bare := &Request{Method: "GET", Path: "/chat"}
	for _, test := range []struct {
		request *Request
		rule    Rule
		want    string
	}{
		{r, Rule{}, ""},
		{r, Rule{Host: "*.org"}, "host *.org does not match h.example.com"},
		{bare, Rule{Host: "*.org"}, "host *.org is asked for, and the request names none"},
		{r, Rule{Path: Path{Exact, "/rooms/{room}"}}, "path /rooms/{room} does not match /chat"},
		{r, Rule{Path: Path{Prefix, "/ws2/"}}, "path_prefix /ws2/ does not match /chat"},
		{r, Rule{Path: Path{Prefix, "/chat/"}}, "path_prefix /chat/ does not match /chat: its last slash is missing"},
		{r, Rule{Path: Path{Regex, "^/ws"}}, "path_regex ^/ws does not match /chat"},
		{r, Rule{Listener: "secure"}, "listener secure is not web"},
		{bare, Rule{Listener: "secure"}, "listener secure is asked for, and the request names none"},
		{r, Rule{Methods: []string{"POST", "GET"}}, "method PUT is not one of GET, HEAD, POST"},
		{r, Rule{Upgrade: "none"}, "upgrade none does not match Upgrade: websocket"},
		{r, Rule{Upgrade: "other"}, "upgrade other does not match Upgrade: websocket"},
		{bare, Rule{Upgrade: "any"}, "upgrade any: the request has no Upgrade header"},
		{r, Rule{Subprotocol: "v3"}, "subprotocol v3 is not among those offered: v1, v2"},
		{bare, Rule{Subprotocol: "v3"}, "subprotocol v3: the request offers none"},
		{r, Rule{Headers: field(Equal, "1")}, `header X-Room is "2", not "1" (every one of its values must satisfy the condition)`},
		{r, Rule{Headers: field(Matches, "^1")}, `header X-Room is "2", which the regex "^1" does not match (every one of its values must satisfy the condition)`},
		{bare, Rule{Headers: field(Present, "")}, `header X-Room is absent`},
		{r, Rule{Query: []Field{{Name: "a", Value: "2"}}}, `query parameter a is "1", not "2"`},
		{r, Rule{Query: []Field{{Name: "b", Op: Matches, Value: "z"}}}, `query parameter b has a bad escape`},
		{r, Rule{Cookies: []Field{{Name: "c", Value: "2"}}}, `cookie c is "3", not "2"`},
		{bare, Rule{Cookies: []Field{{Name: "c", Value: "2"}}}, `cookie c is absent`},
		{r, Rule{Clients: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "client 192.0.2.1 is not in 10.0.0.0/8"},
		{bare, Rule{Clients: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "client 10.0.0.0/8 is asked for, and the request names no address"},
		{r, Rule{Clients: []netip.Prefix{
			netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16"), netip.MustParsePrefix("10.3.0.0/16"), netip.MustParsePrefix("10.4.0.0/16"),
		}}, "client 192.0.2.1 is not in 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16 and 1 more"},
	} {
		got := mustCompile(t, []Rule{test.rule}).Explain(test.request)[0]
		if got.Reason != test.want || got.Matches != (test.want == "") {
			t.Errorf("Explain of %+v: %+v, want %q", test.rule, got, test.want)
		}
	}
}

func TestExplainOrder(t *testing.T) {
	tree := mustCompile(t, []Rule{
		{Name: "site", Path: Path{Prefix, "/"}},
		{Name: "chat", Path: Path{Exact, "/chat"}},
		{Name: "first", Priority: 1, Path: Path{Prefix, "/x"}},
		{Name: "chats", Path: Path{Prefix, "/chat"}},
	})
	got := ""
	for _, v := range tree.Explain(&Request{Path: "/chat"}) {
		got += fmt.Sprintf("%d %s matches=%v wins=%v %s\n", v.Index, v.Rule, v.Matches, v.Wins, v.Reason+v.Behind)
	}
	want := `2 first matches=false wins=false path_prefix /x does not match /chat
1 chat matches=true wins=true 
3 chats matches=true wins=false path goes before path_prefix
0 site matches=true wins=false path goes before path_prefix
`
	if got != want {
		t.Errorf("Explain:\n%swant\n%s", got, want)
	}
}

// TestExplainNamesTheRule holds that every rule of precedence has words of its own.
func TestExplainNamesTheRule(t *testing.T) {
	r := &Request{Method: "GET", Host: "a.b.c", Path: "/a/b", Header: http.Header{}}
	exact, prefix, regex := path(Exact), path(Prefix), path(Regex)
	for _, test := range []struct {
		winner, other Rule
		want          string
	}{
		{Rule{Priority: -1}, Rule{Priority: -2, Path: exact("/a/b")}, "its priority is -1"},
		{Rule{Host: "a.b.c"}, Rule{Host: "*.b.c", Path: exact("/a/b")}, "its host, a.b.c, is more specific"},
		{Rule{Host: "*.b.c"}, Rule{Host: "*.c"}, "its host, *.b.c, is more specific"},
		{Rule{Path: exact("/{x}/{y}")}, Rule{Path: regex("^/a/b$")}, "path goes before path_regex"},
		{Rule{Path: regex("^/")}, Rule{Path: prefix("/a/b")}, "path_regex goes before path_prefix"},
		{Rule{Path: prefix("/")}, Rule{Methods: []string{"GET"}}, "path_prefix goes before no path at all"},
		{Rule{Path: exact("/a/{y}")}, Rule{Path: exact("/{x}/b")}, "segment 1 of its path is a literal, not a capture"},
		{Rule{Path: exact("/{x}/b")}, Rule{Path: exact("/{x}/{y}")}, "segment 2 of its path is a literal, not a capture"},
		{Rule{Path: regex("^/a/.")}, Rule{Path: regex("^/[a-z]/[a-z]$")}, "its path_regex begins with the longer literal, /a/"},
		{Rule{Path: prefix("/a/")}, Rule{Path: prefix("/a")}, "its path_prefix is longer"},
		{Rule{Path: prefix("/a"), Methods: []string{"GET"}}, Rule{Path: prefix("/a")}, "it has more conditions, 1"},
	} {
		verdicts := mustCompile(t, []Rule{test.other, test.winner}).Explain(r)
		if winner, other := verdicts[0], verdicts[1]; winner.Index != 1 || !winner.Wins || winner.Behind != "" || other.Behind != test.want {
			t.Errorf("%+v over %+v: %+v, want %q", test.winner, test.other, verdicts, test.want)
		}
	}
}
