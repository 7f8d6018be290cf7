package limits

import "sync/atomic"

// Retries is a route's retry budget: what its retries have cost, less what its
// requests have paid for. Without it, a route whose every backend fails would send
// each request several times. The zero value owes nothing.
type Retries struct{ debt atomic.Int64 } // in percent of a retry

const (
	retryCost = 100 // percent: one retry
	// maxOwedRetries may be owed at once, so that a route with few requests can
	// retry too.
	maxOwedRetries = 10
)

// Pay is called once for each request; percent is the share of requests that may be
// tried again. While nothing is owed it costs one atomic load.
func (r *Retries) Pay(percent int) {
	for {
		owed := r.debt.Load()
		if owed == 0 || r.debt.CompareAndSwap(owed, max(owed-int64(percent), 0)) {
			return
		}
	}
}

// Spend takes one retry. It returns false if the budget has none.
func (r *Retries) Spend() bool {
	for {
		owed := r.debt.Load()
		if owed+retryCost > maxOwedRetries*retryCost {
			return false
		}
		if r.debt.CompareAndSwap(owed, owed+retryCost) {
			return true
		}
	}
}
