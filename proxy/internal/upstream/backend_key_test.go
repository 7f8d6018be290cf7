package upstream

import "testing"

func TestIdentity(t *testing.T) {
	for _, tt := range []struct {
		id                               BackendKey
		network, address, hostname, host string
	}{
		{BackendKey{"p", "ws", "h:9000"}, "tcp", "h:9000", "h", "h:9000"},
		{BackendKey{"p", "ws", "h"}, "tcp", "h:80", "h", "h"},
		{BackendKey{"p", "wss", "h"}, "tcp", "h:443", "h", "h"},
		{BackendKey{"p", "https", "h:"}, "tcp", "h:443", "h", "h:"},
		{BackendKey{"p", "http", "[::1]:81"}, "tcp", "[::1]:81", "::1", "[::1]:81"},
		{BackendKey{"p", "http", "[::1]"}, "tcp", "[::1]:80", "::1", "[::1]"},
		{BackendKey{"p", "unix+ws", "/run/a.sock"}, "unix", "/run/a.sock", "/run/a.sock", "localhost"},
	} {
		id := tt.id
		if id.network() != tt.network || id.address() != tt.address || id.Host() != tt.host {
			t.Errorf("%v: got %s %s, Host %s, want %s %s, Host %s", id, id.network(), id.address(), id.Host(), tt.network, tt.address, tt.host)
		}
		if got := id.hostname(); got != tt.hostname {
			t.Errorf("%v: host name %q, want %q", id, got, tt.hostname)
		}
	}
	if got := (BackendKey{"chat", "unix+ws", "/run/a.sock"}).String(); got != "chat unix+ws:/run/a.sock" {
		t.Errorf("got %q", got)
	}
}
