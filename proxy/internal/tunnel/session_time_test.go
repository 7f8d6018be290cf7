package tunnel

import (
	"testing"
	"time"
)

func TestHalfClosedDue(t *testing.T) {
	for _, test := range []struct {
		name                       string
		ended, took, offered, ping time.Duration
		waiting                    bool
		want                       time.Duration
	}{
		{name: "nothing for it", ended: 10, want: 70},
		{name: "it took the last", ended: 10, took: 50, offered: 50, want: 110},
		{name: "pings are no bound without bytes", ended: 10, ping: 5, want: 70},
		{name: "bytes wait", ended: 10, took: 20, offered: 30, ping: 5, waiting: true, want: 38},
		{name: "bytes wait since before its end", ended: 10, took: 2, offered: 3, ping: 5, waiting: true, want: 18},
		{name: "bytes wait, never pinged", ended: 10, took: 20, offered: 30, waiting: true, want: 90},
	} {
		const s = time.Second
		if got := halfClosedDue(test.ended*s, test.took*s, test.offered*s, test.waiting, test.ping*s, 3*s); got != test.want*s {
			t.Errorf("%s: due at %v, want %v", test.name, got, test.want*s)
		}
	}
}

func TestCloseDue(t *testing.T) {
	for _, test := range []struct {
		name               string
		answered, lifetime time.Duration
		want               time.Duration
	}{
		{name: "silence", answered: 90, want: 105},
		{name: "it goes on", answered: 104, want: 109},
		{name: "and on", answered: 118, want: 120},
		{name: "past the lifetime", answered: 118, lifetime: 112, want: 112},
		{name: "near the lifetime's end", answered: 101, lifetime: 101, want: 105},
	} {
		const s = time.Second
		latest := latestClose(100*s, 5*s, test.lifetime*s)
		if got := closeDue(105*s, test.answered*s, latest, 5*s); got != test.want*s {
			t.Errorf("%s: due at %v, want %v", test.name, got, test.want*s)
		}
	}
}
