package routing

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClientBehindTrustedProxies(t *testing.T) {
	trusted := Trusted{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name string
		peer string
		xff  []string
		want string
	}{
		{"a stranger is believed nothing", "192.0.2.1", []string{"198.51.100.7"}, "192.0.2.1"},
		{"a trusted proxy without a word", "10.0.0.1", nil, "10.0.0.1"},
		{"a trusted proxy's client", "10.0.0.1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"what the client itself has said is not believed", "10.0.0.1", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		{"through a chain of trusted proxies", "10.0.0.1", []string{"198.51.100.7, 10.0.0.3", "10.0.0.2"}, "198.51.100.7"},
		{"all of the chain is trusted", "10.0.0.1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"garbage ends the walk", "10.0.0.1", []string{"198.51.100.7, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"an empty element ends the walk", "10.0.0.1", []string{"198.51.100.7, "}, "10.0.0.1"},
		{"so does an empty line", "10.0.0.1", []string{"198.51.100.7", ""}, "10.0.0.1"},
		{"and a blank one", "10.0.0.1", []string{"198.51.100.7", "10.0.0.2, ", "10.0.0.3"}, "10.0.0.3"},
		{"with a port", "10.0.0.1", []string{"198.51.100.7:4711"}, "198.51.100.7"},
		{"IPv6 in brackets with a port", "fd00::1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"IPv4 in IPv6", "10.0.0.1", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			for _, line := range tt.xff {
				h.Add("X-Forwarded-For", line)
			}
			if got := clientOf(t, trusted, tt.peer, h); got != tt.want {
				t.Errorf("client = %v, want %v", got, tt.want)
			}
		})
	}
}

func clientOf(t *testing.T, trusted Trusted, peer string, h http.Header) string {
	t.Helper()
	addr := netip.MustParseAddr(peer)
	got, err := trusted.Reported(addr, h)
	if err != nil {
		t.Error(err)
	}
	if len(got.For) > 0 {
		addr = got.For[0]
	}
	return addr.String()
}

// TestForwardedOfTrustedProxies: Forwarded is walked as X-Forwarded-* are.
func TestForwardedOfTrustedProxies(t *testing.T) {
	trusted := Trusted{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		header            string
		want, proto, host string
	}{
		{"Forwarded: for=198.51.100.7", "198.51.100.7", "", ""},
		{"Forwarded: FOR=198.51.100.7;Proto=HTTPS;hOsT=a.example", "198.51.100.7", "https", "a.example"},
		{"Forwarded: proto=https;for=\"198.51.100.7:80\"", "198.51.100.7", "https", ""},
		{"Forwarded: for=\"198.51.100.7:_hidden\"", "198.51.100.7", "", ""},
		{"Forwarded: for=198.51.100.7:80; proto=wss ;; by=_x;ext=\"a;b,c\\\"\"", "198.51.100.7", "https", ""},
		{"Forwarded: for=\"[2001:db8::7]:99\"", "2001:db8::7", "", ""},
		{"Forwarded: for=\"[2001:db8::7]\"", "2001:db8::7", "", ""},
		{"Forwarded: for=2001:db8::7", "2001:db8::7", "", ""},
		{"Forwarded: for=\"\\1\\98.51.100.7\"", "198.51.100.7", "", ""},
		{"Forwarded: for=\"::ffff:198.51.100.7\"", "198.51.100.7", "", ""},
		{"Forwarded: for=203.0.113.9;proto=http;host=evil, for=198.51.100.7;proto=https;host=a", "198.51.100.7", "https", "a"},
		{"Forwarded: for=198.51.100.7;proto=https;host=a, for=10.0.0.2;proto=http;host=b", "198.51.100.7", "https", "a"},
		{"Forwarded: for=198.51.100.7, for=10.0.0.2;proto=https;host=\"b:81\"", "198.51.100.7", "https", "b:81"},
		{"Forwarded: for=198.51.100.7\nForwarded: for=10.0.0.3, for=10.0.0.2", "198.51.100.7", "", ""},
		{"Forwarded: for=198.51.100.7, , for=10.0.0.2,", "198.51.100.7", "", ""},
		{"Forwarded: for=10.0.0.3, for=10.0.0.2", "10.0.0.3", "", ""},
		// What is no address, or not well formed, ends the walk.
		{"Forwarded: for=198.51.100.7;proto=http, for=_hidden;proto=https", "10.0.0.1", "https", ""},
		{"Forwarded: for=198.51.100.7, for=unknown, for=10.0.0.2", "10.0.0.2", "", ""},
		{"Forwarded: for=198.51.100.7, proto=https", "10.0.0.1", "https", ""},
		{"Forwarded: for=198.51.100.7, for=10.0.0.2;for=10.0.0.3", "10.0.0.1", "", ""},
		{"Forwarded: for=198.51.100.7, nonsense", "10.0.0.1", "", ""},
		{"Forwarded: for=198.51.100.7, for=\"\"", "10.0.0.1", "", ""},
		{"Forwarded: for=198.51.100.7, for=[10.0.0.2;proto=https", "10.0.0.1", "https", ""},
		{"Forwarded: for=198.51.100.7;proto=ftp;host=\"a/b\"", "198.51.100.7", "", ""},
		// A quote that a stranger opens does not reach into a proxy's element.
		{"Forwarded: for=\"203.0.113.9, for=198.51.100.7;proto=https", "198.51.100.7", "https", ""},
		{"Forwarded: for=\"203.0.113.9\\, for=\"[2001:db8::7]\"", "2001:db8::7", "", ""},
		{"Forwarded: for=203.0.113.9;x=\", for=\"10.0.0.2\"", "10.0.0.2", "", ""},

		{"X-Forwarded-Proto: https\nX-Forwarded-Host: a", "10.0.0.1", "https", "a"},
		{"X-Forwarded-For: 203.0.113.9, 198.51.100.7\nX-Forwarded-Proto: https, http\nX-Forwarded-Host: evil, a", "198.51.100.7", "http", "a"},
		{"X-Forwarded-For: 198.51.100.7, 10.0.0.2\nX-Forwarded-Proto: https, http", "198.51.100.7", "https", ""},
		{"X-Forwarded-For: 198.51.100.7, 10.0.0.2\nX-Forwarded-Proto: https", "198.51.100.7", "https", ""},
		{"X-Forwarded-For: 203.0.113.9, 198.51.100.7:_x", "198.51.100.7", "", ""},

		{"Forwarded: for=198.51.100.7;proto=https;host=\"A.example:443\"\nX-Forwarded-For: 198.51.100.7, 10.0.0.2\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example", "198.51.100.7", "https", "a.example"},
		{"Forwarded: proto=https\nX-Forwarded-For: 198.51.100.7", "198.51.100.7", "https", ""},
		{"Forwarded: for=198.51.100.7\nX-Forwarded-Proto: https", "198.51.100.7", "https", ""},
	} {
		got, err := trusted.Reported(netip.MustParseAddr("10.0.0.1"), headerOf(tt.header))
		if err != nil {
			t.Errorf("%q: %v", tt.header, err)
		}
		if client := clientOf(t, trusted, "10.0.0.1", headerOf(tt.header)); client != tt.want || got.Proto != tt.proto || got.Host != tt.host {
			t.Errorf("%q: client %v, proto %q, host %q, want %s, %q, %q", tt.header, client, got.Proto, got.Host, tt.want, tt.proto, tt.host)
		}
		if got := clientOf(t, trusted, "192.0.2.1", headerOf(tt.header)); got != "192.0.2.1" {
			t.Errorf("%q of a stranger: client %s", tt.header, got)
		}
	}
}

func TestContradictingProxies(t *testing.T) {
	trusted := Trusted{netip.MustParsePrefix("10.0.0.0/8")}
	for _, text := range []string{
		"Forwarded: for=198.51.100.7\nX-Forwarded-For: 198.51.100.8",
		"Forwarded: for=_hidden\nX-Forwarded-For: 198.51.100.8",
		"Forwarded: for=198.51.100.7\nX-Forwarded-For: unknown",
		"Forwarded: for=198.51.100.7\nX-Forwarded-For: 198.51.100.7, 10.0.0.2, unknown",
		"Forwarded: for=198.51.100.7;proto=http\nX-Forwarded-Proto: https",
		"Forwarded: for=198.51.100.7;host=a\nX-Forwarded-Host: b",
		"Forwarded: nonsense\nX-Forwarded-For: 198.51.100.7",
	} {
		if got, err := trusted.Reported(netip.MustParseAddr("10.0.0.1"), headerOf(text)); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
		if _, err := trusted.Reported(netip.MustParseAddr("192.0.2.1"), headerOf(text)); err != nil {
			t.Errorf("%q of a stranger: %v", text, err)
		}
	}
}

func headerOf(text string) http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}
