package routefile

// Retries on another backend.

// Retry limits the retries of a request on other backends.
type Retry struct {
	Others int // backends after the first; negative is none
	Budget int // percent of a route's requests
}

func retryKeys() []*Key {
	return []*Key{
		key("others", "Maximum number of other backends to try after the first.",
			count(func(r *Retry) *int { return &r.Others }, true), byDefault("2"), example("1")),
		key("budget", "Share of the route's requests that may be retried, in addition to the first ten.",
			percent(func(r *Retry) *int { return &r.Budget }), byDefault("20%"), example("10%")),
	}
}
