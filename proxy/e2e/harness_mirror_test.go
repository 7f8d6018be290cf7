package e2e

// What a mirror (proxytest.Mirror) was sent, as it answers it.

import (
	"encoding/json"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// decodeSeen reads a mirror's answer.
func decodeSeen(t *testing.T, got reply) proxytest.Seen {
	t.Helper()
	var seen proxytest.Seen
	if err := json.Unmarshal([]byte(got.body), &seen); err != nil || got.status != 200 {
		t.Fatalf("%d %q, wanted a mirror's answer", got.status, got.body)
	}
	return seen
}

// mirrored sends a request of text on a connection of its own through p to a mirror.
func mirrored(t *testing.T, p *proxy, text string) proxytest.Seen {
	t.Helper()
	return decodeSeen(t, ask(t, connect(t, p), text))
}
