package handler

import (
	"testing"
)

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
