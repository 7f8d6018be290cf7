package tunnel

// What engines know of their open tunnels, for those who look at them.

import "time"

// Figures are one tunnel's at one moment. Of a tunnel that has just ended, or changes its
// loop, there are only the Counts.
type Figures struct {
	Counts
	Age        time.Duration
	Idle       time.Duration // since bytes have passed either way
	Expires    time.Duration // until the lifetime limit ends it; 0: nothing does
	ClientRTT  time.Duration // of the last ping that was answered; 0: none was
	BackendRTT time.Duration
}

// MaxFigures is how many tunnels' figures a loop gives at once: what looks at tunnels must
// not hold up those that carry bytes.
const MaxFigures = 256

// figures reads the session's view; now is on its clock.
func (s *session) figures(now time.Duration) Figures {
	f := Figures{
		Age:        now - s.start,
		Idle:       max(0, now-max(s.dirs[fromClient].moved, s.dirs[fromBackend].moved)),
		ClientRTT:  s.dirs[fromClient].rtt,
		BackendRTT: s.dirs[fromBackend].rtt,
	}
	if end := s.lifetimeEnd(); end > 0 {
		f.Expires = max(1, end-now)
	}
	return f
}

// ponged notes that the source of a direction has answered a ping.
func (s *session) ponged(dir int, now time.Duration) {
	if at := s.dirs[1-dir].pingedAt; at > 0 { // by its present peer
		s.dirs[dir].rtt = max(1, now-at)
	}
}

func (t *tunnel) ponged(dir int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.session.ponged(dir, t.since())
	t.tally.onPortable(func(c *Carried) { c.ponged(dir, t.session.dirs[dir].rtt) })
}

func (t *tunnel) figures() Figures {
	t.mu.Lock()
	for i := range t.dirs {
		t.dirs[i].stampLocked()
	}
	f := t.session.figures(t.since())
	t.mu.Unlock()
	f.Counts = t.Counts()
	return f
}

// figuresOf is for a tunnel that is not on a loop.
func figuresOf(t Tunnel) Figures {
	if known, ok := t.(*tunnel); ok {
		return known.figures()
	}
	return Figures{Counts: t.Counts()}
}
