package tunnel_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel/tunneltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPortable(t *testing.T) {
	tunneltest.Run(t, func(*testing.T) tunnel.Engine { return tunnel.Portable() })
}
