package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told collects what a backend's watcher is told.
type told struct {
	mu     sync.Mutex
	events []HealthEvent
}

func (r *told) tell(e HealthEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *told) words() (words []HealthChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		words = append(words, e.What)
	}
	return words
}

var errSick = errors.New("sick")

// scripted answers a probe as its letters say: '+' well, '-' not, '.' not in
// time; the last one again and again.
func scripted(script string) Probe {
	at := 0
	return func(ctx context.Context, _ *Backend) error {
		letter := script[min(at, len(script)-1)]
		at++
		switch letter {
		case '+':
			return nil
		case '.':
			<-ctx.Done()
			return ctx.Err()
		}
		return errSick
	}
}

func backendNamed(authority string) *Backend {
	return NewBackend(BackendKey{Pool: "p", Scheme: "ws", Authority: authority})
}

// TestVerdicts: what a run of answers comes to, after each of them.
func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name, answers string
		down          bool   // from the start
		want          string // available after each answer: y, n
	}{
		{"well", "+++", false, "yyy"},
		{"one failure is none", "+-+", false, "yyy"},
		{"three in a row", "+---", false, "yyyn"},
		{"not three in a row", "+--+--", false, "yyyyyy"},
		{"no answer in time", "...", false, "yyn"},
		{"two good ones bring it back", "---+-++", false, "yynnnny"},
		{"a first good one is enough", "+", true, "y"},
		{"a first bad one is not", "-++", true, "nny"},
		{"and stays down", "---", true, "nnn"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := backendNamed("a:1")
				defer b.Close()
				var events told
				answered := make(chan bool)
				script := scripted(tt.answers)
				probe := func(ctx context.Context, b *Backend) error {
					defer func() { answered <- true }()
					return script(ctx, b)
				}
				b.Watch(Health{Probe: probe, Interval: 10 * time.Second, Timeout: time.Second, Passes: 2, Fails: 3, StartDown: tt.down, Key: "k"}, events.tell)
				for i, want := range tt.want {
					<-answered
					synctest.Wait()
					if got := b.Available(); got != (want == 'y') {
						t.Errorf("after answer %d of %q available is %t", i+1, tt.answers, got)
					}
				}
			})
		})
	}
}

// TestQuestionsVary: a tenth more or less than the interval, evenly, so that many
// who began together do not go on together.
func TestQuestionsVary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backendNamed("a:1")
		const interval, questions = 10 * time.Second, 1000
		asked := make(chan time.Time)
		b.Watch(Health{Interval: interval, Key: "k", Probe: func(context.Context, *Backend) error {
			asked <- time.Now()
			return nil
		}}, nil)
		last, tenths := <-asked, [4]int{}
		for range questions {
			now := <-asked
			gap := now.Sub(last)
			if last = now; gap < interval*9/10 || gap > interval*11/10 {
				t.Fatalf("asked again after %v, want %v give or take a tenth", gap, interval)
			}
			tenths[min(int((gap-interval*9/10)/(interval/20)), 3)]++
		}
		for i, n := range tenths {
			if n < questions/8 {
				t.Errorf("%d of %d questions in the %d. quarter of the time that they may come in", n, questions, i+1)
			}
		}
		b.Close()
	})
}

// TestVerdictOutlivesEdits: another way of asking does not forgive, no way of
// asking does, and the same way goes on where it stands.
func TestVerdictOutlivesEdits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backendNamed("a:1")
		defer b.Close()
		var events told
		sick := Health{Probe: scripted("-"), Interval: time.Second, Fails: 2, Key: "sick"}
		b.Watch(sick, events.tell)
		time.Sleep(1500 * time.Millisecond)
		b.Watch(Health{Probe: scripted("+"), Key: "sick"}, events.tell) // the same key: not taken
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.Available() {
			t.Fatal("available although its probe fails")
		}
		b.Watch(Health{Probe: scripted("-+"), Interval: time.Second, Passes: 2, Key: "other"}, events.tell)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if b.Available() {
			t.Error("another way of asking has forgiven it")
		}
		b.Watch(Health{Key: "nobody asks"}, events.tell)
		if !b.Available() {
			t.Error("nobody asks any more, and it is still down")
		}
		if want := []HealthChange{WentDown}; !slices.Equal(events.words(), want) {
			t.Errorf("told %v, want %v", events.words(), want)
		}
	})
}

func TestCloseEndsAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backendNamed("a:1")
		asked := 0
		b.Watch(Health{Probe: func(context.Context, *Backend) error { asked++; return nil }, Interval: time.Second, Key: "k"}, nil)
		time.Sleep(3 * time.Second)
		b.Close()
		synctest.Wait()
		before := asked
		b.Watch(Health{Probe: scripted("-"), Interval: time.Second, Key: "again"}, nil)
		time.Sleep(10 * time.Second) // synctest fails if a goroutine is left
		if asked != before || !b.Available() {
			t.Errorf("asked %d times more after Close", asked-before)
		}
		b.Reopen()
		b.Watch(Health{Probe: scripted("-"), Fails: 1, Interval: time.Second, Key: "once more"}, nil)
		synctest.Wait()
		if b.Available() {
			t.Error("nobody asks after Reopen")
		}
		b.Close()
	})
}

// TestSlowStart: the share grows from a tenth to all of it, evenly.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backendNamed("a:1")
		defer b.Close()
		b.Watch(Health{Probe: scripted("-+"), Interval: 10 * time.Second, Fails: 1, SlowStart: 100 * time.Second, Key: "k"}, nil)
		synctest.Wait()
		for !b.Available() {
			time.Sleep(time.Second)
		}
		began := time.Now()
		for _, tt := range []struct {
			after time.Duration
			want  int64 // thousandths
		}{{0, 100}, {5, 100}, {20, 200}, {50, 500}, {90, 900}, {103, 1000}, {500, 1000}} {
			time.Sleep(time.Until(began.Add(tt.after * time.Second)))
			synctest.Wait()
			if got := b.warmth(); got > tt.want+20 || got < tt.want-40 {
				t.Errorf("after %d s the share is %d thousandths, want about %d", tt.after, got, tt.want)
			}
		}
	})
}

// ejecting is a pool of so many backends that are ejected after two failures.
func ejectingPool(t *testing.T, n int, e Ejection, events *told) (*Pool, []*Backend) {
	t.Helper()
	var members []Member
	var backends []*Backend
	for i := range n {
		b := backendNamed(string(rune('a'+i)) + ":1")
		b.Watch(Health{Eject: e, Key: "k"}, events.tell)
		t.Cleanup(b.Close)
		members, backends = append(members, Member{Backend: b}), append(backends, b)
	}
	p, err := NewPool("p", Settings{}, members, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, backends
}

func failTimes(p *Pool, b *Backend, n int) {
	for range n {
		p.Failed(b, errSick)
	}
}

// TestEjectionDoubles: ten seconds, twenty, forty, the longest; forgiven after
// having been well for long. On trial one failure is enough.
func TestEjectionDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events told
		p, b := ejectingPool(t, 3, Ejection{Fails: 3, For: 10 * time.Second, Max: 35 * time.Second, AtMost: 50}, &events)
		failTimes(p, b[0], 2)
		b[0].Succeeded()
		failTimes(p, b[0], 2)
		if !b[0].Available() {
			t.Fatal("ejected although it was well in between")
		}
		failTimes(p, b[0], 1)
		for i, want := range []time.Duration{10, 20, 35, 35} {
			if b[0].Available() {
				t.Fatalf("ejection %d: still there", i+1)
			}
			time.Sleep(want*time.Second - time.Millisecond)
			synctest.Wait()
			if b[0].Available() {
				t.Errorf("ejection %d is over before %d s", i+1, want)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if !b[0].Available() {
				t.Errorf("ejection %d is not over after %d s", i+1, want)
			}
			failTimes(p, b[0], 1)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		failTimes(p, b[0], 1)
		if !b[0].Available() {
			t.Error("one failure ejects it long after its trial")
		}
		failTimes(p, b[0], 2)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !b[0].Available() {
			t.Error("what it did long ago still counts")
		}
		events.mu.Lock()
		defer events.mu.Unlock()
		if first := events.events[0]; first.What != Ejected || first.For != 10*time.Second || first.Err != errSick || first.Backend != b[0] {
			t.Errorf("told %+v first", first)
		}
	})
}

// TestEjectionSparesThePool: never more than half, and never the last.
func TestEjectionSparesThePool(t *testing.T) {
	for _, tt := range []struct {
		backends, atMost, down, want int // want are out when all fail
	}{
		{1, 50, 0, 0}, {2, 50, 0, 1}, {3, 50, 0, 1}, {4, 50, 0, 2}, {5, 50, 0, 2},
		{1, 100, 0, 0}, {4, 100, 0, 3}, {10, 20, 0, 2}, {4, 20, 0, 0},
		{4, 50, 2, 1}, {4, 50, 3, 0}, // of those that are well, one must stay
	} {
		synctest.Test(t, func(t *testing.T) {
			var events told
			p, b := ejectingPool(t, tt.backends, Ejection{Fails: 2, For: time.Hour, AtMost: tt.atMost}, &events)
			for i := range tt.down {
				b[i].setTrouble(unhealthy, true)
			}
			var each sync.WaitGroup
			for _, one := range b[tt.down:] {
				each.Go(func() { failTimes(p, one, 5) })
			}
			each.Wait()
			if got := len(events.words()); got != tt.want {
				t.Errorf("%d of %d backends with %d down ejected at most %d %%, want %d", got, tt.backends, tt.down, tt.atMost, tt.want)
			}
		})
	}
}

// TestEjectionIsLifted by an edit that asks for none.
func TestEjectionIsLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events told
		p, b := ejectingPool(t, 2, Ejection{Fails: 1, For: time.Hour, AtMost: 50}, &events)
		failTimes(p, b[0], 1)
		if b[0].Available() {
			t.Fatal("not ejected")
		}
		b[0].Watch(Health{Eject: Ejection{Fails: 9, For: time.Second, AtMost: 50}, Key: "others"}, events.tell)
		if b[0].Available() {
			t.Error("forgiven by an edit that still ejects")
		}
		b[0].Watch(Health{Key: "none"}, events.tell)
		if !b[0].Available() {
			t.Error("still out although nobody is to be ejected any more")
		}
	})
}
