package upstream

// Whether a backend may get something new, and how much of it: what probes and
// failures have found out, read by every choice.

import "sync/atomic"

// trouble is one reason for which a backend gets nothing new. Several may hold
// at once, each set and lifted by whoever found it out.
type trouble uint32

const (
	unhealthy trouble = 1 << iota // its probes fail, or none has passed yet
	ejected                       // too many connections or handshakes failed
)

// warmth is in thousandths of a backend's weight.
const fullWarmth = 1000

// availability is what is known of a backend's fitness. Its zero value is that
// of a backend which nobody has complained of. Safe for concurrent use; reading
// it is one load each.
type availability struct {
	troubles atomic.Uint32
	cold     atomic.Int32 // thousandths of the weight that are withheld: slow start
}

// Available says that nothing is known against giving the backend something new.
func (b *Backend) Available() bool { return b.fitness.troubles.Load() == 0 }

// setTrouble says that a reason holds, or no longer does, and whether that changed anything.
func (b *Backend) setTrouble(t trouble, on bool) (changed bool) {
	if on {
		return b.fitness.troubles.Or(uint32(t))&uint32(t) == 0
	}
	return b.fitness.troubles.And(^uint32(t))&uint32(t) != 0
}

// inTrouble says whether that reason holds.
func (b *Backend) inTrouble(t trouble) bool { return b.fitness.troubles.Load()&uint32(t) != 0 }

// setWarmth lets the backend have that many thousandths of its weight, from 0 to
// 1000. Below 1 it is still picked where it is alone.
func (b *Backend) setWarmth(thousandths int) {
	b.fitness.cold.Store(int32(fullWarmth - min(max(thousandths, 0), fullWarmth)))
}

func (b *Backend) warmth() int64 { return fullWarmth - int64(b.fitness.cold.Load()) }
