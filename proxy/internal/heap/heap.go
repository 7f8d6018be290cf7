// Package heap tunes Go's garbage collector for a proxy: a handshake leaves many times
// the garbage that its tunnel needs while it is open, and the heap is small, so with the
// usual head room, as much garbage as there is memory in use, the collector would run all
// the time.
package heap

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// interval is how often the heap is looked at, and how long nothing must happen
	// before memory is returned to the system.
	interval = time.Second
	// headRoom is how much garbage there may be before the collector runs, if that
	// is more than there is memory in use.
	headRoom = 16 << 20
)

// Tend keeps the head room until ctx ends, and returns memory to the system whenever
// events, the number of tunnels opened and ended since the start, has changed and then
// stands still.
func Tend(ctx context.Context, events func() uint64) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var before, returned uint64
	percent := 0
	for {
		if now := gcPercent(live()); now != percent {
			percent = now
			collector.set(percent)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := events()
		if now == before && now != returned {
			debug.FreeOSMemory()
			returned = now
		}
		before = now
	}
}

// tightPercent is the GOGC while a large set of routes is loaded. Most of what that makes
// stays until its end, so the usual head room would double the peak for nothing.
const tightPercent = 15

// largeSet is how many bytes of routes files are a large set. A smaller one is loaded
// faster with the usual head room, which is then a few MiB.
const largeSet = 512 << 10

// Loading keeps the head room small until done is called, if size, the bytes of a set of
// routes files, makes that worth while. Safe for concurrent use.
func Loading(size int) (done func()) {
	if size < largeSet {
		return func() {}
	}
	collector.loading(1)
	return func() { collector.loading(-1) }
}

// collector is the one of this process.
var collector = tuner{usual: 100}

// tuner sets GOGC for all who have a wish for it.
type tuner struct {
	mu    sync.Mutex
	usual int // outside of loads
	loads int
}

func (t *tuner) set(usual int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.usual = usual
	if t.loads == 0 {
		t.apply(usual)
	}
}

func (t *tuner) loading(change int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.loads
	switch t.loads += change; {
	case before == 0:
		t.apply(tightPercent)
	case t.loads == 0:
		t.apply(t.usual)
	}
}

func (t *tuner) apply(percent int) {
	if os.Getenv("GOGC") == "" { // else it is what the operator wants
		debug.SetGCPercent(percent)
	}
}

// gcPercent is the GOGC for so many live bytes: the usual 100, or as much as makes the
// head room. It is in steps of half as much again, since setting it stops the world for
// a moment.
func gcPercent(live uint64) int {
	const most = 400 // the runtime's smallest heap of 4 MiB, times this, is the head room
	wanted := 100 * headRoom / max(float64(live), 1)
	step := math.Floor(math.Log(wanted/100) / math.Log(1.5))
	return int(min(max(100*math.Pow(1.5, step), 100), most))
}

// live is how many bytes the last collection left.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
