package drain

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/auth"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// TestExpiry: tunnels whose credentials expire together end over the last tenth of their
// time, at most a minute of it, and never later.
func TestExpiry(t *testing.T) {
	for _, lifetime := range []time.Duration{100 * time.Second, 10 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			g := NewGroup()
			began := time.Now()
			expires := began.Add(lifetime)
			var first, last time.Time
			const tunnels = 200
			ended := make(chan struct{}, tunnels)
			for range tunnels {
				e := g.Reserve(Facts{Route: "r", Identity: &auth.Identity{User: "ann"}, Expiry: Expiry{At: expires, Code: 4401, Reason: "bye"}})
				e.Opened(&expiring{closed: func(code uint16, reason string, why tunnel.Reason) {
					if code != 4401 || reason != "bye" || why != tunnel.ReasonExpired {
						t.Errorf("closed with %d %q %s", code, reason, why)
					}
					if first.IsZero() {
						first = time.Now()
					}
					last = time.Now()
					e.Remove()
					ended <- struct{}{}
				}})
			}
			for range tunnels {
				<-ended
			}
			spread := min(lifetime/10, time.Minute)
			if earliest := expires.Add(-spread); first.Before(earliest) || first.After(expires.Add(-spread*8/10)) || last.After(expires) || last.Before(expires.Add(-spread*2/10)) {
				t.Errorf("ended from %v to %v after the opening, want over the last %v before %v", first.Sub(began), last.Sub(began), spread, lifetime)
			}
		})
	}
}

// TestExpiryKept: a tunnel that has ended leaves no timer behind, and one without an expiry
// has none.
func TestExpiryKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		e := g.Reserve(Facts{Expiry: Expiry{At: time.Now().Add(time.Hour)}})
		e.Opened(&expiring{closed: func(uint16, string, tunnel.Reason) { t.Error("closed after its end") }})
		e.Remove()
		if g.Reserve(Facts{}).expiry != nil {
			t.Error("a timer without an expiry")
		}
		time.Sleep(2 * time.Hour)
	})
}

// expiring is an open tunnel. Its callback may run on the timer's goroutine.
type expiring struct {
	tunnel.Tunnel
	closed func(code uint16, reason string, why tunnel.Reason)
}

func (e *expiring) Close(code uint16, reason string, why tunnel.Reason) { e.closed(code, reason, why) }
