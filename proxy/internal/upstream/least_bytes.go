package upstream

// Where the fewest bytes have flowed of late, by weight: tunnels' bytes as they
// flow, and those of ordinary requests. What flowed a minute ago counts half, so
// that a backend which was busy this morning is not spared this evening.
//
// Bytes come after the choice. So that a burst of newcomers does not all go where
// the fewest have flowed so far, each is charged at once what one brings on
// average, and its first bytes pay that back.

import (
	"math"
	"time"
)

const (
	bytesHalfLife = time.Minute
	leastCharge   = 1 << 10 // bytes: about a handshake
)

type leastBytes struct {
	accounts map[*Backend]*account
	choices  fading // so many newcomers
}

// account is one backend's.
type account struct {
	seen    int64   // of Backend.carried
	flowed  fading  // bytes, and what newcomers were charged
	advance float64 // part of flowed that no byte has paid back yet
}

// fading is a sum whose parts halve every bytesHalfLife.
type fading struct {
	sum float64
	at  time.Time
}

// to fades the sum. It returns the factor, and the one for what has flowed evenly
// since: of its parts the first has faded as long as the sum, the last not at all.
func (f *fading) to(now time.Time) (factor, meanwhile float64) {
	halves := float64(now.Sub(f.at)) / float64(bytesHalfLife)
	factor, meanwhile = math.Exp2(-halves), 1
	if halves > 1e-9 {
		meanwhile = (1 - factor) / (halves * math.Ln2)
	}
	f.sum *= factor
	f.at = now
	return factor, meanwhile
}

func newLeastBytes(Settings) Policy { return &leastBytes{accounts: map[*Backend]*account{}} }

// Pick starts from what flowed since the last one.
func (l *leastBytes) Pick(_ Choice, candidates []*Member) int {
	now := time.Now()
	l.choices.to(now)
	flowed, newcomers := 0.0, l.choices.sum+1
	for _, m := range candidates {
		flowed += l.account(m.Backend, now).flowed.sum
		newcomers += float64(m.load())
	}
	charge := max(flowed/newcomers, leastCharge)
	best, least := 0, math.Inf(1)
	for i, m := range candidates {
		if after := (l.accounts[m.Backend].flowed.sum + charge) / float64(m.weight()); after < least {
			best, least = i, after
		}
	}
	l.choices.sum++
	l.accounts[candidates[best].Backend].charge(charge)
	return best
}

// account brings a backend's up to date. What flowed before the pool looked at it
// for the first time is history.
func (l *leastBytes) account(b *Backend, now time.Time) *account {
	carried := b.carried()
	a := l.accounts[b]
	if a == nil {
		a = &account{seen: carried, flowed: fading{at: now}}
		l.accounts[b] = a
	}
	factor, meanwhile := a.flowed.to(now)
	a.advance *= factor
	fresh := float64(carried-a.seen) * meanwhile
	paid := min(a.advance, fresh)
	a.advance -= paid
	a.flowed.sum += fresh - paid
	a.seen = carried
	return a
}

func (a *account) charge(bytes float64) {
	a.flowed.sum += bytes
	a.advance += bytes
}

// Keep forgets those that have gone.
func (l *leastBytes) KeepOnly(members []Member) { keepOnly(l.accounts, members) }
