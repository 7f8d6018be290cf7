package wsproto

import (
	"net/http"
	"slices"
	"testing"
)

func TestAttempts(t *testing.T) {
	tests := []struct {
		name       string
		rule       Attempts
		minor      int
		connection string
		upgrade    string
		want       string
	}{
		{"a WebSocket", NewAttempts("websocket", nil), 1, "Upgrade", "websocket", "websocket"},
		{"as the client spelled it", NewAttempts("websocket", nil), 1, "keep-alive, upgrade", "WebSocket", "WebSocket"},
		{"HTTP/1.0 knows no upgrade", NewAttempts("websocket", nil), 0, "Upgrade", "websocket", ""},
		{"no Connection token", NewAttempts("websocket", nil), 1, "", "websocket", ""},
		{"another protocol", NewAttempts("websocket", nil), 1, "Upgrade", "mqtt", ""},
		{"the first that is allowed", NewAttempts("list", []string{"MQTT", "websocket"}), 1, "Upgrade", "spdy, mqtt, websocket", "mqtt"},
		{"none of the list", NewAttempts("list", []string{"mqtt"}), 1, "Upgrade", "mqttx", ""},
		{"any takes it", NewAttempts("any", nil), 1, "Upgrade", "whatever", "whatever"},
		{"any, but no h2c", NewAttempts("any", nil), 1, "Upgrade", "h2c", ""},
		{"any, but no TLS", NewAttempts("any", nil), 1, "Upgrade", "TLS/1.3", ""},
		{"any, but no HTTP", NewAttempts("any", nil), 1, "Upgrade", "HTTP/3", ""},
		{"any, but no HTTP/2 by another name", NewAttempts("any", nil), 1, "Upgrade", "h2, h2c/1, tls, http", ""},
		{"any, what only begins so", NewAttempts("any", nil), 1, "Upgrade", "h2x", "h2x"},
		{"none", NewAttempts("none", nil), 1, "Upgrade", "websocket", ""},
		{"unchecked asks for nothing", NewAttempts("unchecked", nil), 1, "", "", "websocket"},
		{"unchecked, but HTTP/1.0", NewAttempts("unchecked", nil), 0, "Upgrade", "websocket", ""},
	}
	for _, tt := range tests {
		r := &http.Request{Method: "GET", ProtoMajor: 1, ProtoMinor: tt.minor, Header: http.Header{}}
		if tt.connection != "" {
			r.Header.Set("Connection", tt.connection)
		}
		if tt.upgrade != "" {
			r.Header.Set("Upgrade", tt.upgrade)
		}
		if got := tt.rule.Protocol(r); got != tt.want {
			t.Errorf("%s: attempts %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestOffered(t *testing.T) {
	list, any := NewAttempts("list", []string{"MQTT", "websocket"}), NewAttempts("any", nil)
	if got := list.Offered(); got != "mqtt, websocket" {
		t.Errorf("a list offers %q, want mqtt, websocket", got)
	}
	if got := any.Offered(); got != "websocket" {
		t.Errorf("any offers %q, want websocket", got)
	}
}

func TestUpgradeTokens(t *testing.T) {
	h := http.Header{"Upgrade": {"H2C, WebSocket", "x"}}
	if got, want := UpgradeTokens(h), []string{"h2c", "websocket", "x"}; !slices.Equal(got, want) {
		t.Errorf("tokens %q, want %q", got, want)
	}
	if got := UpgradeTokens(http.Header{}); got != nil {
		t.Errorf("tokens of no header are %q, want none", got)
	}
}
