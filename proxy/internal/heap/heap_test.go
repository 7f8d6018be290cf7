package heap

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// collections counts the garbage collections that were asked for.
func collections() uint32 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.NumForcedGC
}

// TestTend: memory is returned once after each burst, and never while nothing happens.
func TestTend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var opened atomic.Uint64
		go Tend(ctx, opened.Load)
		after := func(d time.Duration) uint32 {
			before := collections()
			time.Sleep(d)
			synctest.Wait()
			return collections() - before
		}
		if n := after(10 * interval); n != 0 {
			t.Errorf("%d collections although no tunnel has opened", n)
		}
		for range 5 {
			opened.Add(100)
			if n := after(interval); n != 0 {
				t.Errorf("%d collections in the middle of a burst", n)
			}
		}
		if n := after(10 * interval); n != 1 {
			t.Errorf("%d collections after a burst, want 1", n)
		}
		cancel()
		synctest.Wait()
	})
}

// TestGCPercent: a small heap has the whole head room, a large one Go's own, and the
// percentage only falls as the heap grows.
func TestGCPercent(t *testing.T) {
	before := gcPercent(0)
	if before != 400 {
		t.Errorf("gcPercent(0) = %d, want 400", before)
	}
	for live := uint64(1 << 20); live < 1<<36; live += live / 8 {
		percent := gcPercent(live)
		room := live * uint64(percent) / 100
		if percent > before || percent < 100 || room > max(live, headRoom) {
			t.Errorf("%d MiB live: %d %%, %d before", live>>20, percent, before)
		}
		if percent > 100 && percent < 400 && room < headRoom*2/3 {
			t.Errorf("%d MiB live: %d %% is room for %d MiB only", live>>20, percent, room>>20)
		}
		before = percent
	}
}
