package proxy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

const away = "routes: {}\n"

// TestReturnedBackendCounts: a backend that is named again counts the tunnels
// that have stayed open, for as many reloads as they do, and no longer.
func TestReturnedBackendCounts(t *testing.T) {
	id := upstream.Identity{Pool: "chat", Scheme: "ws", Authority: "127.0.0.1:9001"}
	first := table(t, nil, baseRoutes)
	first.backends[id].OpenTunnel()
	gone := table(t, table(t, table(t, first, away), away), away)
	if gone.backends[id] != nil {
		t.Fatal("the backend is still there without a route")
	}
	back := table(t, gone, baseRoutes).backends[id]
	if back.Tunnels() != 1 {
		t.Fatalf("the returned backend counts %d tunnels, wanted 1", back.Tunnels())
	}
	first.backends[id].CloseTunnel()
	if back.Tunnels() != 0 {
		t.Errorf("the returned backend counts %d tunnels after the end of the last, wanted 0", back.Tunnels())
	}
	if n := len(table(t, gone, away).former.backends); n != 0 {
		t.Errorf("%d backends are remembered without a tunnel", n)
	}
}

// TestReturnedRouteCounts is the same of a route.
func TestReturnedRouteCounts(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	first := table(t, nil, baseRoutes)
	before := first.byName["chat"].occupancy
	if rf := before.admit(routeLimits{}, client, time.Now()); rf != nil {
		t.Fatal(rf)
	}
	gone := table(t, table(t, first, away), away)
	if now := table(t, gone, baseRoutes).byName["chat"].occupancy; now != before {
		t.Error("the returned route counts anew")
	}
	before.release(client)
	if n := len(table(t, gone, away).former.occupancies); n != 0 {
		t.Errorf("%d routes are remembered without a tunnel", n)
	}
}

// TestRenamedRouteTakesItsCounts: what is new under the old name counts anew.
func TestRenamedRouteTakesItsCounts(t *testing.T) {
	const named = `
routes:
  first: {match: {path: /first}, to: "internal://echo"}
`
	const renamed = `
routes:
  second: {match: {path: /first}, to: "internal://echo"}
`
	first := table(t, nil, named)
	second := table(t, first, renamed)
	both := table(t, second, renamed+`  first: {match: {path: /other}, to: "internal://echo"}`+"\n")
	counts := first.byName["first"].occupancy
	if second.byName["second"].occupancy != counts || both.byName["second"].occupancy != counts {
		t.Error("the renamed route counts anew")
	}
	if both.byName["first"].occupancy == counts {
		t.Error("the new route of the old name has the renamed one's counts")
	}
}
