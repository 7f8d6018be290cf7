package routefile

import "time"

// The queue for a pool whose backends are all at capacity.

// Queue limits the tunnels and requests that wait for a backend.
type Queue struct {
	Length int
	Wait   time.Duration
}

func queueKeys() []*Key {
	return []*Key{
		key("length", "Maximum number of queued tunnels, and of queued requests; more get 503 at once.",
			count(func(q *Queue) *int { return &q.Length }, false), byDefault("100"), example("20")),
		key("wait", "Maximum time in the queue, then 503.",
			duration(func(q *Queue) *dur { return &q.Wait }, false), byDefault("5s"), example("2s")),
	}
}
