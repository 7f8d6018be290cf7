package proxy

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClientBehindTrustedProxies(t *testing.T) {
	trusted := trust{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
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
			if got := trusted.client(netip.MustParseAddr(tt.peer), h); got.String() != tt.want {
				t.Errorf("client = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPeerAddr(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:4711":          "192.0.2.1",
		"[::ffff:192.0.2.1]:4711": "192.0.2.1",
		"[fe80::1%eth0]:4711":     "fe80::1",
		"@":                       "invalid IP",
		"":                        "invalid IP",
	} {
		if got := peerAddr(remote).Addr().String(); got != want {
			t.Errorf("peerAddr(%q) = %v, want %v", remote, got, want)
		}
	}
}
