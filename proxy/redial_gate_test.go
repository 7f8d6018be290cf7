package proxy

import (
	"context"
	"testing"
)

// TestRedialGate lets in few at first, one more for each that goes well, few again
// after one that does not; and nobody who has given up.
func TestRedialGate(t *testing.T) {
	var g redialGate
	gone, giveUp := context.WithCancel(t.Context())
	giveUp()
	entered := func() (n int) {
		for g.enter(gone) {
			n++
		}
		return n
	}
	full := func(want int) {
		t.Helper()
		for range 1000 { // who is let in and gone at once may count as either
			entered()
		}
		if g.inside != want || len(g.waiting) != 0 {
			t.Fatalf("%d inside and %d waiting, want %d and none", g.inside, len(g.waiting), want)
		}
	}
	full(fewestRedials)
	for inside := fewestRedials; inside < mostRedials; inside++ {
		g.leave(true)
		full(inside + 1)
	}
	g.leave(true)
	full(mostRedials)
	for inside := mostRedials - 1; inside >= fewestRedials; inside-- {
		g.leave(false)
		full(inside)
	}
	g.leave(false)
	full(fewestRedials)
	waits := make(chan bool)
	go func() { waits <- g.enter(t.Context()) }()
	g.leave(true)
	if !<-waits {
		t.Error("who waited was not let in")
	}
	for g.inside > 0 {
		g.leave(true)
	}
	if g.wider != 0 {
		t.Errorf("%d wider after the last has left", g.wider)
	}
}

// TestRedialGatePass: who asks nobody makes room, and the gate is as wide as before.
func TestRedialGatePass(t *testing.T) {
	var g redialGate
	for range fewestRedials {
		g.enter(t.Context())
	}
	g.leave(true)
	g.pass()
	if g.inside != fewestRedials-2 || g.wider != 1 {
		t.Errorf("%d inside and %d wider, want %d and 1", g.inside, g.wider, fewestRedials-2)
	}
}
