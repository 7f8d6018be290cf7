package drain

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

func in(d time.Duration) Manner { return Manner{Window: &d} }

// TestDrainByHand: the tunnels that match are told over the window, whatever a reload says
// of them, and their ends are counted.
func TestDrainByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		keeps := testPolicy
		keeps.Keep = true
		a, one := open(g, "r", testPolicy)
		b, two := open(g, "r", keeps)
		_, other := open(g, "other", testPolicy)
		code, reason := uint16(4000), "moving"
		m := in(10 * time.Second)
		m.Code, m.Reason = &code, &reason
		if n := g.Matching(Query{Route: "r"}); n["r"] != 2 || len(n) != 1 {
			t.Errorf("matching %v, want 2 of r", n)
		}
		d, err := g.DrainByHand(Query{Route: "r"}, m)
		if err != nil || d.Tunnels != 2 || d.Waiting != 2 {
			t.Fatalf("%+v, %v", d, err)
		}
		if kept, draining := g.Evaluate(drainRoutes()); kept != 1 || draining != 2 {
			t.Errorf("a reload keeps %d and counts %d as draining, want 1 and 2", kept, draining)
		}
		if open, draining := g.Len(); open != 3 || draining != 2 {
			t.Errorf("%d open, %d draining, want 3 and 2", open, draining)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for _, f := range []*fakeTunnel{one, two} {
			if got := f.notices(); len(got) != 1 || got[0].code != 4000 || got[0].why != tunnel.ReasonOperator {
				t.Errorf("told %v, want Close 4000 once", got)
			}
		}
		if got := other.notices(); len(got) != 0 {
			t.Errorf("the other was told %v", got)
		}
		a.Remove()
		now := g.Drains()[0]
		if now.Told != 2 || now.Ended != 1 || now.Waiting != 0 || now.Over() {
			t.Errorf("%+v", now)
		}
		b.Remove()
		if now = g.Drains()[0]; now.Ended != 2 || !now.Over() {
			t.Errorf("%+v", now)
		}
	})
}

// TestSpare: those that were told end, the others stay; and one that ends by itself is not
// waited for.
func TestSpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		var entries []*Entry
		told := 0
		var all []*fakeTunnel
		for range 10 {
			e, f := open(g, "r", testPolicy)
			entries, all = append(entries, e), append(all, f)
		}
		d, err := g.DrainByHand(Query{}, in(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		spared, ok := g.Spare(d.ID)
		if !ok || spared.Told != 5 || spared.Spared != 5 || spared.Waiting != 0 {
			t.Errorf("%+v, %v", spared, ok)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, f := range all {
			told += len(f.notices())
		}
		if told != 5 {
			t.Errorf("%d were told, want 5", told)
		}
		if _, draining := g.Len(); draining != 5 {
			t.Errorf("%d are draining, want 5", draining)
		}
		if _, ok := g.Spare("nosuch"); ok {
			t.Error("a drain that is not there was spared")
		}
		again, err := g.DrainByHand(Query{}, in(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			e.Remove()
		}
		if now := g.Drains()[0]; now.ID != again.ID || !now.Over() || now.Waiting != 0 {
			t.Errorf("a drain whose tunnels have gone: %+v", now)
		}
	})
}

// TestDrainsMeet: a later drain by hand takes over, a reload and a shutdown tell first if
// their time is first, and nobody is told twice.
func TestDrainsMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		_, f := open(g, "r", testPolicy)
		first, _ := g.DrainByHand(Query{}, in(10*time.Hour))
		second, _ := g.DrainByHand(Query{}, in(5*time.Hour))
		drains := g.Drains()
		if drains[0].ID != second.ID || drains[1].ID != first.ID || drains[1].Spared != 1 || !drains[1].Over() {
			t.Errorf("%+v", drains)
		}
		g.Evaluate(drainRoutes("r"))
		time.Sleep(Grace + testPolicy.Window)
		synctest.Wait()
		if got := f.notices(); len(got) != 1 || got[0].why != tunnel.ReasonDrain {
			t.Errorf("told %v, want once, by the reload", got)
		}
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		if got := f.notices(); len(got) != 1 {
			t.Errorf("told %v, want once", got)
		}
		if d := g.Drains()[0]; d.Told != 0 || d.Waiting != 0 {
			t.Errorf("%+v, want none told by it", d)
		}
	})
}

// TestEndByHand: one tunnel, at once.
func TestEndByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		e, f := open(g, "r", testPolicy)
		g.End(e, in(0))
		g.End(e, in(0))
		if got := f.notices(); len(got) != 1 || got[0].code != testPolicy.Code {
			t.Errorf("told %v, want once with the route's code", got)
		}
		if len(g.Drains()) != 0 {
			t.Error("it is listed as a drain")
		}
		e.Remove()
		if open, _ := g.Len(); open != 0 {
			t.Errorf("%d are open after its end", open)
		}
	})
}

func TestDrainsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		for range keptDrains + 5 {
			e, _ := open(g, "r", testPolicy)
			if _, err := g.DrainByHand(Query{}, in(0)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			e.Remove()
		}
		if n := len(g.Drains()); n != keptDrains {
			t.Errorf("%d are kept, want %d", n, keptDrains)
		}
		var entries []*Entry
		for range maxDrains {
			e, _ := open(g, "r", testPolicy)
			entries = append(entries, e)
			e.id = string(rune('a' + len(entries)))
			if _, err := g.DrainByHand(Query{ID: e.id}, in(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := g.DrainByHand(Query{}, in(0)); err != ErrTooManyDrains {
			t.Errorf("one too many: %v", err)
		}
		for _, e := range entries {
			e.Remove()
		}
	})
}

func TestQuery(t *testing.T) {
	g := NewGroup()
	e := g.Reserve(Facts{Route: "chat", Client: netip.MustParseAddr("10.1.2.3"), ID: "7", Path: "/ws", Host: "a.test", Protocol: "websocket"})
	defer e.Remove()
	if n := len(g.Open(Query{})); n != 0 {
		t.Errorf("%d are open before Opened", n)
	}
	e.SetSubprotocol("mqtt")
	e.Opened(newFakeTunnel())
	yes, no := true, false
	for _, tt := range []struct {
		q    Query
		want int
	}{
		{Query{}, 1},
		{Query{Route: "chat"}, 1},
		{Query{Route: "news"}, 0},
		{Query{Client: netip.MustParsePrefix("10.0.0.0/8")}, 1},
		{Query{Client: netip.MustParsePrefix("11.0.0.0/8")}, 0},
		{Query{ID: "7"}, 1},
		{Query{ID: "8"}, 0},
		{Query{Draining: &no}, 1},
		{Query{Draining: &yes}, 0},
		{Query{Pool: "chat"}, 0}, // it has no backend
	} {
		if got := len(g.Open(tt.q)); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.q, got, tt.want)
		}
	}
	info := g.Look(g.Open(Query{}))[0]
	if info.ID != "7" || info.Path != "/ws" || info.Host != "a.test" || info.Protocol != "websocket" || info.Subprotocol != "mqtt" || info.State != "open" {
		t.Errorf("%+v", info)
	}
}

// TestTextsAreBounded: what a client chooses is kept in part.
func TestTextsAreBounded(t *testing.T) {
	long := string(make([]byte, 10_000))
	e := NewGroup().Reserve(Facts{Host: long, Path: "/" + long, Protocol: long})
	defer e.Remove()
	e.SetSubprotocol(long)
	info := e.infoLocked()
	if n := len(info.Host) + len(info.Path) + len(info.Protocol) + len(info.Subprotocol); n > 2*maxPath+2*maxToken {
		t.Errorf("%d bytes are kept", n)
	}
	if got := bounded("a\xffb\xe2\x82", 5); got != "a\uFFFDb\uFFFD" {
		t.Errorf("%q", got)
	}
}
