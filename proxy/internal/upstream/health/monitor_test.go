package health

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told collects events.
type told struct {
	mu     sync.Mutex
	events []Event
}

func (r *told) tell(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *told) words() (words []Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		words = append(words, e.Change)
	}
	return words
}

var errSick = errors.New("sick")

// scripted is a probe with the results of its letters: '+' passed, '-' failed, '.' timed
// out; the last one repeats.
func scripted(script string) Probe {
	at := 0
	return func(ctx context.Context, _ Target) error {
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

// TestVerdicts: the verdict after each result of a run.
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
		{"two good ones bring it back", "+---+-++", false, "yyynnnny"},
		{"a first good one is enough", "+", true, "y"},
		{"also after bad ones", "--+", true, "nny"},
		{"also after it went down", "---+", false, "yyny"},
		{"a second one is not", "--+---+", true, "nnyyynn"},
		{"bad ones leave it down", "---", true, "nnn"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := New()
				defer m.Close()
				var events told
				answered := make(chan bool)
				script := scripted(tt.answers)
				probe := func(ctx context.Context, t Target) error {
					defer func() { answered <- true }()
					return script(ctx, t)
				}
				m.Configure(Config{Probe: probe, Interval: 10 * time.Second, Timeout: time.Second, Passes: 2, Fails: 3, StartDown: tt.down, Key: "k"}, nil, events.tell)
				for i, want := range tt.want {
					<-answered
					synctest.Wait()
					if got := m.Available(); got != (want == 'y') {
						t.Errorf("after answer %d of %q available is %t", i+1, tt.answers, got)
					}
				}
			})
		})
	}
}

// TestIntervalsVary: by a tenth, evenly, so that probes that began together do not stay in
// step.
func TestIntervalsVary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		const interval, probes = 10 * time.Second, 1000
		asked := make(chan time.Time)
		m.Configure(Config{Interval: interval, Key: "k", Probe: func(context.Context, Target) error {
			asked <- time.Now()
			return nil
		}}, nil, nil)
		last, tenths := <-asked, [4]int{}
		for range probes {
			now := <-asked
			gap := now.Sub(last)
			if last = now; gap < interval*9/10 || gap > interval*11/10 {
				t.Fatalf("probed again after %v, want %v give or take a tenth", gap, interval)
			}
			tenths[min(int((gap-interval*9/10)/(interval/20)), 3)]++
		}
		for i, n := range tenths {
			if n < probes/8 {
				t.Errorf("%d of %d probes in the %d. quarter of the permitted time", n, probes, i+1)
			}
		}
		m.Close()
	})
}

// TestVerdictOutlivesEdits: it stays under another probe, and goes when there is none; an
// equal Config goes on.
func TestVerdictOutlivesEdits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		defer m.Close()
		var events told
		sick := Config{Probe: scripted("+-"), Interval: time.Second, Fails: 2, Key: "sick"}
		m.Configure(sick, nil, events.tell)
		time.Sleep(1500 * time.Millisecond)
		m.Configure(Config{Probe: scripted("+"), Key: "sick"}, nil, events.tell) // the same key: not taken
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if m.Available() {
			t.Fatal("available although its probe fails")
		}
		m.Configure(Config{Probe: scripted("-+"), Interval: time.Second, Passes: 2, Key: "other"}, nil, events.tell)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if m.Available() {
			t.Error("another probe has cleared the verdict")
		}
		m.Configure(Config{Key: "no probe"}, nil, events.tell)
		if !m.Available() {
			t.Error("there is no probe any more, and it is still down")
		}
		if want := []Change{WentDown}; !slices.Equal(events.words(), want) {
			t.Errorf("told %v, want %v", events.words(), want)
		}
	})
}

func TestCloseEndsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		asked := 0
		m.Configure(Config{Probe: func(context.Context, Target) error { asked++; return nil }, Interval: time.Second, Key: "k"}, nil, nil)
		time.Sleep(3 * time.Second)
		m.Close()
		synctest.Wait()
		before := asked
		m.Configure(Config{Probe: scripted("-"), Interval: time.Second, Key: "again"}, nil, nil)
		time.Sleep(10 * time.Second) // synctest fails if a goroutine is left
		if asked != before || !m.Available() {
			t.Errorf("probed %d times after Close", asked-before)
		}
		m.Reopen()
		m.Configure(Config{Probe: scripted("-"), Fails: 1, Interval: time.Second, Key: "once more"}, nil, nil)
		synctest.Wait()
		if m.Available() {
			t.Error("no probe after Reopen")
		}
		m.Close()
	})
}

// TestSlowStart: the share grows from a tenth to all of it, evenly.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		defer m.Close()
		m.Configure(Config{Probe: scripted("-+"), Interval: 10 * time.Second, Fails: 1, SlowStart: 100 * time.Second, Key: "k"}, nil, nil)
		synctest.Wait()
		for !m.Available() {
			time.Sleep(time.Second)
		}
		began := time.Now()
		for _, tt := range []struct {
			after time.Duration
			want  int64 // thousandths
		}{{0, 100}, {5, 100}, {20, 200}, {50, 500}, {90, 900}, {103, 1000}, {500, 1000}} {
			time.Sleep(time.Until(began.Add(tt.after * time.Second)))
			synctest.Wait()
			if got := m.WeightScale(); got > tt.want+20 || got < tt.want-40 {
				t.Errorf("after %d s the share is %d thousandths, want about %d", tt.after, got, tt.want)
			}
		}
	})
}

// transitions are what each event makes of a backend in each state, and what the Monitor
// tells of it. Fails and Passes are 1, a slow start and an ejection take 10 s.
const transitions = `
healthy            pass     healthy
healthy            fail     unhealthy          down
healthy            success  healthy
healthy            failure  ejected            ejected
healthy            10s      healthy
healthy            noprobe  healthy
healthy            noeject  healthy
healthy            close    healthy
rising             pass     rising
rising             fail     unhealthy          down
rising             success  rising
rising             failure  ejected            ejected
rising             10s      healthy
rising             noprobe  rising
rising             noeject  rising
rising             close    healthy
unhealthy          pass     rising             up
unhealthy          fail     unhealthy
unhealthy          success  unhealthy
unhealthy          failure  unhealthy+ejected  ejected
unhealthy          10s      unhealthy
unhealthy          noprobe  rising
unhealthy          noeject  unhealthy
unhealthy          close    unhealthy
ejected            pass     ejected
ejected            fail     unhealthy+ejected  down
ejected            success  ejected
ejected            failure  ejected
ejected            10s      rising             returned
ejected            noprobe  ejected
ejected            noeject  rising
ejected            close    healthy
unhealthy+ejected  pass     ejected            up
unhealthy+ejected  fail     unhealthy+ejected
unhealthy+ejected  success  unhealthy+ejected
unhealthy+ejected  failure  unhealthy+ejected
unhealthy+ejected  10s      unhealthy          returned
unhealthy+ejected  noprobe  ejected
unhealthy+ejected  noeject  unhealthy
unhealthy+ejected  close    unhealthy
`

// reach is how a new backend comes to a state.
var reach = map[string][]string{
	"healthy":           {"pass"},
	"rising":            {"fail", "pass"},
	"unhealthy":         {"fail"},
	"ejected":           {"failure"},
	"unhealthy+ejected": {"fail", "failure"},
}

// machine is a Monitor whose probe results are the test's.
type machine struct {
	*Monitor
	told
	config Config
}

func newMachine() *machine {
	m := &machine{Monitor: New(), config: Config{
		Probe: func(ctx context.Context, _ Target) error { <-ctx.Done(); return ctx.Err() }, Interval: time.Second,
		SlowStart: 10 * time.Second, Eject: Ejection{Fails: 1, For: 10 * time.Second, MaxPercent: 100}, Key: "k",
	}}
	m.Configure(m.config, nil, m.tell)
	return m
}

func (m *machine) happen(event string) {
	switch event {
	case "pass":
		m.result(context.Background(), nil)
	case "fail":
		m.result(context.Background(), errSick)
	case "success":
		m.Succeeded()
	case "failure":
		m.Failed(errSick, func(int) bool { return true })
	case "10s":
		time.Sleep(10 * time.Second)
	case "noprobe":
		m.config.Probe, m.config.Key = nil, "no probe"
		m.Configure(m.config, nil, m.tell)
	case "noeject":
		m.config.Eject, m.config.Key = Ejection{}, "no ejection"
		m.Configure(m.config, nil, m.tell)
	case "close":
		m.Close()
	}
	synctest.Wait()
}

func (m *machine) state() string {
	switch {
	case m.is(unhealthy) && m.is(ejected):
		return "unhealthy+ejected"
	case m.is(unhealthy):
		return "unhealthy"
	case m.Ejected():
		return "ejected"
	case m.WeightScale() < FullWeight:
		return "rising"
	}
	return "healthy"
}

func TestTransitions(t *testing.T) {
	for row := range strings.Lines(strings.TrimSpace(transitions)) {
		synctest.Test(t, func(t *testing.T) {
			want := strings.Fields(row)
			m := newMachine()
			defer m.Close()
			for _, event := range reach[want[0]] {
				m.happen(event)
			}
			if got := m.state(); got != want[0] {
				t.Fatalf("%v leads to %s, want %s", reach[want[0]], got, want[0])
			}
			before := len(m.words())
			m.happen(want[1])
			got := append(want[:2:2], m.state())
			for _, change := range m.words()[before:] {
				got = append(got, string(change))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if m.Available() != (m.state() == "healthy" || m.state() == "rising") {
				t.Errorf("available is %t in state %s", m.Available(), m.state())
			}
		})
	}
}

// TestLateResult: a probe whose Config is no longer in force changes nothing.
func TestLateResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		defer m.Close()
		release := make(chan error)
		m.Configure(Config{Key: "old", Interval: time.Hour, Probe: func(context.Context, Target) error { return <-release }}, nil, nil)
		synctest.Wait()
		m.Configure(Config{Key: "none"}, nil, func(e Event) { t.Errorf("told %+v", e) })
		release <- errSick
		synctest.Wait()
		if !m.Available() {
			t.Error("unhealthy by a probe that no longer counts")
		}
	})
}

// TestEjectionDoubles: ten seconds, twenty, the longest; counted anew after a backend has
// been healthy for that long. A backend that has just returned has one failure.
func TestEjectionDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events told
		m := New()
		defer m.Close()
		m.Configure(Config{Eject: Ejection{Fails: 3, For: 10 * time.Second, Max: 35 * time.Second, MaxPercent: 50}, Key: "k"}, nil, events.tell)
		fail := func(n int) {
			for range n {
				m.Failed(errSick, func(percent int) bool { return percent == 50 })
			}
		}
		fail(2)
		m.Succeeded()
		fail(2)
		if !m.Available() {
			t.Fatal("ejected although it answered in between")
		}
		fail(1)
		for i, want := range []time.Duration{10, 20, 35, 35} {
			if m.Available() {
				t.Fatalf("ejection %d: still there", i+1)
			}
			time.Sleep(want*time.Second - time.Millisecond)
			synctest.Wait()
			if m.Available() {
				t.Errorf("ejection %d is over before %d s", i+1, want)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if !m.Available() {
				t.Errorf("ejection %d is not over after %d s", i+1, want)
			}
			fail(1)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		fail(1)
		if !m.Available() {
			t.Error("one failure ejects it long after its return")
		}
		fail(2)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !m.Available() {
			t.Error("what it did long ago still counts")
		}
		if first := events.events[0]; first != (Event{Ejected, errSick, 10 * time.Second}) {
			t.Errorf("told %+v first", first)
		}
	})
}

// TestEditedEjection: an edit of the ejection does not end one that is under way; leaving
// the ejection out does.
func TestEditedEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		defer m.Close()
		m.happen("failure")
		m.config.Eject.For, m.config.Key = time.Second, "shorter"
		m.Configure(m.config, nil, m.tell)
		time.Sleep(5 * time.Second)
		if m.state() != "ejected" {
			t.Error("an edit ended the ejection")
		}
		m.happen("noeject")
		if !m.Available() {
			t.Error("still ejected although nothing is to be ejected any more")
		}
	})
}
