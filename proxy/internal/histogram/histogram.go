// Package histogram counts values by size, for whatever room has something to measure.
// Package metrics publishes the counts as classic histograms.
package histogram

import (
	"math"
	"sync/atomic"
	"time"
)

// Layout is the upper bounds of buckets, in ascending order, in the unit that is
// published: seconds or bytes. A value above the last is in one more bucket.
type Layout []float64

// The layouts that the rooms share.
var (
	// Waits is for what a person or a program waits for.
	Waits = Layout{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	// Lives is for what may last for weeks.
	Lives = Layout{1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600}
	// Turns is for how long an event loop is busy before it looks for events again.
	Turns = Layout{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1}
	// Sizes is for bytes.
	Sizes = Layout{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20}
)

// Bucket is the index of the bucket that a value is in.
func (l Layout) Bucket(v float64) int {
	for i, bound := range l {
		if v <= bound {
			return i
		}
	}
	return len(l)
}

// Histogram counts values. Safe for concurrent use. It must not be copied.
type Histogram struct {
	layout Layout
	counts []atomic.Uint64 // one more than the layout has bounds
	sum    atomic.Uint64   // bits of a float64
}

// New returns an empty Histogram.
func New(l Layout) *Histogram {
	return &Histogram{layout: l, counts: make([]atomic.Uint64, len(l)+1)}
}

// Layout is the one that it was made with.
func (h *Histogram) Layout() Layout { return h.layout }

// Observe counts a value.
func (h *Histogram) Observe(v float64) {
	h.counts[h.layout.Bucket(v)].Add(1)
	h.add(v)
}

// Since counts the seconds since a time.
func (h *Histogram) Since(t time.Time) { h.Observe(time.Since(t).Seconds()) }

func (h *Histogram) add(v float64) {
	for {
		before := h.sum.Load()
		if h.sum.CompareAndSwap(before, math.Float64bits(math.Float64frombits(before)+v)) {
			return
		}
	}
}

// AddTo adds what was counted in each bucket to counts, which has one more element than
// the layout, and returns the sum of the values.
func (h *Histogram) AddTo(counts []uint64) (sum float64) {
	for i := range h.counts {
		counts[i] += h.counts[i].Load()
	}
	return math.Float64frombits(h.sum.Load())
}

// Lazy is a Histogram that is made when the first value comes: most of what could be
// measured never is. The zero value is ready, and safe for concurrent use.
type Lazy struct{ made atomic.Pointer[Histogram] }

// Of returns the Histogram, made with l if there is none.
func (z *Lazy) Of(l Layout) *Histogram {
	if h := z.made.Load(); h != nil {
		return h
	}
	z.made.CompareAndSwap(nil, New(l))
	return z.made.Load()
}

// Get returns the Histogram; nil if nothing was counted.
func (z *Lazy) Get() *Histogram { return z.made.Load() }
