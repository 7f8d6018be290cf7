package tunnel_test

import (
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel/tunneltest"
)

// Tunnels that move between loops at every event pass the same suite.
func TestRestlessLoops(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of waiting for limits, once more; the oracle's tunnels move too")
	}
	tunneltest.Run(t, func(t *testing.T) tunnel.Engine { return tunnel.Restless(t) })
}

func TestLoops(t *testing.T) {
	tunneltest.Run(t, func(*testing.T) tunnel.Engine { return tunnel.New() })
}
