package drain

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// fakeMover also records what it was told when it was told to move.
type fakeMover struct {
	*fakeTunnel
	moves []int
}

func (f *fakeMover) Move(nth int, code uint16, _ string, why tunnel.Reason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moves = append(f.moves, nth)
}

func (f *fakeMover) told(t *testing.T, moves []int, ends int) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	got := slices.Clone(f.moves)
	f.mu.Unlock()
	if !slices.Equal(got, moves) || len(f.notices()) != ends {
		t.Errorf("told to move %v and to end %v; want %v and %d ends", got, f.notices(), moves, ends)
	}
}

func openMover(g *Group, p Policy) (*Entry, *fakeMover) {
	e := g.Reserve(Facts{Route: "r", Backend: at("a"), Policy: p})
	e.SetMovable()
	f := &fakeMover{fakeTunnel: newFakeTunnel()}
	e.Opened(f)
	return e, f
}

func at(authority string) upstream.BackendKey {
	return upstream.BackendKey{Pool: "p", Authority: authority}
}

// leave drains the tunnels of these backends, which may move.
func leave(authorities ...string) func(Facts) Decision {
	return func(f Facts) Decision {
		return Decision{Drain: slices.Contains(authorities, f.Backend.Authority), Move: true, Route: f.Route, Backend: f.Backend}
	}
}

// moves goes through a move to another backend as the proxy does.
func moves(t *testing.T, e *Entry, to string) {
	t.Helper()
	if !e.StartMove() {
		t.Fatal("StartMove returned false")
	}
	e.MoveTo(at(to))
	e.EndMove()
}

// TestMove: a tunnel that can redial moves, and is like any other then; one that cannot
// ends.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		e, can := openMover(g, testPolicy)
		cannot := newFakeTunnel()
		g.Reserve(Facts{Route: "r", Backend: at("a"), Policy: testPolicy}).Opened(cannot)
		if kept, draining := g.Evaluate(leave("a")); kept != 0 || draining != 2 {
			t.Errorf("kept %d, draining %d, want none and both", kept, draining)
		}
		time.Sleep(Grace + testPolicy.Window)
		can.told(t, []int{0}, 0)
		if got := cannot.notices(); len(got) != 1 {
			t.Errorf("the tunnel that cannot move was told %v", got)
		}
		if _, draining := g.Len(); draining != 1 || g.Moving() != 1 || g.Staying("p")[at("a")] != 0 {
			t.Errorf("%d draining, %d moving, %v staying; want one each, and none", draining, g.Moving(), g.Staying("p"))
		}
		moves(t, e, "b")
		if got := g.Staying("p"); g.Moving() != 0 || got[at("b")] != 1 || e.Backend() != at("b") {
			t.Errorf("%d moving, %v staying, at %v; want one at b", g.Moving(), got, e.Backend())
		}
		if n := g.DrainSome(at("b"), 1, 0, time.Second); n != 1 {
			t.Errorf("drained %d, want 1", n)
		}
		time.Sleep(time.Second)
		can.told(t, []int{0, 1}, 0)
	})
}

// TestEvaluateDuringMove: while a tunnel moves it is evaluated by the backend that it
// moves to, and told when it is there.
func TestEvaluateDuringMove(t *testing.T) {
	for name, tt := range map[string]struct {
		leave []string // backends to leave, one after the other, while it moves from a to b
		moves []int
	}{
		"the first again": {[]string{"a"}, nil},
		"the second":      {[]string{"b"}, []int{1}},
		"and not":         {[]string{"b", "c"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGroup()
				e, f := openMover(g, testPolicy)
				if !e.StartMove() { // it was lost
					t.Fatal("not moving")
				}
				g.Evaluate(leave("a"))
				e.MoveTo(at("b"))
				for _, authority := range tt.leave {
					g.Evaluate(leave(authority))
				}
				time.Sleep(Grace + testPolicy.Window)
				f.told(t, nil, 0)
				e.EndMove()
				f.told(t, tt.moves, 0)
			})
		})
	}
}

// TestMoveEnds: a move never keeps a tunnel from ending.
func TestMoveEnds(t *testing.T) {
	end := func(f Facts) Decision { return Decision{Drain: true, Route: f.Route, Backend: f.Backend} }
	for name, tt := range map[string]func(g *Group, e *Entry){
		"its route goes while its move is scheduled": func(g *Group, e *Entry) {
			g.Evaluate(leave("a"))
			g.Evaluate(end)
		},
		"its route goes while it moves": func(g *Group, e *Entry) {
			e.StartMove()
			g.Evaluate(end)
		},
		"its route goes while it moves, then it arrives": func(g *Group, e *Entry) {
			e.StartMove()
			e.MoveTo(at("b"))
			g.Evaluate(end)
			e.EndMove()
		},
		"shutdown while it moves": func(g *Group, e *Entry) {
			e.StartMove()
			g.Shutdown(testPolicy)
			e.EndMove()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGroup()
				e, f := openMover(g, testPolicy)
				tt(g, e)
				if e.StartMove() {
					t.Error("it moves once more")
				}
				time.Sleep(Grace + testPolicy.Window)
				f.told(t, nil, 1)
			})
		})
	}
}

// TestMoveCancelled: a move can be cancelled, and one that is due before Opened is
// carried out then.
func TestMoveCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		_, f := openMover(g, testPolicy)
		g.Evaluate(leave("a"))
		g.Evaluate(leave())
		time.Sleep(Grace + testPolicy.Window)
		f.told(t, nil, 0)

		late := g.Reserve(Facts{Route: "r", Backend: at("a")})
		late.SetMovable()
		g.Evaluate(leave("a"))
		synctest.Wait()
		time.Sleep(time.Millisecond)
		opened := &fakeMover{fakeTunnel: newFakeTunnel()}
		late.Opened(opened)
		opened.told(t, []int{0}, 0)
	})
}
