package upstream

// The fewest recent bytes by weight: bytes of tunnels as they flow, and of ordinary
// requests. Bytes of a minute ago count half, so that a backend that was busy this morning
// is not spared this evening.
//
// Bytes come after the choice. A burst of new tunnels would all go to one backend; so each
// choice charges its backend at once what one brings on average, and its first bytes pay
// that back.

import (
	"math"
	"time"
)

const (
	bytesHalfLife = time.Minute
	leastCharge   = 1 << 10 // bytes, about a handshake
)

type leastBytes struct {
	backends map[*Backend]*recentBytes
	choices  decaying // of new tunnels and requests
}

type recentBytes struct {
	seen    int64    // of Backend.bytes
	recent  decaying // bytes and charges
	prepaid float64  // part of recent that no byte has paid back yet
}

// decaying is a sum whose parts halve every bytesHalfLife.
type decaying struct {
	sum float64
	at  time.Time
}

// decay decays the sum. It returns the factor, and the mean factor of bytes that have
// flowed evenly since: the first of them have decayed as long as the sum, the last not at all.
func (f *decaying) decay(now time.Time) (factor, meanwhile float64) {
	halves := float64(now.Sub(f.at)) / float64(bytesHalfLife)
	factor, meanwhile = math.Exp2(-halves), 1
	if halves > 1e-9 {
		meanwhile = (1 - factor) / (halves * math.Ln2)
	}
	f.sum *= factor
	f.at = now
	return factor, meanwhile
}

func newLeastBytes(Settings) Policy { return &leastBytes{backends: map[*Backend]*recentBytes{}} }

func (l *leastBytes) Pick(_ Choice, candidates []*Member) int {
	now := time.Now()
	l.choices.decay(now)
	recent, arrivals := 0.0, l.choices.sum+1
	for _, m := range candidates {
		recent += l.update(m.Backend, now).recent.sum
		arrivals += float64(m.load())
	}
	charge := max(recent/arrivals, leastCharge)
	best, least := 0, math.Inf(1)
	for i, m := range candidates {
		if after := (l.backends[m.Backend].recent.sum + charge) / float64(m.weight()); after < least {
			best, least = i, after
		}
	}
	l.choices.sum++
	l.backends[candidates[best].Backend].charge(charge)
	return best
}

// update brings a backend's bytes up to date. Bytes before the first update do not count.
func (l *leastBytes) update(b *Backend, now time.Time) *recentBytes {
	total := b.bytes()
	a := l.backends[b]
	if a == nil {
		a = &recentBytes{seen: total, recent: decaying{at: now}}
		l.backends[b] = a
	}
	factor, meanwhile := a.recent.decay(now)
	a.prepaid *= factor
	fresh := float64(total-a.seen) * meanwhile
	paid := min(a.prepaid, fresh)
	a.prepaid -= paid
	a.recent.sum += fresh - paid
	a.seen = total
	return a
}

func (a *recentBytes) charge(bytes float64) {
	a.recent.sum += bytes
	a.prepaid += bytes
}

func (l *leastBytes) KeepOnly(members []Member) { deleteOthers(l.backends, members) }
