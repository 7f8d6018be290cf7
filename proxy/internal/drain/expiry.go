package drain

// Tunnels that end because their credential expires.

import (
	"math/rand/v2"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// Expiry is when a tunnel's credential expires, and how the tunnel ends then. The zero value
// never does.
type Expiry struct {
	At     time.Time
	Code   uint16
	Reason string
}

// maxExpirySpread bounds how much earlier than its credential expires a tunnel may end.
const maxExpirySpread = time.Minute

// expireLocked has the tunnel end within the last tenth of the time that is left, so that
// tunnels whose credentials were issued together do not come back together. It never ends
// later.
func (e *Entry) expireLocked(x Expiry) {
	if x.At.IsZero() {
		return
	}
	left := max(time.Until(x.At), 0)
	early := time.Duration(rand.Float64() * float64(min(left/10, maxExpirySpread)))
	s := &scheduled{terms: terms{policy: Policy{Code: x.Code, Reason: x.Reason}, why: tunnel.ReasonExpired}}
	e.expiry = time.AfterFunc(left-early, func() { e.expire(s) })
	s.timer = e.expiry
}

func (e *Entry) expire(s *scheduled) {
	e.group.mu.Lock()
	if e.handleLocked(mustEndNow)&notify == 0 {
		e.group.mu.Unlock()
		return
	}
	e.scheduled = s
	command := e.commandLocked()
	e.group.mu.Unlock()
	command()
}
