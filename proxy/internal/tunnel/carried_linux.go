package tunnel

import (
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
)

// carried are the loop's numbers of a tunnel's Tally; nil if it has none.
func (l *loop) carried(t *slot) *Carried {
	tally := l.slab.ref(t).tally
	if tally == nil {
		return nil
	}
	loops := tally.byLoop.Load()
	if loops == nil {
		made := make([]atomic.Pointer[Carried], len(l.all))
		tally.byLoop.CompareAndSwap(nil, &made)
		loops = tally.byLoop.Load()
	}
	own := &(*loops)[l.number]
	c := own.Load()
	if c == nil {
		c = new(Carried)
		own.Store(c)
	}
	return c
}

// ReadTallies returns what each Tally sums up to. It waits for the engine's loops, and must
// not be called on one.
func ReadTallies(e Engine, all []*Tally) []Carried {
	sums := make([]Carried, len(all))
	for i, t := range all {
		t.onPortable(func(c *Carried) { c.AddTo(&sums[i]) })
	}
	on, ok := e.(*loops)
	if !ok {
		return sums
	}
	for _, l := range on.loops {
		var has []int
		for i, t := range all {
			if byLoop := t.byLoop.Load(); byLoop != nil && (*byLoop)[l.number].Load() != nil {
				has = append(has, i)
			}
		}
		for len(has) > 0 {
			turn := has[:min(len(has), MaxFigures)]
			has = has[len(turn):]
			l.ask(func() {
				for _, i := range turn {
					(*all[i].byLoop.Load())[l.number].Load().AddTo(&sums[i])
				}
			})
		}
	}
	return sums
}

// ask has f run on the loop, and returns when it has.
func (l *loop) ask(f func()) {
	done := make(chan struct{})
	l.post(command{do: cmdRun, run: func() {
		defer close(done)
		f()
	}})
	<-done
}

// LoopLoad is how an event loop is doing.
type LoopLoad struct {
	Busy  float64 // the share of its time that it has worked lately
	Turns Spread  // how long it worked between two looks for events, in seconds, as histogram.Turns
}

// ReadLoops returns how the engine's loops are doing. It waits for them, and must not be
// called on one.
func ReadLoops(e Engine) []LoopLoad {
	on, ok := e.(*loops)
	if !ok {
		return nil
	}
	loads := make([]LoopLoad, len(on.loops))
	for i, l := range on.loops {
		loads[i] = LoopLoad{Busy: float64(l.share.Load()) / 1000, Turns: Spread{Counts: make([]uint64, len(histogram.Turns)+1)}}
		if !l.hasWorked.Load() {
			continue // and need not be waked
		}
		l.ask(func() {
			sum := &loads[i].Turns
			l.turns.addTo(&sum)
		})
	}
	return loads
}

// noteTurn counts the time that the loop has worked since it last looked for events.
func (l *loop) noteTurn(d time.Duration) {
	if l.turns.Counts == nil {
		l.turns.Counts = make([]uint64, len(histogram.Turns)+1)
		l.hasWorked.Store(true)
	}
	l.turns.Counts[histogram.Turns.Bucket(d.Seconds())]++
	l.turns.Sum += d.Seconds()
}
