package drain

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// fakeMover notes when it was told to move, too: as often as it says it has.
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
	if !slices.Equal(got, moves) || len(f.endings()) != ends {
		t.Errorf("told to move %v and to end %v; want %v and %d ends", got, f.endings(), moves, ends)
	}
}

func openMover(g *Group, p Policy) (*Entry, *fakeMover) {
	e := g.Reserve(Facts{Route: "r", Backend: at("a"), Policy: p})
	e.MayMove()
	f := &fakeMover{fakeTunnel: newFakeTunnel()}
	e.Opened(f)
	return e, f
}

func at(authority string) upstream.BackendKey {
	return upstream.BackendKey{Pool: "p", Authority: authority}
}

// leave is a judgement that nobody may stay at these backends.
func leave(authorities ...string) func(Facts) Verdict {
	return func(f Facts) Verdict {
		return Verdict{Drain: slices.Contains(authorities, f.Backend.Authority), Move: true, Route: f.Route, Backend: f.Backend}
	}
}

// moves goes through a move to another backend as the proxy does.
func moves(t *testing.T, e *Entry, to string) {
	t.Helper()
	if !e.Moving() {
		t.Fatal("a tunnel that may move was told that it is on its way out")
	}
	e.Towards(at(to))
	e.Moved()
}

// TestMove: in its turn a tunnel that can redial moves, and is like any other then;
// one that cannot ends.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		e, can := openMover(g, testPolicy)
		cannot := newFakeTunnel()
		g.Reserve(Facts{Route: "r", Backend: at("a"), Policy: testPolicy}).Opened(cannot)
		if kept, draining := g.Judge(leave("a")); kept != 0 || draining != 2 {
			t.Errorf("kept %d, draining %d, want none and both", kept, draining)
		}
		time.Sleep(Grace + testPolicy.Window)
		can.told(t, []int{0}, 0)
		if got := cannot.endings(); len(got) != 1 {
			t.Errorf("the tunnel that cannot move was told %v", got)
		}
		if _, draining := g.Len(); draining != 1 || g.Moving() != 1 || g.Staying("p")[at("a")] != 0 {
			t.Errorf("%d draining, %d moving, %v staying; want one each, and none", draining, g.Moving(), g.Staying("p"))
		}
		moves(t, e, "b")
		if got := g.Staying("p"); g.Moving() != 0 || got[at("b")] != 1 || e.Backend() != at("b") {
			t.Errorf("%d moving, %v staying, at %v; want one at b", g.Moving(), got, e.Backend())
		}
		if n := g.Release(at("b"), 1, 0, time.Second); n != 1 {
			t.Errorf("released %d", n)
		}
		time.Sleep(time.Second)
		can.told(t, []int{0, 1}, 0)
	})
}

// TestMoveJudgedAgain: what is judged while a tunnel moves is judged of where it is
// going to, and holds when it is there.
func TestMoveJudgedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		judged []string // while it moves from a to b, one after the other; of backends to leave
		moves  []int
	}{
		"the first again": {[]string{"a"}, nil},
		"the second":      {[]string{"b"}, []int{1}},
		"and not":         {[]string{"b", "c"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGroup()
				e, f := openMover(g, testPolicy)
				if !e.Moving() { // it was lost
					t.Fatal("not moving")
				}
				g.Judge(leave("a"))
				e.Towards(at("b"))
				for _, authority := range tt.judged {
					g.Judge(leave(authority))
				}
				time.Sleep(Grace + testPolicy.Window)
				f.told(t, nil, 0)
				e.Moved()
				f.told(t, tt.moves, 0)
			})
		})
	}
}

// TestMoveEnds: whatever ends a tunnel ends it while it moves, or before.
func TestMoveEnds(t *testing.T) {
	end := func(f Facts) Verdict { return Verdict{Drain: true, Route: f.Route, Backend: f.Backend} }
	for name, tt := range map[string]func(g *Group, e *Entry){
		"its route goes while it waits for its turn": func(g *Group, e *Entry) {
			g.Judge(leave("a"))
			g.Judge(end)
		},
		"its route goes while it moves": func(g *Group, e *Entry) {
			e.Moving()
			g.Judge(end)
		},
		"its route goes while it moves, then it arrives": func(g *Group, e *Entry) {
			e.Moving()
			e.Towards(at("b"))
			g.Judge(end)
			e.Moved()
		},
		"shutdown while it moves": func(g *Group, e *Entry) {
			e.Moving()
			g.Shutdown(testPolicy)
			e.Moved()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGroup()
				e, f := openMover(g, testPolicy)
				tt(g, e)
				if e.Moving() {
					t.Error("it moves once more")
				}
				time.Sleep(Grace + testPolicy.Window)
				f.told(t, nil, 1)
			})
		})
	}
}

// TestMoveLetOff: a turn to move is taken back like any other, and before Opened it is kept.
func TestMoveLetOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		_, f := openMover(g, testPolicy)
		g.Judge(leave("a"))
		g.Judge(leave())
		time.Sleep(Grace + testPolicy.Window)
		f.told(t, nil, 0)

		late := g.Reserve(Facts{Route: "r", Backend: at("a")})
		late.MayMove()
		g.Judge(leave("a"))
		synctest.Wait()
		time.Sleep(time.Millisecond)
		opened := &fakeMover{fakeTunnel: newFakeTunnel()}
		late.Opened(opened)
		opened.told(t, []int{0}, 0)
	})
}
