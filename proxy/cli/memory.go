package cli

// Memory: a burst of handshakes leaves garbage that is many times what their
// tunnels need while they are open.

import (
	"context"
	"runtime/debug"
	"time"
)

// quiet is how long no tunnel opens before what the last ones left is given back.
const quiet = time.Second

// giveBack is a goroutine: each time that tunnels have opened and then none has
// for a while, it returns their handshakes' garbage to the system. opened counts
// tunnels since the start.
func giveBack(ctx context.Context, opened func() uint64) {
	ticker := time.NewTicker(quiet)
	defer ticker.Stop()
	var before, given uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := opened()
		if now == before && now != given {
			debug.FreeOSMemory()
			given = now
		}
		before = now
	}
}
