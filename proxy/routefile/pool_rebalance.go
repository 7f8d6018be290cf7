package routefile

import "time"

// Moving tunnels to backends that were added or have recovered.

// Rebalance moves tunnels to backends that were added or have recovered.
type Rebalance struct {
	Within    time.Duration
	Tolerance int // percent of a share
}

func rebalanceKeys() []*Key {
	return []*Key{
		key("within", "Time over which tunnels are moved, evenly spread.",
			duration(func(r *Rebalance) *dur { return &r.Within }, false), byDefault("10m"), example("5m")),
		key("tolerance", "How far a backend may stay above its share.",
			percent(func(r *Rebalance) *int { return &r.Tolerance }), byDefault("20%"), example("10%")),
	}
}

// checkRebalance refuses to rebalance clients that return to the same backend anyway.
func (c *checker) checkRebalance(p placed[*Pool]) {
	why := ""
	switch {
	case p.it.Rebalance == nil:
		return
	case p.it.Sticky != nil:
		why = "sticky"
	case p.it.Balance == "hash":
		why = "balance: hash"
	default:
		return
	}
	c.at(p.file, []string{"pools", p.it.Name, "rebalance"}, recordOf("pool", p.it.Name),
		"rebalance cannot be used with %s, which sends clients back to the same backend", why)
}
