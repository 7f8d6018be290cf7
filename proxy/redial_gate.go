package proxy

// How many of a route's redials ask backends at the same time: a thousand tunnels of
// one dead backend must not be the death of the next. It begins with a few, since a
// second dead backend would have all of them, and there are as many retries as that;
// each that succeeds lets in one more.

import (
	"context"
	"slices"
	"sync"
)

const (
	fewestRedials = retryLoan
	mostRedials   = 256
)

// redialGate lets redials in, the others wait in the order they came in. The zero
// value is ready, and as narrow as it gets. Safe for concurrent use.
type redialGate struct {
	mu      sync.Mutex      // guards all below
	wider   int             // than at first
	inside  int             // who has entered and not left
	waiting []chan struct{} // closed for whoever is let in
}

// enter waits to be let in, and reports whether it was before ctx ended: then leave
// must follow.
func (g *redialGate) enter(ctx context.Context) bool {
	turn := make(chan struct{})
	g.mu.Lock()
	g.waiting = append(g.waiting, turn)
	g.letInLocked()
	g.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
		return !g.giveUp(turn)
	}
}

// giveUp takes back a turn, if it has not come.
func (g *redialGate) giveUp(turn chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.Index(g.waiting, turn)
	if at < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, at, at+1)
	return true
}

// leave makes room for another, and for one more if it went well.
func (g *redialGate) leave(well bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wider = min(g.wider+1, mostRedials-fewestRedials)
	if !well {
		g.wider = 0
	}
	g.leaveLocked()
}

// pass is leave for who has asked nobody.
func (g *redialGate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaveLocked()
}

func (g *redialGate) leaveLocked() {
	g.inside--
	if g.inside == 0 && len(g.waiting) == 0 {
		g.wider = 0
	}
	g.letInLocked()
}

func (g *redialGate) letInLocked() {
	for len(g.waiting) > 0 && g.inside < fewestRedials+g.wider {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
		g.inside++
	}
}
