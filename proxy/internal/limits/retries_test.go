package limits

import (
	"sync"
	"testing"
)

// TestRetries against counting by hand: ten at first, then a part of what comes.
func TestRetries(t *testing.T) {
	for _, tt := range []struct{ percent, requests, want int }{
		{20, 0, 10}, {20, 1, 10}, {20, 5, 11}, {20, 100, 30}, {100, 100, 110}, {1, 99, 10}, {1, 100, 11}, {50, 3, 11},
	} {
		var r Retries
		got := 0
		for range 10 {
			if r.Spend() {
				got++
			}
		}
		for range tt.requests {
			r.Pay(tt.percent)
			for r.Spend() {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("%d retries after %d requests at %d %%, want %d", got, tt.requests, tt.percent, tt.want)
		}
	}
}

// TestRetriesSavesNothing: quiet times do not buy a storm.
func TestRetriesSavesNothing(t *testing.T) {
	var r Retries
	for range 100_000 {
		r.Pay(100)
	}
	var got sync.Map
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			if r.Spend() {
				got.Store(i, true)
			}
		})
	}
	all.Wait()
	n := 0
	got.Range(func(any, any) bool { n++; return true })
	if n != maxOwedRetries {
		t.Errorf("%d retries at once, want %d", n, maxOwedRetries)
	}
}
