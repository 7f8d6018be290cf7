package proxy

import (
	"sync"
	"testing"
)

// TestRetryBudget against counting by hand: ten at first, then a part of what comes.
func TestRetryBudget(t *testing.T) {
	for _, tt := range []struct{ percent, requests, want int }{
		{20, 0, 10}, {20, 1, 10}, {20, 5, 11}, {20, 100, 30}, {100, 100, 110}, {1, 99, 10}, {1, 100, 11}, {50, 3, 11},
	} {
		var b retryBudget
		got := 0
		for range 10 {
			if b.spend() {
				got++
			}
		}
		for range tt.requests {
			b.pay(tt.percent)
			for b.spend() {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("%d retries after %d requests at %d %%, want %d", got, tt.requests, tt.percent, tt.want)
		}
	}
}

// TestRetryBudgetSavesNothing: quiet times do not buy a storm.
func TestRetryBudgetSavesNothing(t *testing.T) {
	var b retryBudget
	for range 100_000 {
		b.pay(100)
	}
	var got sync.Map
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			if b.spend() {
				got.Store(i, true)
			}
		})
	}
	all.Wait()
	n := 0
	got.Range(func(any, any) bool { n++; return true })
	if n != retryLoan {
		t.Errorf("%d retries at once, want %d", n, retryLoan)
	}
}
