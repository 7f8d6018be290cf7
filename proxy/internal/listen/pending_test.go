package listen

import (
	"testing"
	"time"
)

type deadlines []time.Time

func (d *deadlines) EndBy(t time.Time) { *d = append(*d, t) }

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

// TestReplacedConnsKeepTheirRequest: one whose request has come has no deadline, under
// any value, until all are cut.
func TestReplacedConnsKeepTheirRequest(t *testing.T) {
	var n PendingConns
	n.init()
	var first, second deadlines
	n.Add(&first)
	n.MarkActive(&first)
	n.close()
	n.Replace(&first, &second)
	if len(first)+len(second) != 0 {
		t.Errorf("they got %v and %v, wanted nothing", first, second)
	}
	n.cut()
	if len(second) != 1 || second[0] != ALongTimeAgo {
		t.Errorf("it got %v, wanted to end", second)
	}
}
