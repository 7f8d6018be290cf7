package cli

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

// TestGiveBack: once after each burst, when it is over, and never while nothing happens.
func TestGiveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var opened atomic.Uint64
		go giveBack(ctx, opened.Load)
		after := func(d time.Duration) uint32 {
			before := collections()
			time.Sleep(d)
			synctest.Wait()
			return collections() - before
		}
		if n := after(10 * quiet); n != 0 {
			t.Errorf("%d collections although no tunnel has opened", n)
		}
		for range 5 {
			opened.Add(100)
			if n := after(quiet); n != 0 {
				t.Errorf("%d collections in the middle of a burst", n)
			}
		}
		if n := after(10 * quiet); n != 1 {
			t.Errorf("%d collections after a burst, want 1", n)
		}
		cancel()
		synctest.Wait()
	})
}
