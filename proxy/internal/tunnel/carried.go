package tunnel

// What tunnels have carried, for those who count all of them: by route, and how large
// messages were. A loop's numbers are plain fields that the loop alone touches; a reader has
// the loop add them up.

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// Tally sums what many tunnels carry, those of one route. It must not be copied. The zero
// value is ready.
type Tally struct {
	byLoop   atomic.Pointer[[]atomic.Pointer[Carried]] // one for each loop; each is touched on its loop only
	mu       sync.Mutex
	portable Carried // guarded by mu
}

// Carried is what tunnels have carried, by direction: from the client, and from the backend.
type Carried struct {
	Bytes  [2]int64
	Text   [2]int64 // messages
	Binary [2]int64

	Sizes [2]*Spread // of messages, in bytes; nil: there was none
	RTT   [2]*Spread // of pings, in seconds, by the peer that has answered
}

// Spread is a histogram that one goroutine fills.
type Spread struct {
	Counts []uint64
	Sum    float64
}

func observe(s **Spread, l histogram.Layout, v float64) {
	if *s == nil {
		*s = &Spread{Counts: make([]uint64, len(l)+1)}
	}
	(*s).Counts[l.Bucket(v)]++
	(*s).Sum += v
}

// message counts a message whose last byte has come.
func (c *Carried) message(dir int, op wsproto.Opcode, size int64) {
	if op == wsproto.OpText {
		c.Text[dir]++
	} else {
		c.Binary[dir]++
	}
	observe(&c.Sizes[dir], histogram.Sizes, float64(size))
}

func (c *Carried) ponged(peer int, rtt time.Duration) {
	observe(&c.RTT[peer], histogram.Waits, rtt.Seconds())
}

// AddTo adds the numbers to those of others.
func (c *Carried) AddTo(sum *Carried) {
	for dir := range c.Bytes {
		sum.Bytes[dir] += c.Bytes[dir]
		sum.Text[dir] += c.Text[dir]
		sum.Binary[dir] += c.Binary[dir]
		c.Sizes[dir].addTo(&sum.Sizes[dir])
		c.RTT[dir].addTo(&sum.RTT[dir])
	}
}

func (s *Spread) addTo(sum **Spread) {
	if s == nil {
		return
	}
	if *sum == nil {
		*sum = &Spread{Counts: make([]uint64, len(s.Counts))}
	}
	for i, n := range s.Counts {
		(*sum).Counts[i] += n
	}
	(*sum).Sum += s.Sum
}

// onPortable changes the numbers of tunnels that are on no loop. t may be nil.
func (t *Tally) onPortable(change func(*Carried)) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.portable)
}

// Ended returns the sum of a Tally whose tunnels have all called Done.
func (t *Tally) Ended() (sum Carried) {
	t.onPortable(func(c *Carried) { c.AddTo(&sum) })
	if loops := t.byLoop.Load(); loops != nil {
		for i := range *loops {
			if c := (*loops)[i].Load(); c != nil {
				c.AddTo(&sum)
			}
		}
	}
	return sum
}
