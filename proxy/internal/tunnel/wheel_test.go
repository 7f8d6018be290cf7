package tunnel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWheel plays random timers through a wheel, and through a plain map.
func TestWheel(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		timers := make([]timing, 100)
		w := newWheel(func(i uint32) *timing { return &timers[i] })
		want := map[uint32]uint64{}
		var now uint64
		for range 2000 {
			i := uint32(rnd.IntN(len(timers)))
			switch rnd.IntN(4) {
			case 0, 1:
				when := now + rnd.Uint64()>>(22+rnd.IntN(42))
				w.set(i, when)
				want[i] = max(when, now+1)
			case 2:
				w.drop(i)
				delete(want, i)
			default:
				now += rnd.Uint64() >> (30 + rnd.IntN(34))
				advanceBoth(t, &w, want, now)
			}
			holdNext(t, &w, want)
		}
	}
}

// advanceBoth holds what fires against the map, and its order.
func advanceBoth(t *testing.T, w *wheel, want map[uint32]uint64, to uint64) {
	t.Helper()
	last := uint64(0)
	w.advance(to, func(i uint32) {
		when, ok := want[i]
		if !ok || when > to || when < last || w.now != when {
			t.Fatalf("timer %d fired at %d, behind one of %d; wanted at %d (%v)", i, w.now, last, when, ok)
		}
		last = when
		delete(want, i)
	})
	for i, when := range want {
		if when <= to {
			t.Fatalf("at %d, timer %d of %d has not fired", to, i, when)
		}
	}
}

// holdNext: the wheel must not be left alone past the earliest timer.
func holdNext(t *testing.T, w *wheel, want map[uint32]uint64) {
	t.Helper()
	tick, ok := w.next()
	if ok != (len(want) > 0) {
		t.Fatalf("next is %d, %v with %d timers", tick, ok, len(want))
	}
	for _, when := range want {
		if tick > when {
			t.Fatalf("next is %d, and a timer is due at %d", tick, when)
		}
	}
}

// A timer that fires may set and drop others, itself included.
func TestWheelChangedWhileItTurns(t *testing.T) {
	timers := make([]timing, 8)
	w := newWheel(func(i uint32) *timing { return &timers[i] })
	for i := range uint32(4) {
		w.set(i, 100)
	}
	var fired []uint32
	w.advance(300, func(i uint32) {
		if fired = append(fired, i); len(fired) > 1 {
			return
		}
		for other := range uint32(4) {
			w.drop(other)
		}
		w.set(i, 0) // the next tick
		w.set(7, 250)
	})
	if first := fired[0]; !slices.Equal(fired, []uint32{first, first, 7}) {
		t.Errorf("%v fired", fired)
	}
	if tick, ok := w.next(); ok {
		t.Errorf("something is due at %d", tick)
	}
}

func TestWheelsEnd(t *testing.T) {
	timers := make([]timing, 1)
	w := newWheel(func(i uint32) *timing { return &timers[i] })
	w.set(0, ^uint64(0))
	if timers[0].when != wheelSpan-1 {
		t.Errorf("a timer beyond reach was filed at %d", timers[0].when)
	}
}
