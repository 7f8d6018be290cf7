//go:build !linux

package tunnel

// ReadTallies returns what each Tally sums up to.
func ReadTallies(_ Engine, all []*Tally) []Carried {
	sums := make([]Carried, len(all))
	for i, t := range all {
		t.onPortable(func(c *Carried) { c.AddTo(&sums[i]) })
	}
	return sums
}

// LoopLoad is how an event loop is doing.
type LoopLoad struct {
	Busy  float64
	Turns Spread
}

// ReadLoops returns how the engine's loops are doing: here there are none.
func ReadLoops(Engine) []LoopLoad { return nil }
