package routefile

import "time"

// What SIGTERM does.

// Shutdown is what SIGTERM does.
type Shutdown struct {
	Delay  time.Duration // not ready, still accepting; negative is none
	Window time.Duration // tunnels are drained over it; negative is at once
}

func shutdownKeys() []*Key {
	return []*Key{
		key("delay", "How long the proxy reports that it is not ready and goes on accepting, so that load balancers turn away first.",
			duration(func(s *Shutdown) *dur { return &s.Delay }, true), byDefault("5s"), example("10s")),
		key("window", "The time over which the open tunnels are drained after that.",
			duration(func(s *Shutdown) *dur { return &s.Window }, true), byDefault("15s"), example("20s")),
	}
}
