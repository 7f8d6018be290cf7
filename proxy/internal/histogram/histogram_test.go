package histogram

import (
	"slices"
	"sync"
	"testing"
)

func TestObserve(t *testing.T) {
	h := New(Layout{1, 2})
	for _, v := range []float64{0, 1, 1.5, 2, 2.5, 100} {
		h.Observe(v)
	}
	counts := []uint64{10, 0, 0}
	if sum := h.AddTo(counts); sum != 107 || !slices.Equal(counts, []uint64{12, 2, 2}) {
		t.Errorf("sum %v, counts %v, want 107 and [12 2 2]", sum, counts)
	}
}

func TestConcurrentObserve(t *testing.T) {
	h := New(Waits)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				h.Observe(1)
			}
		})
	}
	all.Wait()
	counts := make([]uint64, len(Waits)+1)
	if sum := h.AddTo(counts); sum != 8000 || counts[Waits.Bucket(1)] != 8000 {
		t.Errorf("sum %v, counts %v, want 8000 ones", sum, counts)
	}
}

// TestLayoutsAscend: Bucket looks for the first bound that is not below a value.
func TestLayoutsAscend(t *testing.T) {
	for _, l := range []Layout{Waits, Lives, Turns, Sizes} {
		if !slices.IsSorted(l) {
			t.Errorf("%v does not ascend", l)
		}
	}
}
