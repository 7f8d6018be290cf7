package routefile

import "time"

// What happens on SIGTERM.

// Shutdown is what happens on SIGTERM.
type Shutdown struct {
	Delay  time.Duration // not ready, still accepting; negative is none
	Window time.Duration // tunnels are drained over it; negative is at once
}

func shutdownKeys() []*Key {
	return []*Key{
		key("delay", "Time for which the proxy reports not ready and still accepts connections, so that load balancers stop sending new ones.",
			duration(func(s *Shutdown) *dur { return &s.Delay }, true), byDefault("5s"), example("10s")),
		key("window", "Time over which open tunnels are drained after the delay.",
			duration(func(s *Shutdown) *dur { return &s.Window }, true), byDefault("15s"), example("20s")),
	}
}
