// Package health decides whether a backend gets new work, and how much of it.
//
// A [Monitor] keeps the verdict on one backend. It knows the backend as a [Target], and
// nothing of pools, queues or other backends.
//
//	state      event                                  next state
//	healthy    Fails bad probe results in a row       unhealthy
//	healthy    Ejection.Fails failures in a row       ejected
//	unhealthy  Passes good probe results in a row     rising
//	unhealthy  its very first good probe result       rising
//	ejected    the ejection's time is over            rising
//	rising     SlowStart is over                      healthy
//
// A rising backend is available with a part of its weight, and goes down as a healthy one
// does. A backend may be unhealthy and ejected at once; it rises when the last reason is
// gone. The verdict outlives every edit of the [Config]: only events change it, and a
// Config that no longer asks the question that found it.
//
// Probes are [TCP], [HTTP] and [WebSocket].
package health

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Config is how a backend is probed and judged. Read-only once given to a Monitor.
// The zero value probes nothing and ejects nothing.
type Config struct {
	Probe    Probe         // nil probes nothing
	Interval time.Duration // from one result to the next probe, give or take a tenth
	Timeout  time.Duration // of one probe; when it is over the probe has failed
	Passes   int           // results in a row that make an unhealthy backend healthy; not positive is 1
	Fails    int           // results in a row that make a healthy backend unhealthy; not positive is 1
	// StartDown holds a backend for unhealthy until its first probe has passed.
	StartDown bool
	SlowStart time.Duration // from a backend's return until it has its whole weight
	Eject     Ejection
	Key       string // a digest of all of the above: an equal Config changes nothing
}

// Probe checks a backend once: the error is why it is not healthy. It is called from
// one goroutine at a time, and returns when ctx ends.
type Probe func(ctx context.Context, t Target) error

// Target is a backend as a probe reaches it: as its tunnels do, TLS included.
type Target interface {
	Host() string // for the Host header, unless the probe has its own
	Dial(ctx context.Context) (net.Conn, error)
	// RoundTrip uses a connection of its own: one that is kept open does not show
	// whether the next client can connect.
	RoundTrip(r *http.Request) (*http.Response, error)
}

// Event is a change of the verdict.
type Event struct {
	Change Change
	Err    error         // why, where there is a reason
	For    time.Duration // Ejected: how long
}

// Change is one word for what happened.
type Change string

const (
	WentDown Change = "down"     // by its probe
	CameUp   Change = "up"       // by its probe
	Ejected  Change = "ejected"  // after failures of its traffic
	Returned Change = "returned" // from an ejection
)

// Up reports whether the backend may be available again.
func (e Event) Up() bool { return e.Change == CameUp || e.Change == Returned }
