package listen

import (
	"testing"
	"time"
)

type deadlines []time.Time

func (d *deadlines) SetReadDeadline(t time.Time) error { *d = append(*d, t); return nil }

// TestReplacedConnsGetTheDeadline: a deadline that was set while a connection was on
// its way from a loop to a goroutine applies to its new value.
func TestReplacedConnsGetTheDeadline(t *testing.T) {
	var n PendingConns
	n.init()
	var first, second, third deadlines
	n.Add(&first)
	n.close()
	n.Replace(&first, &second)
	if len(second) != 1 || second[0] != first[0] {
		t.Errorf("the second got %v, wanted %v", second, first)
	}
	n.cut()
	n.Replace(&second, &third)
	if len(third) != 1 || third[0] != ALongTimeAgo {
		t.Errorf("the third got %v, wanted to end", third)
	}
	n.Remove(&third)
	<-n.none
}
