package listen

import (
	"testing"
	"time"
)

// TestRaisedLimitIsNoticed: an acceptor that has just seen the old limit, and is
// about to wait, must not miss that it was raised.
func TestRaisedLimitIsNoticed(t *testing.T) {
	var s connLimiter
	s.init()
	s.open = 1
	rechecked := make(chan struct{})
	limits := []int{1, 2}
	acquired := make(chan bool)
	go func() {
		acquired <- s.acquire(func() int {
			limit := limits[0]
			if limits = limits[1:]; len(limits) == 1 { // the limit is raised right behind this look at it
				go func() { s.recheck(); close(rechecked) }()
				select {
				case <-rechecked:
				case <-time.After(20 * time.Millisecond): // it waits for the lock, as it should
				}
			}
			return limit
		})
	}()
	select {
	case ok := <-acquired:
		if !ok {
			t.Error("the limiter is shut")
		}
	case <-time.After(10 * time.Second):
		t.Error("the acceptor waits at the limit of before")
		s.close()
		<-acquired
	}
}

// TestLimiterReportsEndings: an acceptor that is out of descriptors waits for a
// connection to end, and is not woken by the slot that it gives back itself.
func TestLimiterReportsEndings(t *testing.T) {
	var s connLimiter
	s.init()
	any := func() int { return 0 }
	s.acquire(any)
	s.unacquire()
	if len(s.released) > 0 {
		t.Error("a slot that was not used counts as an ending")
	}
	for range 2 {
		s.acquire(any)
		s.release()
	}
	if len(s.released) == 0 {
		t.Error("an ending is not told")
	}
}
