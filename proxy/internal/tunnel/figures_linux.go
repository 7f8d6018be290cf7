package tunnel

import "time"

// ReadFigures reads the figures of tunnels. It waits for their loops, and must not be
// called on one.
func ReadFigures(tunnels []Tunnel) []Figures {
	all := make([]Figures, len(tunnels))
	onLoop := make(map[*loop][]int)
	for i, t := range tunnels {
		if l, ok := t.(*loopTunnel); ok {
			onLoop[l.loop.Load()] = append(onLoop[l.loop.Load()], i)
		} else {
			all[i] = figuresOf(t)
		}
	}
	done := make(chan struct{}, len(onLoop))
	for len(onLoop) > 0 {
		for l, indexes := range onLoop {
			turn := indexes[:min(len(indexes), MaxFigures)]
			l.post(command{do: cmdRun, run: func() {
				for _, i := range turn {
					all[i] = l.figures(tunnels[i].(*loopTunnel))
				}
				done <- struct{}{}
			}})
		}
		for range onLoop {
			<-done
		}
		for l, indexes := range onLoop {
			if len(indexes) <= MaxFigures {
				delete(onLoop, l)
			} else {
				onLoop[l] = indexes[MaxFigures:]
			}
		}
	}
	return all
}

// figures is on the loop's goroutine.
func (l *loop) figures(h *loopTunnel) Figures {
	t := h.slot.Load()
	if t == nil || h.loop.Load() != l {
		return Figures{Counts: h.Counts()}
	}
	f := t.session.figures(time.Duration(l.now))
	f.Counts = t.counts()
	return f
}
