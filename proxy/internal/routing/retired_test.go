package routing

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/discovery"
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

const away = "routes: {}\n"

// TestReturnedBackendCounts: a backend that is named again counts the tunnels
// that have stayed open, for as many reloads as they do, and no longer.
func TestReturnedBackendCounts(t *testing.T) {
	id := upstream.BackendKey{Pool: "chat", Scheme: "ws", Authority: "127.0.0.1:9001"}
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
	if n := len(table(t, gone, away).retired.backends); n != 0 {
		t.Errorf("%d backends are remembered without a tunnel", n)
	}
}

// TestReturnedRouteCounts is the same of a route.
func TestReturnedRouteCounts(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	first := table(t, nil, baseRoutes)
	before := first.byName["chat"].Counts
	if err := before.Tunnels.Admit(limits.TunnelLimits{}, client, time.Now()); err != nil {
		t.Fatal(err)
	}
	gone := table(t, table(t, first, away), away)
	if now := table(t, gone, baseRoutes).byName["chat"].Counts; now != before {
		t.Error("the returned route counts anew")
	}
	before.Tunnels.Release(client)
	if n := len(table(t, gone, away).retired.counts); n != 0 {
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
	counts := first.byName["first"].Counts
	if second.byName["second"].Counts != counts || both.byName["second"].Counts != counts {
		t.Error("the renamed route counts anew")
	}
	if both.byName["first"].Counts == counts {
		t.Error("the new route of the old name has the renamed one's counts")
	}
}

// TestRouteRenamedToARetiredName: tunnels of an earlier route of that name are still open,
// and count as its own, beside those that it had.
func TestRouteRenamedToARetiredName(t *testing.T) {
	const first, second = "routes:\n  first: {match: {path: /first}, to: \"internal://echo\"}\n", "routes:\n  second: {match: {path: /first}, to: \"internal://echo\"}\n"
	client := netip.MustParseAddr("192.0.2.1")
	admit := func(counts *limits.Route, allowed limits.TunnelLimits) error {
		return counts.Tunnels.Admit(allowed, client, time.Now())
	}
	both := table(t, nil, first+`  second: {match: {path: /second}, to: "internal://echo"}`+"\n")
	kept, retired := both.byName["first"].Counts, both.byName["second"].Counts
	for _, counts := range []*limits.Route{kept, retired} {
		if err := admit(counts, limits.TunnelLimits{}); err != nil {
			t.Fatal(err)
		}
	}
	renamed := table(t, table(t, table(t, both, first), first), second)
	now := renamed.byName["second"].Counts
	if n := now.Tunnels.Open(); n != 2 {
		t.Fatalf("%d tunnels count, wanted both", n)
	}
	if kept.Tunnels.Open() != 1 || retired.Tunnels.Open() != 1 {
		t.Error("the counts of the earlier Tables have changed")
	}
	for _, allowed := range []limits.TunnelLimits{{Tunnels: 2}, {TunnelsPerClient: 2}} {
		if err := admit(now, allowed); err == nil {
			t.Errorf("%+v: a third tunnel is admitted", allowed)
		}
	}
	if again := table(t, renamed, second).byName["second"].Counts; again != now {
		t.Error("the next reload counts anew")
	}
	retired.Tunnels.Release(client)
	if err := admit(now, limits.TunnelLimits{Tunnels: 2, TunnelsPerClient: 2}); err != nil {
		t.Errorf("%v after one of the two has ended", err)
	}
	kept.Tunnels.Release(client)
	now.Tunnels.Release(client)
	if n := now.Tunnels.Open(); n != 0 {
		t.Errorf("%d tunnels count after the last has ended", n)
	}
}

// TestFoundBackendsCount: a pool that comes to be found, that is written down
// again, that goes and comes back has the backends that it had, as they were.
func TestFoundBackendsCount(t *testing.T) {
	const (
		routes  = "routes: {r: {match: {path: /r}, to: \"pool://p\"}}\npools: {p: {balance: round_robin, "
		written = routes + "backends: {a: {url: \"ws://127.0.0.1:9001\", weight: 3}, b: {url: \"ws://127.0.0.1:9002\"}}}}\n"
		found   = routes + "resolve: {dns: \"p.test:9001\", scheme: ws}}}\n"
		other   = routes + "resolve: {dns: \"p.test:9001\", scheme: wss}}}\n"
	)
	a := upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "127.0.0.1:9001"}
	c := upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "127.0.0.1:9003"}
	answer := func(b *Table, authorities ...string) { // as if a name server had said so
		rule, pool := b.discoveries["p"], b.pools["p"]
		var members []upstream.Member
		for _, authority := range authorities {
			id := upstream.BackendKey{Pool: "p", Scheme: rule.Scheme, Authority: authority}
			members = append(members, upstream.Member{Name: authority, Backend: rule.Registry.Lookup(id, pool.Members(), "p.test:9001")})
		}
		pool.SetMembers(members)
		rule.Registry.Prune(members)
	}

	first := table(t, nil, written)
	one := first.backends[a]
	one.OpenTunnel()
	second := table(t, first, found)
	if got := discovery.MemberOf(second.pools["p"].Members(), a); got != one || len(second.pools["p"].Members()) != 2 {
		t.Fatal("before there is an answer, the pool is not the one of before")
	}
	answer(second, "127.0.0.1:9001", "127.0.0.1:9003")
	if got := discovery.MemberOf(second.pools["p"].Members(), a); got != one || one.Host() != "p.test:9001" {
		t.Fatal("what was written down is not what was found")
	}
	three := discovery.MemberOf(second.pools["p"].Members(), c)
	three.OpenTunnel()

	back := table(t, second, written)
	if back.backends[a] != one {
		t.Error("what was found is not what is written down again")
	}
	if len(table(t, second, other).pools["p"].Members()) != 0 {
		t.Error("backends of another scheme are taken for found")
	}

	answer(second, "127.0.0.1:9001") // 9003 leaves with a tunnel
	gone := table(t, table(t, second, away), away)
	again := table(t, gone, found)
	answer(again, "127.0.0.1:9001", "127.0.0.1:9003")
	for _, id := range []upstream.BackendKey{a, c} {
		if got := discovery.MemberOf(again.pools["p"].Members(), id).Tunnels(); got != 1 {
			t.Errorf("%v counts %d tunnels after the pool has come back, wanted 1", id, got)
		}
	}
	three.CloseTunnel()
	answer(again, "127.0.0.1:9001")
	if n := len(again.discoveries["p"].Registry.All()); n != 1 {
		t.Errorf("%d backends are remembered, wanted the member alone", n)
	}
}
