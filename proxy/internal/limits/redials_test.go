package limits

import (
	"context"
	"testing"
)

// TestRedials admits few at first, one more after each success, and few again after a
// failure; a redial that has left the queue is never admitted.
func TestRedials(t *testing.T) {
	var r Redials
	gone, giveUp := context.WithCancel(t.Context())
	giveUp()
	entered := func() (n int) {
		for r.Acquire(gone) {
			n++
		}
		return n
	}
	full := func(want int) {
		t.Helper()
		for range 1000 { // one that is admitted as it leaves may count as either
			entered()
		}
		if r.running != want || len(r.waiting) != 0 {
			t.Fatalf("%d running and %d waiting, want %d and none", r.running, len(r.waiting), want)
		}
	}
	full(minRedials)
	for inside := minRedials; inside < maxRedials; inside++ {
		r.Done(true)
		full(inside + 1)
	}
	r.Done(true)
	full(maxRedials)
	for inside := maxRedials - 1; inside >= minRedials; inside-- {
		r.Done(false)
		full(inside)
	}
	r.Done(false)
	full(minRedials)
	waits := make(chan bool)
	go func() { waits <- r.Acquire(t.Context()) }()
	r.Done(true)
	if !<-waits {
		t.Error("a waiting redial was not admitted")
	}
	for r.running > 0 {
		r.Done(true)
	}
	if r.extra != 0 {
		t.Errorf("%d extra after the last has ended", r.extra)
	}
}

// TestRedialsRelease: a redial that asked no backend frees its place and leaves the
// limit as it was.
func TestRedialsRelease(t *testing.T) {
	var r Redials
	for range minRedials {
		r.Acquire(t.Context())
	}
	r.Done(true)
	r.Release()
	if r.running != minRedials-2 || r.extra != 1 {
		t.Errorf("%d running and %d extra, want %d and 1", r.running, r.extra, minRedials-2)
	}
}
