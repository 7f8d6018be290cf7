package cli

// Memory: a handshake leaves garbage that is many times what its tunnel needs
// while it is open, and a proxy's heap is small: with the collector's usual
// head room, as much garbage as there is memory in use, it would run all the time.

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// quiet is how long no tunnel opens or ends before what the last ones left is
	// given back, and how often all this is looked at.
	quiet = time.Second
	// headRoom is how much garbage there may be before the collector runs, if that
	// is more than there is memory in use.
	headRoom = 16 << 20
)

// tendHeap is a goroutine. It keeps the collector's head room, and each time that
// tunnels have opened or ended and then none has for a while, it returns what that
// left to the system. events counts both since the start.
func tendHeap(ctx context.Context, events func() uint64) {
	ticker := time.NewTicker(quiet)
	defer ticker.Stop()
	var before, given uint64
	percent := 0
	for {
		if now := gcPercent(liveHeap()); now != percent && os.Getenv("GOGC") == "" { // else it is somebody's wish
			percent = now
			debug.SetGCPercent(percent)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := events()
		if now == before && now != given {
			debug.FreeOSMemory()
			given = now
		}
		before = now
	}
}

// gcPercent is the GOGC for a heap of that size: the usual 100, or as much as
// makes the head room. In steps of half as much again, since setting it stops
// the world for a moment.
func gcPercent(live uint64) int {
	const most = 400 // the runtime's smallest heap of 4 MiB, times this, is the head room
	wanted := 100 * headRoom / max(float64(live), 1)
	step := math.Floor(math.Log(wanted/100) / math.Log(1.5))
	return int(min(max(100*math.Pow(1.5, step), 100), most))
}

// liveHeap is what the last collection left, in bytes.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
