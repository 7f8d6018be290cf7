package upstream

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

func queuedPool(t *testing.T, q Queue, members ...Member) *Pool {
	t.Helper()
	p, err := NewPool("p", Settings{}, members, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.SetQueue(q)
	return p
}

// TestQueueIsFair: places go to the waiting requests in the order of their arrival.
func TestQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backendNamed("a:1")
		p := queuedPool(t, Queue{Length: 10, Wait: time.Minute}, Member{Backend: b, MaxTunnels: 2})
		for range 2 {
			if _, err := p.PickOrWait(t.Context(), Choice{Tunnel: true}); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		var order []int
		for i := range 10 {
			go func() {
				if _, err := p.PickOrWait(t.Context(), Choice{Tunnel: true}); err != nil {
					t.Errorf("waiter %d: %v", i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			}()
			synctest.Wait()
		}
		if _, err := p.PickOrWait(t.Context(), Choice{Tunnel: true}); err != ErrFull {
			t.Errorf("one too many in the line: %v, want ErrFull", err)
		}
		if _, err := p.PickOrWait(t.Context(), Choice{}); err != nil {
			t.Errorf("a request behind tunnels that wait: %v", err)
		}
		for i := range 10 {
			b.CloseTunnel()
			synctest.Wait()
			if len(order) != i+1 || order[i] != i {
				t.Fatalf("served %v after %d places were free", order, i+1)
			}
		}
		if b.Tunnels() != 2 {
			t.Errorf("%d tunnels counted, want 2", b.Tunnels())
		}
	})
}

func TestQueueEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backendNamed("a:1")
		p := queuedPool(t, Queue{Length: 10, Wait: 5 * time.Second}, Member{Backend: b, MaxRequests: 1})
		if _, err := p.PickOrWait(t.Context(), Choice{}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := p.PickOrWait(t.Context(), Choice{}); err != ErrFull || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v, want ErrFull after 5s", err, time.Since(began))
		}
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, err := p.PickOrWait(ctx, Choice{}); err != context.DeadlineExceeded {
			t.Errorf("%v for a client that left, want its own end", err)
		}
		down(b, true)
		b.Release()
		if _, err := p.PickOrWait(t.Context(), Choice{}); err != ErrUnavailable {
			t.Errorf("%v while it is down, want ErrUnavailable", err)
		}
		if p.state.queues.requests.waiting.Load() != 0 {
			t.Error("a waiter is left in the queue")
		}
	})
}

// TestQueueHearsOfRecovery: a backend that becomes available serves the queue at once.
func TestQueueHearsOfRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backendNamed("a:1")
		defer b.Close()
		p := queuedPool(t, Queue{Length: 10, Wait: time.Minute}, Member{Backend: b})
		probes := 0
		b.CheckHealth(HealthCheck{Config: health.Config{Interval: 10 * time.Second, StartDown: true, Key: "k", Probe: func(context.Context, health.Target) error {
			if probes++; probes < 3 {
				return errSick
			}
			return nil
		}}}, nil)
		began := time.Now()
		if _, err := p.PickOrWait(t.Context(), Choice{Tunnel: true}); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 18*time.Second || waited > 22*time.Second {
			t.Errorf("waited %v, want two intervals", waited)
		}
	})
}

// TestQueueKeepsLimits: many come and go at once; a limit holds at every moment,
// no request is lost, and every place is given back.
func TestQueueKeepsLimits(t *testing.T) {
	const limit, clients = 3, 50
	a, b := backendNamed("a:1"), backendNamed("b:1")
	p := queuedPool(t, Queue{Length: clients, Wait: time.Minute}, Member{Backend: a, MaxTunnels: limit}, Member{Backend: b, MaxTunnels: limit})
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range 100 {
				ctx, leave := context.WithTimeout(t.Context(), time.Duration(rand.IntN(2000))*time.Microsecond+time.Microsecond)
				got, err := p.PickOrWait(ctx, Choice{Tunnel: true})
				leave()
				if err != nil {
					continue
				}
				if n := got.Tunnels(); n > limit {
					t.Errorf("%d tunnels at once, want at most %d", n, limit)
				}
				got.CloseTunnel()
			}
		})
	}
	all.Wait()
	if a.Tunnels() != 0 || b.Tunnels() != 0 || p.state.queues.tunnels.waiting.Load() != 0 {
		t.Errorf("left over: %d and %d tunnels, %d waiting", a.Tunnels(), b.Tunnels(), p.state.queues.tunnels.waiting.Load())
	}
}

// TestQueueMoves: a request that waits at a pool that is replaced gets ErrReplaced, and does
// not hold up those that could have the new pool's members.
func TestQueueMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := backendNamed("a:1"), backendNamed("b:1")
		q := Queue{Length: 10, Wait: time.Minute}
		old := queuedPool(t, q, Member{Backend: a, MaxTunnels: 1})
		if _, err := old.Pick(Choice{Tunnel: true}); err != nil {
			t.Fatal(err)
		}
		told := make(chan error, 1)
		go func() {
			_, err := old.PickOrWait(t.Context(), Choice{Tunnel: true})
			told <- err
		}()
		synctest.Wait()
		next, err := NewPool("p", Settings{}, []Member{{Backend: a, MaxTunnels: 1}, {Backend: b}}, old)
		if err != nil {
			t.Fatal(err)
		}
		next.SetQueue(q)
		picked := make(chan *Backend, 1)
		go func() {
			got, _ := next.PickOrWait(t.Context(), Choice{Tunnel: true})
			picked <- got
		}()
		synctest.Wait()
		old.Retire()
		if err := <-told; err != ErrReplaced {
			t.Errorf("who waited was told %v, want ErrReplaced", err)
		}
		if got := <-picked; got != b {
			t.Errorf("who came to the new pool got %v, want its new member", got)
		}
		if _, err := old.PickOrWait(t.Context(), Choice{Tunnel: true}); err != ErrReplaced {
			t.Errorf("who comes too late is told %v, want ErrReplaced", err)
		}
	})
}

// TestQueueKeepsPlaces: a request that waits while its pool is replaced keeps its place and
// its deadline.
func TestQueueKeepsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backendNamed("a:1")
		q := Queue{Length: 3, Wait: time.Minute}
		generation := func(prev *Pool) *Pool {
			p, err := NewPool("p", Settings{}, []Member{{Backend: b, MaxTunnels: 1}}, prev)
			if err != nil {
				t.Fatal(err)
			}
			p.SetQueue(q)
			return p
		}
		var now atomic.Pointer[Pool]
		now.Store(generation(nil))
		if _, err := now.Load().Pick(Choice{Tunnel: true}); err != nil {
			t.Fatal(err)
		}
		served, refused := make(chan int, 10), make(chan time.Time, 10)
		wait := func(i int) {
			c := Choice{Tunnel: true, Ticket: new(QueueTicket)}
			err := ErrReplaced
			for err == ErrReplaced {
				_, err = now.Load().PickOrWait(t.Context(), c)
			}
			if err != nil {
				refused <- time.Now()
			} else {
				served <- i
			}
		}
		began := time.Now()
		for i := range 3 {
			go wait(i)
			synctest.Wait()
		}
		time.Sleep(40 * time.Second)
		for range 3 {
			old := now.Load()
			now.Store(generation(old))
			go wait(9) // a request between them finds the queue full
			synctest.Wait()
			old.Retire()
			synctest.Wait()
			if at := <-refused; at != time.Now() {
				t.Errorf("refused at %v", at)
			}
		}
		for want := range 2 {
			b.CloseTunnel()
			if got := <-served; got != want {
				t.Fatalf("served %d, want %d", got, want)
			}
		}
		if at := <-refused; at.Sub(began) != time.Minute {
			t.Errorf("the last waited for %v, want a minute in all", at.Sub(began))
		}
	})
}
