package tunnel

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const ms = int64(time.Millisecond)

// A day of a loop's, told as waits and rounds of work: when it is overloaded, and
// when it is not.
func TestLoadMeter(t *testing.T) {
	type span struct{ work, wait int64 }
	for _, test := range []struct {
		name       string
		span       span // again and again, for a second
		cpu        int64
		overloaded bool
	}{
		{"idle", span{0, 10 * ms}, 100, false},
		{"messages now and then", span{ms / 50, ms}, 100, false},
		{"busy, with a breath", span{ms, ms / 5}, 100, false},
		{"hardly a breath", span{4 * ms, ms / 10}, 100, true},
		{"bursts", span{20 * ms, 80 * ms}, 100, true},
		{"waits that are none", span{ms, rest / 2}, 100, true},
		{"bursts, for want of a processor", span{20 * ms, 80 * ms}, 50, false},
		{"never idle, for want of a processor", span{4 * ms, ms / 10}, 50, false},
		{"another thread's clock", span{4 * ms, ms / 10}, 1000, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var e loadMeter
			var now, worked int64
			cpu := func() int64 { return worked * test.cpu / 100 }
			e.begin(spent{})
			overloaded := false
			for now < 1000*ms {
				for end := now + test.span.work; now < end; {
					round := min(end-now, ms/2)
					now, worked = now+round, worked+round
					_, full, _ := e.share(now, cpu)
					overloaded = overloaded || full || e.overlong(now, cpu)
				}
				e.waited(now, now+test.span.wait)
				now += test.span.wait
			}
			if overloaded != test.overloaded {
				t.Errorf("overloaded: %v, want %v", overloaded, test.overloaded)
			}
		})
	}
}

func TestLoadMeterShare(t *testing.T) {
	var e loadMeter
	e.begin(spent{})
	e.waited(0, 75*ms)
	if _, _, over := e.share(window-1, func() int64 { return 0 }); over {
		t.Error("the window is over early")
	}
	if share, _, over := e.share(window, func() int64 { return 0 }); share != 250 || !over {
		t.Errorf("share %d, over %v, want 250 of 1000", share, over)
	}
	if share, _, _ := e.share(2*window, func() int64 { return 0 }); share != 1000 {
		t.Errorf("share %d of the next window, want 1000", share)
	}
}

// A migration of half takes about half, others each time, and a whole one all.
func TestMigrationChooses(t *testing.T) {
	count := func(g migration) (n int) {
		for i := range uint32(1000) {
			if g.chooses(i) {
				n++
			}
		}
		return n
	}
	if n := count(migration{of: 256, salt: 7}); n != 1000 {
		t.Errorf("a whole migration takes %d of 1000", n)
	}
	for salt := range uint32(20) {
		if n := count(migration{of: 128, salt: salt * 997}); n < 400 || n > 600 {
			t.Errorf("half a migration takes %d of 1000", n)
		}
	}
}

// twoLoops is an engine of two, on whatever machine.
func twoLoops() *loops {
	e := &loops{loops: make([]*loop, 2), rest: Portable()}
	base := time.Now()
	for i := range e.loops {
		e.loops[i] = newLoop(base, e.loops, i)
	}
	processors()
	return e
}

// Restless returns an engine whose loops give each other every tunnel at every
// event.
func Restless(t *testing.T) Engine {
	t.Helper()
	e := twoLoops()
	for i, l := range e.loops {
		if err := e.loops[1-i].prepare(); err != nil {
			t.Fatal(err)
		}
		l.migration = migration{to: e.loops[1-i], of: 256, until: math.MaxInt64}
	}
	return e
}

// While tunnels move, their counts are never less than before, and what is asked
// of them is done.
func TestMovingTunnelsAreSteeredAndCounted(t *testing.T) {
	e := Restless(t)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			r := onLoop(t, e, nil)
			stop := make(chan struct{})
			var counting sync.WaitGroup
			counting.Go(func() {
				for last := int64(0); ; {
					now := r.tunnel.Counts().FromClient.Bytes
					if now < last {
						t.Errorf("%d bytes were %d before", now, last)
					}
					last = now
					select {
					case <-stop:
						return
					default:
						runtime.Gosched()
					}
				}
			})
			frame := fromClientFrame(wsproto.OpText, []byte(fmt.Sprint("message of ", i)))
			for range 200 {
				r.passes(r.client, r.backend, frame)
			}
			if i%2 == 0 {
				r.tunnel.Cut(ReasonDrain)
			} else {
				r.tunnel.Close(1001, "", ReasonDrain)
				r.client.Read(make([]byte, 100)) // the Close frame
				r.client.Close()
				r.backend.Close()
			}
			s := r.ends()
			close(stop)
			counting.Wait()
			if s.Counts.FromClient.Messages != 200 || s.Reason != ReasonDrain || r.tunnel.Counts() != s.Counts {
				t.Errorf("%+v, and later %+v", s, r.tunnel.Counts())
			}
		})
	}
	group.Wait()
	for _, l := range e.(*loops).loops {
		if n := l.load.Load(); n != 0 {
			t.Errorf("%d tunnels left", n)
		}
	}
}

// Timers go with a tunnel that moves.
func TestMovingTunnelsKeepTheirLimits(t *testing.T) {
	r := onLoop(t, Restless(t), func(s *Spec) { s.Limits = Limits{Lifetime: 300 * time.Millisecond, CloseTimeout: time.Millisecond} })
	go func() {
		for {
			if _, err := r.client.Write(fromClientFrame(wsproto.OpText, []byte("x"))); err != nil {
				return
			}
			if _, err := r.backend.Read(make([]byte, 100)); err != nil {
				return
			}
		}
	}()
	s := r.ends()
	if s.Reason != ReasonLifetime || s.Duration < 300*time.Millisecond {
		t.Errorf("%+v", s)
	}
	r.client.Close()
	r.backend.Close()
}

// New tunnels go to the first loop while it copes, and where there are fewest
// after a noteOverload.
func TestPlace(t *testing.T) {
	e := twoLoops()
	first, second := e.loops[0], e.loops[1]
	first.load.Store(1000)
	if e.place() != first {
		t.Error("the first loop has room")
	}
	first.share.Store(roomy)
	if e.place() != second {
		t.Error("the first loop has no room")
	}
	first.share.Store(0)
	second.overloaded.Store(second.clock() + calm)
	if e.place() != second {
		t.Error("after a noteOverload the lightest is not chosen")
	}
}

// One noteOverload is forgotten soon, and one that comes again is not.
func TestCrowd(t *testing.T) {
	l := twoLoops().loops[0]
	for _, step := range []struct{ at, lasts int64 }{
		{100 * ms, briefly}, {200 * ms, briefly}, {1200 * ms, calm}, {20_000 * ms, briefly},
	} {
		l.now = step.at
		if l.noteOverload(); l.overloaded.Load() != step.at+step.lasts {
			t.Errorf("overloaded at %d ms, it lasts until %d ms, want %d ms more", step.at/ms, l.overloaded.Load()/ms, step.lasts/ms)
		}
	}
}

// A noteOverload is spread, and gathered when it is long past.
func TestSpreadAndGather(t *testing.T) {
	e := twoLoops()
	first, second := e.loops[0], e.loops[1]
	first.now = 1
	second.share.Store(roomy)
	if first.shed(); first.migrating() {
		t.Error("given to a loop without room")
	}
	second.share.Store(10)
	if first.shed(); first.migration.to != second || first.migration.of != 128 {
		t.Errorf("half is not given away: %+v", first.migration)
	}
	first.overloaded.Store(first.clock() + calm)
	if second.consolidate(10); second.migrating() {
		t.Error("gathered after a noteOverload")
	}
	first.overloaded.Store(0)
	if second.consolidate(10); second.migration.to != first || second.migration.of != 256 {
		t.Errorf("not gathered: %+v", second.migration)
	}
	first.migration = migration{}
	if first.consolidate(10); first.migrating() {
		t.Error("the first loop gives its own away")
	}
}
