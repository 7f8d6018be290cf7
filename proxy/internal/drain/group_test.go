package drain

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// fakeTunnel records when and how it was told to end.
type fakeTunnel struct {
	mu    sync.Mutex
	began time.Time
	told  []notice
}

type notice struct {
	after time.Duration
	code  uint16
	why   tunnel.Reason
	cut   bool
}

func newFakeTunnel() *fakeTunnel { return &fakeTunnel{began: time.Now()} }

func (f *fakeTunnel) note(e notice) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.after = time.Since(f.began)
	f.told = append(f.told, e)
}

func (f *fakeTunnel) Close(code uint16, _ string, why tunnel.Reason) {
	f.note(notice{code: code, why: why})
}
func (f *fakeTunnel) Cut(why tunnel.Reason) { f.note(notice{why: why, cut: true}) }
func (f *fakeTunnel) Counts() tunnel.Counts { return tunnel.Counts{} }

func (f *fakeTunnel) notices() []notice {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.told)
}

var testPolicy = Policy{Window: 10 * time.Second, Code: 1012}

func open(g *Group, route string, p Policy) (*Entry, *fakeTunnel) {
	e := g.Reserve(Facts{Route: route, Backend: upstream.BackendKey{Pool: route}, Policy: p})
	f := newFakeTunnel()
	e.Opened(f)
	return e, f
}

// drainRoutes drains the tunnels of the named routes.
func drainRoutes(names ...string) func(Facts) Decision {
	return func(f Facts) Decision {
		return Decision{Drain: slices.Contains(names, f.Route), Route: f.Route, Backend: f.Backend}
	}
}

func TestEvaluate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		_, stays := open(g, "stays", testPolicy)
		_, goes := open(g, "goes", testPolicy)
		kept, draining := g.Evaluate(drainRoutes("goes"))
		if kept != 1 || draining != 1 {
			t.Errorf("kept %d, draining %d, want 1 and 1", kept, draining)
		}
		time.Sleep(Grace + testPolicy.Window)
		synctest.Wait()
		if got := stays.notices(); len(got) != 0 {
			t.Errorf("the tunnel that stays was told %v", got)
		}
		if got := goes.notices(); len(got) != 1 || got[0].code != 1012 || got[0].why != tunnel.ReasonDrain {
			t.Errorf("the tunnel that goes was told %v, want one Close 1012", got)
		}
	})
}

func TestSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		g := NewGroup()
		var all []*fakeTunnel
		for range n {
			_, f := open(g, "r", testPolicy)
			all = append(all, f)
		}
		g.Evaluate(drainRoutes("r"))
		time.Sleep(Grace + testPolicy.Window)
		synctest.Wait()
		perSlot := make([]int, n)
		for _, f := range all {
			ends := f.notices()
			if len(ends) != 1 {
				t.Fatalf("told %v, want once", ends)
			}
			perSlot[min(n-1, int((ends[0].after-Grace)*n/testPolicy.Window))]++
		}
		for i, count := range perSlot {
			if count != 1 {
				t.Errorf("%d tunnels in slot %d of the window, want 1", count, i)
			}
		}
	})
}

// TestGrace: half of a file, or a mistake that is undone at once, ends no tunnel; without
// a window there is no grace.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		var all []*fakeTunnel
		for range 100 {
			_, f := open(g, "r", Policy{Window: time.Millisecond, Code: 1012})
			all = append(all, f)
		}
		_, off := open(g, "r", Policy{Window: -1, Code: 1012})
		told := func() (n int) {
			synctest.Wait()
			for _, f := range all {
				n += len(f.notices())
			}
			return n
		}

		g.Evaluate(drainRoutes("r"))
		if got := told(); got != 0 || len(off.notices()) != 1 {
			t.Errorf("%d told at once, and %v with the window off; want none, and one Close", got, off.notices())
		}
		if _, draining := g.Len(); draining != 101 {
			t.Errorf("%d draining, want all of them", draining)
		}
		time.Sleep(Grace - 1)
		if got := told(); got != 0 {
			t.Errorf("%d told before the grace was over", got)
		}
		g.Evaluate(drainRoutes())
		time.Sleep(time.Minute)
		if got := told(); got != 0 {
			t.Errorf("%d told although the edit was undone", got)
		}
		g.Evaluate(drainRoutes("r"))
		time.Sleep(Grace + time.Millisecond)
		if got := told(); got != len(all) {
			t.Errorf("%d of %d told when the window was over", got, len(all))
		}
	})
}

// TestShutdownDuringGrace: a shutdown does not wait for the end of the grace.
func TestShutdownDuringGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		_, f := open(g, "r", testPolicy)
		g.Evaluate(drainRoutes("r"))
		g.Shutdown(Policy{Window: -1, Code: 1001})
		synctest.Wait()
		if got := f.notices(); len(got) != 1 || got[0].code != 1001 || got[0].why != tunnel.ReasonShutdown {
			t.Errorf("told %v, want one Close 1001", got)
		}
	})
}

// forbid no longer allows the clients of the named routes.
func forbid(names ...string) func(Facts) Decision {
	return func(f Facts) Decision {
		no := slices.Contains(names, f.Route)
		return Decision{Drain: no, Forbidden: no, Route: f.Route, Backend: f.Backend}
	}
}

// TestForbidden: a client that is no longer allowed goes soon, whatever the policy says.
func TestForbidden(t *testing.T) {
	for name, policy := range map[string]Policy{
		"kept":             {Window: time.Second, Code: 1012, Keep: true},
		"over a long time": {Window: time.Hour, Code: 1012},
		"at once":          {Window: -1, Code: 1012},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGroup()
				var all []*fakeTunnel
				for range 50 {
					_, f := open(g, "r", policy)
					all = append(all, f)
				}
				if policy.Window > 0 { // instead of a drain that is under way
					g.Evaluate(drainRoutes("r"))
				}
				if kept, draining := g.Evaluate(forbid("r")); kept != 0 || draining != len(all) {
					t.Errorf("kept %d, draining %d, want all draining", kept, draining)
				}
				g.Evaluate(forbid("r")) // which must not delay it
				time.Sleep(5 * time.Second)
				synctest.Wait()
				var first, last time.Duration = time.Hour, 0
				for _, f := range all {
					got := f.notices()
					if len(got) != 1 || got[0].code != 1008 || got[0].why != tunnel.ReasonForbidden {
						t.Fatalf("told %v, want one Close 1008", got)
					}
					first, last = min(first, got[0].after), max(last, got[0].after)
				}
				if first < Grace || last-first < time.Second || last > 5*time.Second {
					t.Errorf("told from %v to %v, want from %v on, spread, and before 5s", first, last, Grace)
				}
			})
		})
	}
}

// TestForbiddenUndone: the drain policy counts again.
func TestForbiddenUndone(t *testing.T) {
	for name, tt := range map[string]struct {
		policy Policy
		then   func(Facts) Decision
		code   uint16 // in the end; 0: it stays
	}{
		"stays":               {testPolicy, forbid(), 0},
		"stays, and kept":     {Policy{Keep: true}, forbid(), 0},
		"to be drained":       {testPolicy, drainRoutes("r"), 1012},
		"to be drained, kept": {Policy{Keep: true}, drainRoutes("r"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGroup()
				_, f := open(g, "r", tt.policy)
				g.Evaluate(forbid("r"))
				time.Sleep(Grace - 1)
				g.Evaluate(tt.then)
				time.Sleep(time.Minute)
				synctest.Wait()
				var code uint16
				for _, e := range f.notices() {
					code = e.code
				}
				if code != tt.code || len(f.notices()) > 1 {
					t.Errorf("told %v, want code %d", f.notices(), tt.code)
				}
			})
		})
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		_, f := open(g, "r", testPolicy)
		g.Evaluate(drainRoutes("r"))
		g.Evaluate(drainRoutes())
		time.Sleep(2 * testPolicy.Window)
		synctest.Wait()
		if got := f.notices(); len(got) != 0 {
			t.Errorf("told %v although it was cancelled", got)
		}
		if open, draining := g.Len(); open != 1 || draining != 0 {
			t.Errorf("Len = %d, %d, want 1 open and none draining", open, draining)
		}
	})
}

func TestEvaluateAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		_, f := open(g, "r", testPolicy)
		g.Evaluate(drainRoutes("r"))
		for range 20 { // each would delay it if it were scheduled anew
			time.Sleep((Grace + testPolicy.Window) / 20)
			synctest.Wait()
			g.Evaluate(drainRoutes("r"))
		}
		if got := f.notices(); len(got) != 1 {
			t.Errorf("told %v, want once within the first window", got)
		}
	})
}

func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		_, f := open(g, "r", Policy{Window: time.Second, Code: 1012, Keep: true})
		if kept, draining := g.Evaluate(drainRoutes("r")); kept != 1 || draining != 0 {
			t.Errorf("kept %d, draining %d, want 1 and 0", kept, draining)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := f.notices(); len(got) != 0 {
			t.Fatalf("told %v although its policy keeps it", got)
		}
		g.Shutdown(Policy{Window: time.Second, Code: 1001})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := f.notices(); len(got) != 1 || got[0].code != 1001 || got[0].why != tunnel.ReasonShutdown {
			t.Errorf("told %v, want one Close 1001", got)
		}
	})
}

func TestShutdownDuringDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		_, f := open(g, "r", Policy{Window: time.Hour, Code: 1012})
		g.Evaluate(drainRoutes("r"))
		g.Shutdown(Policy{Window: time.Second, Code: 1001})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := f.notices(); len(got) != 1 || got[0].code != 1001 {
			t.Errorf("told %v, want one Close 1001", got)
		}
	})
}

// A reload or a shutdown must not miss a tunnel whose handshake is under way.
func TestEvaluateDuringHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		e := g.Reserve(Facts{Route: "r", Policy: Policy{Code: 1012}})
		g.Evaluate(drainRoutes("r"))
		synctest.Wait()
		f := newFakeTunnel()
		e.Opened(f)
		if got := f.notices(); len(got) != 1 || got[0].code != 1012 {
			t.Errorf("told %v, want Close 1012 at once", got)
		}

		g.Shutdown(Policy{Code: 1001})
		late := g.Reserve(Facts{Route: "r"})
		synctest.Wait()
		f = newFakeTunnel()
		late.Opened(f)
		if got := f.notices(); len(got) != 1 || got[0].code != 1001 {
			t.Errorf("told %v after the shutdown began, want Close 1001 at once", got)
		}
	})
}

// TestLongestClose: only open tunnels count.
// TestLost: a handshake under way is told of an evaluation by which its tunnel would have
// to go, and of no other, nor once the tunnel is open.
func TestLost(t *testing.T) {
	for name, tt := range map[string]struct {
		decide Decision
		open   bool
		want   int
	}{
		"its route has gone":           {Decision{Drain: true}, false, 1},
		"its client is forbidden":      {Decision{Drain: true, Forbidden: true}, false, 1},
		"its backend has gone":         {Decision{Drain: true, Move: true}, false, 1},
		"it stays":                     {Decision{}, false, 0},
		"nothing is said of it":        {Decision{Drain: true, Unchanged: true}, false, 0},
		"its route has gone, but late": {Decision{Drain: true}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, told := NewGroup(), 0
				e := g.Reserve(Facts{Route: "r", Policy: Policy{Keep: true}, Lost: func() { told++ }})
				defer e.Remove()
				if tt.open {
					e.Opened(newFakeTunnel())
				}
				if g.Evaluate(func(Facts) Decision { return tt.decide }); told != tt.want {
					t.Errorf("told %d times, want %d", told, tt.want)
				}
			})
		})
	}
}

func TestLongestClose(t *testing.T) {
	g := NewGroup()
	if got := g.LongestClose(); got != 0 {
		t.Errorf("%v with no tunnel, want 0", got)
	}
	g.Reserve(Facts{CloseTimeout: time.Second})
	long := g.Reserve(Facts{CloseTimeout: time.Minute})
	if got := g.LongestClose(); got != time.Minute {
		t.Errorf("%v, want the longer one", got)
	}
	long.Remove()
	if got := g.LongestClose(); got != time.Second {
		t.Errorf("%v without the longer one, want the other", got)
	}
}

func TestRename(t *testing.T) {
	g := NewGroup()
	e, _ := open(g, "old", testPolicy)
	g.Evaluate(func(f Facts) Decision { return Decision{Route: "new", Backend: upstream.BackendKey{Pool: "new"}} })
	if e.Route() != "new" {
		t.Errorf("route %q after the rename, want new", e.Route())
	}
	g.Evaluate(func(f Facts) Decision {
		if f.Backend.Pool != "new" {
			t.Errorf("backend's pool %q after the rename, want new", f.Backend.Pool)
		}
		return Decision{Route: f.Route, Backend: f.Backend}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		if err := g.Wait(t.Context()); err != nil {
			t.Fatalf("Wait on an empty group: %v", err)
		}
		e, f := open(g, "r", testPolicy)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Wait(ctx); err == nil {
			t.Fatal("Wait returned nil with a tunnel open")
		}
		g.Cut(tunnel.ReasonShutdown)
		if got := f.notices(); len(got) != 1 || !got[0].cut {
			t.Errorf("told %v, want one Cut", got)
		}
		e.Remove()
		e.Remove() // as when a tunnel fails to open
		if err := g.Wait(t.Context()); err != nil {
			t.Errorf("Wait after the last Remove: %v", err)
		}
	})
}

// TestWaitForRemove: a process that ended between a tunnel's end and its line in the
// log would lose the line.
func TestWaitForRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		e, _ := open(g, "a", testPolicy)
		done := e.BeginRemove()
		if n, _ := g.Len(); n != 0 {
			t.Errorf("%d tunnels open, wanted none", n)
		}
		brief, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := g.Wait(brief); err == nil {
			t.Error("Wait did not wait for the end of the removal")
		}
		e.Remove() // which changes nothing
		other, _ := open(g, "b", testPolicy)
		other.Remove()
		done()
		if err := g.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestDrainSome: never more than asked for, never those to keep, and an evaluation of
// others does not change them.
func TestDrainSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		here := upstream.BackendKey{Pool: "p", Authority: "here"}
		told := func(fakes []*fakeTunnel) (n int) {
			for _, f := range fakes {
				n += len(f.notices())
			}
			return n
		}
		var movable, kept, elsewhere []*fakeTunnel
		for i := range 30 {
			facts := Facts{Route: "r", Backend: here, Policy: testPolicy}
			list := &movable
			switch i % 3 {
			case 1:
				facts.Policy.Keep, list = true, &kept
			case 2:
				facts.Backend.Authority, list = "there", &elsewhere
			}
			f := newFakeTunnel()
			g.Reserve(facts).Opened(f)
			*list = append(*list, f)
		}
		for _, tt := range []struct{ most, keep, want int }{{3, 0, 3}, {5, 16, 1}, {5, 16, 0}, {100, 0, 6}, {1, 0, 0}} {
			if got := g.DrainSome(here, tt.most, tt.keep, time.Second); got != tt.want {
				t.Errorf("DrainSome(%d, %d) = %d, want %d", tt.most, tt.keep, got, tt.want)
			}
		}
		if got := g.Staying("p"); got[here] != 10 || got[upstream.BackendKey{Pool: "p", Authority: "there"}] != 10 || len(got) != 2 {
			t.Errorf("staying: %v, want the kept ones and those elsewhere", got)
		}
		if stay, draining := g.Evaluate(func(Facts) Decision { return Decision{Unchanged: true} }); stay != 20 || draining != 10 {
			t.Errorf("%d stay and %d go, want 20 and 10", stay, draining)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if told(movable) != 10 || told(kept) != 0 || told(elsewhere) != 0 {
			t.Errorf("told %d, %d kept, %d elsewhere; want 10, 0, 0", told(movable), told(kept), told(elsewhere))
		}
	})
}
