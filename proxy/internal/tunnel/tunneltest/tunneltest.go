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
	"sync"
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

// atOnce is how many scenarios wait for limits at the same time. More would keep each
// other from what has to happen within a limit.
const atOnce = 16

// Run runs the suite against engines that newEngine makes, one for each
// scenario, over TCP, TLS, Unix sockets and connections that show no descriptor; with
// -short over the first two. It must be called from a test whose
// TestMain looks for leaked goroutines: an engine that is no longer used must
// have none but those it documents.
func Run(t *testing.T, newEngine func(t *testing.T) tunnel.Engine) {
	all := networks(t)
	if testing.Short() {
		all = slices.DeleteFunc(all, func(n network) bool { return n.name == "unix" || n.name == "opaque" })
	}
	for _, n := range all {
		t.Run(n.name, func(t *testing.T) {
			for _, s := range slices.Concat(passing, ending, redialling, independent) {
				t.Run(s.name, func(t *testing.T) { s.run(t, env{newEngine(t), n}) })
			}
		})
	}
	// These wait more than they work, so they wait together. Parallel would have them wait
	// for one another on a machine with few processors.
	t.Run("waiting", func(t *testing.T) {
		var scenarios sync.WaitGroup
		turns := make(chan struct{}, atOnce)
		for _, n := range all {
			for _, s := range slices.Concat(unanswered, limits, redialTimed) {
				turns <- struct{}{}
				scenarios.Go(func() {
					defer func() { <-turns }()
					t.Run(n.name+" "+s.name, func(t *testing.T) { s.run(t, env{newEngine(t), n}) })
				})
			}
		}
		scenarios.Wait()
	})
}
