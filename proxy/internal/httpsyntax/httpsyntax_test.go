package httpsyntax

import (
	"strings"
	"testing"
)

func TestIsToken(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "X-1": true, "!#$%&'*+-.^_`|~": true,
		"": false, "a b": false, "a/b": false, "a:": false, "\xe9": false, "\u212a": false, "a\x00": false, "a\x7f": false,
	} {
		if IsToken(s) != want || IsToken([]byte(s)) != want {
			t.Errorf("IsToken(%q) = %v, want %v", s, !want, want)
		}
	}
}

func TestHasToken(t *testing.T) {
	lines := []string{"keep-alive ,, \tUpgrade\t", "", ",x"}
	for token, want := range map[string]bool{"upgrade": true, "KEEP-ALIVE": true, "X": true, "keep": false, "upgrade,x": false, "\u212aeep-alive": false} {
		if got := HasToken(lines, token); got != want {
			t.Errorf("HasToken(%q) = %v, want %v", token, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { HasToken(lines, "upgrade") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestCaseIsASCII: letters that fold to ASCII ones are none.
func TestCaseIsASCII(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"WebSocket", "websocket", true}, {"", "", true}, {"a", "ab", false}, {"[", "{", false},
		{"web\u017focket", "websocket", false}, {"\u212a", "k", false}, {"\u00c9", "\u00e9", false},
	} {
		if EqualFold(tt.a, tt.b) != tt.want || EqualFold([]byte(tt.b), tt.a) != tt.want {
			t.Errorf("EqualFold(%q, %q), want %v", tt.a, tt.b, tt.want)
		}
	}
	if got, want := Lower("A\u212aB\u00c9z@[Z"), "a\u212ab\u00c9z@[z"; got != want {
		t.Errorf("Lower: %q, want %q", got, want)
	}
}

func TestNeverTunnelled(t *testing.T) {
	for protocol, want := range map[string]bool{
		"h2c": true, "HTTP/2.0": true, "tls": true, "TLS/1.0": true, "h2": true,
		"websocket": false, "h2cx": false, "": false, "/h2c": false,
	} {
		if got := NeverTunnelled(protocol); got != want {
			t.Errorf("NeverTunnelled(%q) = %v, want %v", protocol, got, want)
		}
	}
}

func TestCutPort(t *testing.T) {
	for authority, want := range map[string][2]string{
		"a": {"a", ""}, "a:1": {"a", "1"}, "a:": {"a", ""}, "": {"", ""}, ":1": {"", "1"},
		"[::1]": {"[::1]", ""}, "[::1]:80": {"[::1]", "80"}, "::1": {":", "1"}, "a:1:2": {"a:1", "2"}, "[::1": {"[:", "1"},
	} {
		host, port, found := CutPort(authority)
		if host != want[0] || port != want[1] || found != (len(host) < len(authority)) {
			t.Errorf("CutPort(%q) = %q, %q, %v, want %q", authority, host, port, found, want)
		}
	}
}

func TestIsPort(t *testing.T) {
	for s, want := range map[string]bool{
		"1": true, "080": true, "65535": true, "": false, "0": false, "65536": false, "000080": false, "+80": false, "80x": false,
	} {
		if got := IsPort(s); got != want {
			t.Errorf("IsPort(%q) = %v, want %v", s, got, want)
		}
	}
}

// hosts are what CheckHost accepts, or a part of its error.
var hosts = map[string]string{
	"a": "", "A-1_b.example": "", "example.com.": "", "10.0.0.1": "", "xn--caf-dma.fr": "", "[::1]": "", "[fe80::a]": "",
	strings.Repeat("a", 63): "", strings.Repeat("a.", 127): "",
	"": "empty host", ".": "empty label", ".a": "empty label", "a..b": "empty label", "a..": "empty label",
	"a:1": "':'", "user@a": "'@'", "a/b": "'/'", "a%41": "'%'", "a b": "' '", "a\x00": `'\x00'`,
	"caf\u00e9.fr": "'\u00e9' is not allowed in a host: write", "\u212a": "xn--", "\xff": "xn--",
	strings.Repeat("a", 64): "63", strings.Repeat("a.", 127) + "a": "253",
	"[": "IPv6", "[]": "IPv6", "[::1": "IPv6", "[::1]x": "IPv6", "[fe80::1%eth0]": "zone", "[1.2.3.4]": "IPv6",
}

func TestCheckHost(t *testing.T) {
	for host, want := range hosts {
		err := CheckHost(host)
		if again := CheckHost([]byte(host)); (again == nil) != (err == nil) {
			t.Errorf("CheckHost(%q): %v as bytes, %v as text", host, again, err)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckHost(%q) = %v, want %q", host, err, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { CheckHost("chat.example.com") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
