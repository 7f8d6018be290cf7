package tunnel_test

import (
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel/tunneltest"
)

func TestLoops(t *testing.T) {
	tunneltest.Run(t, func(*testing.T) tunnel.Engine { return tunnel.New() })
}
