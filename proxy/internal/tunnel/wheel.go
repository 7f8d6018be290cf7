package tunnel

// The timer wheel of an event loop: seven rings of 64 buckets, each ring 64
// times as coarse as the one before, so that filing, moving and dropping a timer
// cost the same however many there are. A timer in a coarse bucket is filed
// again, finer, when the wheel reaches the bucket (a hierarchical timing wheel:
// Varghese and Lauck, 1987).
//
// Time is counted in ticks; what a tick is, is the owner's affair. A timer never
// fires early, and fires in the advance that passes its tick.

import "math/bits"

const (
	wheelBits    = 6
	wheelBuckets = 1 << wheelBits
	wheelRings   = 7
	// wheelSpan is how many ticks lie in the wheel's reach: at 4 ms, 500 years.
	wheelSpan = 1 << (wheelBits * wheelRings)
)

// timing is one timer's place in a wheel; the zero value is filed nowhere.
// Timers are known by an index, not a pointer: they live in slabs that the
// garbage collector need not look into.
type timing struct {
	when       uint64
	next, prev uint32 // in the bucket's list, as index+1; 0 ends it
	bucket     uint16 // ring*wheelBuckets + bucket, plus 1; 0 is nowhere
}

// wheel holds timers. Not for concurrent use. Make it with newWheel.
//
// Invariant: a timer in ring r shares all digits above the r-th (base 64) with
// now, and its r-th digit is greater than now's; so every timer in a finer ring is
// due before any in a coarser one.
type wheel struct {
	now   uint64             // every tick up to this one has been looked at
	used  [wheelRings]uint64 // a bit for each bucket that is not empty
	heads [wheelRings * wheelBuckets]uint32
	at    func(index uint32) *timing
}

func newWheel(at func(uint32) *timing) wheel { return wheel{at: at} }

// set files the timer at tick when, or at the next one if that has passed. It
// may be filed already.
func (w *wheel) set(index uint32, when uint64) {
	w.drop(index)
	when = min(max(when, w.now+1), w.now|(wheelSpan-1))
	if when <= w.now { // the last tick of all
		return
	}
	ring := (bits.Len64(w.now^when) - 1) / wheelBits
	digit := when >> (ring * wheelBits) % wheelBuckets
	bucket := uint16(ring*wheelBuckets) + uint16(digit)
	t := w.at(index)
	*t = timing{when: when, next: w.heads[bucket], bucket: bucket + 1}
	if t.next != 0 {
		w.at(t.next - 1).prev = index + 1
	}
	w.heads[bucket] = index + 1
	w.used[ring] |= 1 << digit
}

// drop takes the timer out, if it is filed.
func (w *wheel) drop(index uint32) {
	t := w.at(index)
	if t.bucket == 0 {
		return
	}
	bucket := t.bucket - 1
	if t.prev != 0 {
		w.at(t.prev - 1).next = t.next
	} else {
		w.heads[bucket] = t.next
	}
	if t.next != 0 {
		w.at(t.next - 1).prev = t.prev
	}
	if w.heads[bucket] == 0 {
		w.used[bucket/wheelBuckets] &^= 1 << (bucket % wheelBuckets)
	}
	*t = timing{}
}

// next is a tick by which the wheel has to be advanced: that of the earliest
// timer, or an earlier one.
func (w *wheel) next() (tick uint64, ok bool) {
	for ring, used := range w.used {
		if used != 0 {
			shift := ring * wheelBits
			above := w.now >> (shift + wheelBits) << (shift + wheelBits)
			return above + uint64(bits.TrailingZeros64(used))<<shift, true
		}
	}
	return 0, false
}

// advance moves the wheel on to tick to, and calls fire for every timer that is
// due by then, in the order of their ticks. fire may set and drop any timer; the
// one it is called for is filed no more.
func (w *wheel) advance(to uint64, fire func(index uint32)) {
	for {
		tick, ok := w.next()
		if !ok || tick > to {
			break
		}
		w.open(tick, fire)
	}
	w.now = max(w.now, to)
}

// open moves the wheel to a bucket's first tick, and empties the bucket.
func (w *wheel) open(tick uint64, fire func(index uint32)) {
	ring := 0
	for w.used[ring] == 0 {
		ring++
	}
	bucket := ring*wheelBuckets + bits.TrailingZeros64(w.used[ring])
	w.now = tick
	for w.heads[bucket] != 0 {
		index := w.heads[bucket] - 1
		when := w.at(index).when
		w.drop(index)
		if when > tick {
			w.set(index, when)
		} else {
			fire(index)
		}
	}
}
