// Package tunneltest is the suite that every engine of package tunnel passes.
//
// It speaks to an engine through real sockets on the loopback interface, as
// peers that send raw frames and as gorilla/websocket, which knows nothing of
// the project's own codec. Where a limit has to run out it is short and the test
// waits for what follows, for as long as that takes: a slow machine makes the
// suite slow, never red.
//
// Each idea has its file: passing.go the bytes, ending.go the ways to end,
// limits.go limits and pings, redial.go other backends, gorilla.go the independent
// peer; rig.go is what they stand on. The package must be imported by tests only.
package tunneltest

import (
	"slices"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// scenario is one test of the suite. It gets a fresh engine.
type scenario struct {
	name string
	run  func(t *testing.T, e env)
}

// env is what a scenario runs on.
type env struct {
	engine tunnel.Engine
	net    network
}

// Run runs the suite against engines that newEngine makes, one for each
// scenario, over TCP, Unix sockets and TLS. It must be called from a test whose
// TestMain looks for leaked goroutines: an engine that is no longer used must
// have none but those it documents.
func Run(t *testing.T, newEngine func(t *testing.T) tunnel.Engine) {
	for _, n := range networks(t) {
		t.Run(n.name, func(t *testing.T) {
			for _, s := range slices.Concat(passing, ending, redialling, independent) {
				t.Run(s.name, func(t *testing.T) { s.run(t, env{newEngine(t), n}) })
			}
			for _, s := range slices.Concat(unanswered, limits, redialTimed) {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel() // it waits more than it works
					s.run(t, env{newEngine(t), n})
				})
			}
		})
	}
}
