package routefile

import "time"

// The queue for a pool whose backends are all at capacity.

// Queue is who may wait for a backend.
type Queue struct {
	Length int
	Wait   time.Duration
}

func queueKeys() []*Key {
	return []*Key{
		key("length", "How many tunnels may wait at once, and as many requests; more get 503 at once.",
			count(func(q *Queue) *int { return &q.Length }, false), byDefault("100"), example("20")),
		key("wait", "How long one may wait before it gets 503.",
			duration(func(q *Queue) *dur { return &q.Wait }, false), byDefault("5s"), example("2s")),
	}
}
