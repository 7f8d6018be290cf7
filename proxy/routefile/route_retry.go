package routefile

// Retries on another backend.

// Retry is how a request that found no backend's answer goes to another one.
type Retry struct {
	Others int // backends after the first; negative is none
	Budget int // percent of a route's requests
}

func retryKeys() []*Key {
	return []*Key{
		key("others", "How many other backends are tried after the first.",
			count(func(r *Retry) *int { return &r.Others }, true), byDefault("2"), example("1")),
		key("budget", "How many of the route's requests may be tried again, beside the first ten.",
			percent(func(r *Retry) *int { return &r.Budget }), byDefault("20%"), example("10%")),
	}
}
