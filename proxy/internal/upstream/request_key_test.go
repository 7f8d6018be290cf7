package upstream

import (
	"hash/fnv"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
)

// The captures of the room below are those that a pool is asked with.
var _ Captures = (*match.Captures)(nil)

type roomCapture struct{}

func (roomCapture) Index(i int) (string, bool) {
	if i == 1 {
		return "numbered", true
	}
	return "", false
}
func (roomCapture) Get(n string) (string, bool) {
	if n == "room" {
		return "named", true
	}
	return "", false
}

func TestKeys(t *testing.T) {
	request := &http.Request{
		Host: "chat.example.com",
		URL:  &url.URL{RawQuery: "a=%zz&a=x+y%2F&%62=1&c"},
		Header: http.Header{
			"X-User": {"ann", "bob"},
			"Cookie": {"one=1; two = \"2\" ;three", "four=a=b; one=11"},
		},
	}
	c := Choice{Client: netip.MustParseAddr("2001:db8::1"), Request: request, Captures: roomCapture{}}
	for _, tt := range []struct {
		key  RequestKey
		want string // "" is none
	}{
		{RequestKey{}, ""},
		{RequestKey{FromClient, ""}, "2001:db8::1"},
		{RequestKey{FromHeader, "x-user"}, "ann"},
		{RequestKey{FromHeader, "host"}, "chat.example.com"},
		{RequestKey{FromHeader, "X-Room"}, ""},
		{RequestKey{FromCookie, "one"}, "1"},
		{RequestKey{FromCookie, "two"}, "2"},
		{RequestKey{FromCookie, "three"}, ""},
		{RequestKey{FromCookie, "four"}, "a=b"},
		{RequestKey{FromCookie, "One"}, ""},
		{RequestKey{FromQuery, "a"}, "x y/"},
		{RequestKey{FromQuery, "b"}, "1"},
		{RequestKey{FromQuery, "c"}, ""},
		{RequestKey{FromCapture, "1"}, "numbered"},
		{RequestKey{FromCapture, "2"}, ""},
		{RequestKey{FromCapture, "room"}, "named"},
		{RequestKey{FromCapture, "hall"}, ""},
	} {
		got, ok := tt.key.text(c)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%+v: got %q, %v, want %q", tt.key, got, ok, tt.want)
		}
		if _, ok := tt.key.hash(c); ok != (tt.want != "") {
			t.Errorf("%+v: a hash: %v, want %v", tt.key, ok, tt.want != "")
		}
		if got, ok := tt.key.text(Choice{}); ok {
			t.Errorf("%+v: found %q in nothing", tt.key, got)
		}
	}
}

// TestHashIsForEver: proxies of different releases must agree, so the numbers
// themselves are part of the contract.
func TestHashIsForEver(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1")
	a, _ := RequestKey{FromClient, ""}.hash(Choice{Client: four})
	b, _ := RequestKey{FromClient, ""}.hash(Choice{Client: six})
	if a != b {
		t.Errorf("one address in two forms: %x and %x", a, b)
	}
	for text, want := range map[string]uint64{"": 0xc3817c016ba4ff30, "a": 0x5f29c2aadd9b8527, "room 1": 0x175b14b3f187298e} {
		if got := hashText(text); got != want {
			t.Errorf("%q: %#x, want %#x", text, got, want)
		}
		known := fnv.New64a()
		known.Write([]byte(text))
		if got := hashText(text); got != mix(known.Sum64()) {
			t.Errorf("%q: not the FNV-1a of the standard library", text)
		}
	}
}

// FuzzKeys: what clients send never breaks the reading of a key, and net/http
// reads the same cookie and parameter where it reads one at all.
func FuzzKeys(f *testing.F) {
	f.Add("a=1; b=\"2\"", "a=1&b=%32")
	f.Add("a==;=;;", "a&=&&%=")
	f.Fuzz(func(t *testing.T, cookie, query string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{"Cookie": {cookie}}}
		c := Choice{Request: r}
		gotCookie, _ := RequestKey{FromCookie, "a"}.text(c)
		if known, err := r.Cookie("a"); err == nil && strings.Trim(known.Value, " \t") != strings.Trim(gotCookie, " \t") {
			t.Errorf("cookie %q: got %q, net/http has %q", cookie, gotCookie, known.Value)
		}
		gotQuery, _ := RequestKey{FromQuery, "a"}.text(c)
		if known, err := url.ParseQuery(query); err == nil && known.Get("a") != gotQuery {
			t.Errorf("query %q: got %q, net/url has %q", query, gotQuery, known.Get("a"))
		}
	})
}
