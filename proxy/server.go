package proxy

// The Server: sockets, the current Table, and the tunnels that are open.

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/discovery"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/handler"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// Options is what a Server is made of.
type Options struct {
	// Current returns the Table to serve; one atomic load, asked once a request.
	// It must not return nil once a socket accepts. Required.
	Current func() *routing.Table
	// Log gets a line when a tunnel opens, one when it closes, one per HTTP
	// request and one per listener that comes or goes. Required.
	Log *slog.Logger
	// Status is what internal://status answers, as JSON. Required.
	Status func() any
	// LogAgents adds Referer, User-Agent and the version of HTTP to the lines of requests.
	LogAgents bool
	// Health is told when the health of a backend changes; nil: nobody asks.
	Health func(statusapi.BackendEvent)
}

// Server serves the current Table. Bind, Adopt and Shutdown are called by one
// goroutine at a time (the reload loop's, then the one that stops); everything
// else is safe for concurrent use.
type Server struct {
	current  func() *routing.Table
	log      *slog.Logger
	tunnels  *drain.Group
	counters handler.Counters
	handler  *handler.Handler
	engine   tunnel.Engine
	stopping atomic.Bool
	health   func(statusapi.BackendEvent) // nil: nobody asks

	discovery   *discovery.Pollers // used by Adopt and Shutdown
	probes      probeTimes
	metrics     *metrics.Registry
	evaluating  sync.Mutex              // one evaluation of open tunnels at a time
	evaluated   *sync.Cond              // on evaluating: adopted has changed, and tunnels are evaluated by it
	adopted     *routing.Table          // guarded by evaluating
	rebalancing map[string]*rebalancing // guarded by evaluating; by pool

	mu         sync.Mutex
	rebalanced map[string]uint64         // guarded by mu; tunnels, by pool
	sockets    map[string]*listen.Socket // guarded by mu; accepting, by key
	spare      map[string]*listen.Socket // guarded by mu; bound, for a Table that is not adopted yet
	leaving    sync.WaitGroup            // sockets on their way out
	life       context.Context           // ends when what is left on them is to be cut
	end        context.CancelFunc
}

// NewServer returns a Server that listens nowhere yet.
func NewServer(o Options) *Server {
	s := &Server{
		current: o.Current,
		log:     o.Log,
		tunnels: drain.NewGroup(),
		sockets: make(map[string]*listen.Socket),
		spare:   make(map[string]*listen.Socket),

		rebalancing: make(map[string]*rebalancing),
		rebalanced:  make(map[string]uint64),
		metrics:     metrics.NewRegistry(),
		engine:      tunnel.New(),
	}
	s.discovery = discovery.New(discovery.Events{
		Log: o.Log, Health: s.healthChanged, Probed: s.probes.note, Changed: s.evaluatePool, Joined: s.rebalance,
	})
	s.tunnels.Told = func(route, cause string) { s.metrics.Route(route).Told(cause) }
	s.health = o.Health
	s.evaluated = sync.NewCond(&s.evaluating)
	s.life, s.end = context.WithCancel(context.Background())
	s.handler = handler.New(handler.Deps{
		Current: o.Current, Engine: s.engine, Tunnels: s.tunnels, Log: o.Log, Status: o.Status, Counters: &s.counters,
		Metrics: s.metrics, LogAgents: o.LogAgents,
	})
	return s
}

// Bind binds the addresses of t that are not bound yet, so that a Table whose addresses
// are in use is refused before it is current. They accept
// from Adopt on; until then, and at the next Bind, they may be let go again.
// The error is routefile.Errors, at the listeners' positions.
func (s *Server) Bind(t *routing.Table, set *routefile.Set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropSpareLocked(func(key string) bool { return t.Listener(key) == nil })
	bound, errs := s.bindLocked(t, set)
	for key, k := range bound {
		s.spare[key] = k
	}
	if len(errs) > 0 {
		s.dropSpareLocked(func(string) bool { return true })
	}
	return routefile.Merge(errs).Err()
}

// Unbind closes what Bind has bound for a Table that is not adopted after all: clients
// that connect there would wait for ever.
func (s *Server) Unbind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropSpareLocked(func(string) bool { return true })
}

// TryBind returns what Bind would return, and binds nothing.
func (s *Server) TryBind(t *routing.Table, set *routefile.Set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	bound, errs := s.bindLocked(t, set)
	for _, k := range bound {
		k.Close()
	}
	return routefile.Merge(errs).Err()
}

// bindLocked binds the addresses of t that are not bound.
func (s *Server) bindLocked(t *routing.Table, set *routefile.Set) (bound map[string]*listen.Socket, errs routefile.Errors) {
	bound = make(map[string]*listen.Socket)
	for key, l := range t.Listeners() {
		if s.sockets[key] != nil || s.spare[key] != nil {
			continue
		}
		k, err := s.bind(l)
		if errors.Is(err, syscall.EADDRINUSE) && s.willBeFreeLocked(t, l) {
			if err = s.checkConflictLocked(t, l); err == nil {
				continue // bound in Adopt, once the socket in its way is closed
			}
		}
		if err != nil {
			errs = append(errs, listenError(set.Listeners[l.Name], err))
			continue
		}
		bound[key] = k
	}
	return bound, errs
}

func (s *Server) bind(l *listen.Config) (*listen.Socket, error) {
	return listen.New(l, listen.Options{Config: s.listener, Handler: s.handler, Log: s.log})
}

// listener is the current settings of a socket.
func (s *Server) listener(key string) *listen.Config {
	if t := s.current(); t != nil {
		return t.Listener(key)
	}
	return nil
}

// checkConflictLocked reports a listener of t that would be in the way of l if all
// sockets that t does not use were gone.
func (s *Server) checkConflictLocked(t *routing.Table, l *listen.Config) error {
	return listen.CheckConflict(l, t.Listeners(), func(key string) bool { return s.sockets[key] != nil })
}

// willBeFreeLocked says whether what keeps l from being bound is a socket of
// ours that t has no use for: ":8080" in the way of "127.0.0.1:8080".
func (s *Server) willBeFreeLocked(t *routing.Table, l *listen.Config) bool {
	for key, k := range s.sockets {
		if t.Listener(key) == nil && portOf(k.Addr().String()) == portOf(l.Address) {
			return true
		}
	}
	return false
}

// portOf is an address' port; the whole of a unix socket's path.
func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

func listenError(l *routefile.Listener, err error) *routefile.Error {
	return &routefile.Error{
		Pos:    l.Pos,
		Key:    "listeners." + l.Name + ".address",
		Record: "listener " + strconv.Quote(l.Name),
		Text:   err.Error(),
	}
}

func (s *Server) dropSpareLocked(drop func(key string) bool) {
	for key, k := range s.spare {
		if drop(key) {
			k.Close()
			delete(s.spare, key)
		}
	}
}

// Adopt makes the rest of the proxy follow a new Table, after Current has begun
// to return it: sockets that are new accept, sockets that are gone close, open
// tunnels are evaluated. old is nil the first time.
func (s *Server) Adopt(old, new *routing.Table) routing.Changes {
	s.discovery.Adopt(new.Discoveries(), new.Pools(), new.Lists)
	if old == nil {
		s.evaluating.Lock()
		s.adopted = new
		s.evaluated.Broadcast()
		s.evaluating.Unlock()
		new.CheckHealth(s.healthChanged, s.probes.note)
		s.discovery.AwaitFirst(firstLookups)
		s.adoptSockets(new)
		return routing.Compare(&routing.Table{}, new)
	}
	s.adoptSockets(new)
	new.CheckHealth(s.healthChanged, s.probes.note)
	changes := routing.Compare(old, new)
	s.metrics.Rename(changes.Renamed)
	s.evaluating.Lock()
	s.adopted = new
	changes.Kept, changes.Draining = s.tunnels.Evaluate(new.Evaluator(changes))
	s.evaluated.Broadcast()
	s.evaluating.Unlock()
	for name, pool := range old.Pools() {
		pool.EndTemporaries(new.Pools()[name])
	}
	s.metrics.Prune(served{new})
	old.Retire(new)
	s.rebalanceJoined(old, new)
	return changes
}

// Impact returns what Adopt would do if new, which was built after old, came now: what it
// would change, and what the evaluation of open tunnels would be, by the same code. It
// returns false if old is not current any more. Changes.Kept and Draining are not set.
func (s *Server) Impact(old, new *routing.Table) (changes routing.Changes, impact *drain.Impact, ok bool) {
	s.evaluating.Lock()
	defer s.evaluating.Unlock()
	for s.adopted != old {
		if s.current() != old {
			return changes, nil, false
		}
		s.evaluated.Wait() // old is current, but the tunnels are evaluated by the Table before it
	}
	changes = routing.Compare(old, new)
	return changes, s.tunnels.Impact(new.Evaluator(changes)), true
}

// firstLookups is how long the first Adopt waits for pools whose members are discovered.
const firstLookups = 2 * time.Second

// evaluatePool evaluates the tunnels to one pool's backends, after its members have
// changed by themselves. It goes by the Table that was adopted last: tunnels of
// routes that only the next one knows are the next evaluation's.
func (s *Server) evaluatePool(pool string) {
	s.evaluating.Lock()
	defer s.evaluating.Unlock()
	t := s.adopted
	s.tunnels.Evaluate(func(f drain.Facts) drain.Decision {
		if f.Backend.Pool != pool || t.Route(f.Route) == nil {
			return drain.Decision{Unchanged: true}
		}
		return t.Evaluate(f, nil)
	})
}

func (s *Server) adoptSockets(t *routing.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, k := range s.sockets {
		if t.Listener(key) == nil {
			delete(s.sockets, key)
			s.log.Info("closing listener", "address", k.Addr().String())
			s.retireSocketLocked(k, socketGrace)
			continue
		}
		if err := k.Reload(); err != nil {
			s.log.Error("cannot change socket", "listener", t.Listener(key).Name, "address", k.Addr().String(), "error", err)
		}
	}
	for key, l := range t.Listeners() {
		if s.sockets[key] != nil {
			continue
		}
		k := s.spare[key]
		delete(s.spare, key)
		if k == nil {
			var err error
			if k, err = s.bind(l); err != nil {
				s.log.Error("cannot listen", "listener", l.Name, "address", l.Address, "error", err)
				continue
			}
		}
		s.sockets[key] = k
		k.Start(s.life)
		s.log.Info("listening", "listener", l.Name, "address", k.Addr().String(), "tls", l.TLS != nil)
	}
	s.dropSpareLocked(func(string) bool { return true })
}

// socketGrace is how long the requests in flight on a listener that was taken
// out of the routes file may take. Tunnels are not among them.
const socketGrace = time.Minute

// shutdownGrace is longer than any shutdown: there the deadline decides.
const shutdownGrace = 24 * time.Hour

// retireSocketLocked closes a socket to new connections now; its requests in flight may
// end within grace.
func (s *Server) retireSocketLocked(k *listen.Socket, grace time.Duration) {
	k.Close()
	s.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(s.life, grace)
		defer cancel()
		k.Stop(ctx)
	})
}

// Ready says whether the Server wants new connections: false once Unready was
// called, or Shutdown has begun.
func (s *Server) Ready() bool { return !s.stopping.Load() }

// Unready announces a Shutdown: from now on Ready is false, and all else is as before.
func (s *Server) Unready() { s.stopping.Store(true) }

// Tunnels is the number of open tunnels and of those among them that are on
// their way out.
func (s *Server) Tunnels() (open, draining int) { return s.tunnels.Len() }

// OpenTunnels is the set of open tunnels, for those who look at them and end them by hand.
func (s *Server) OpenTunnels() *drain.Group { return s.tunnels }

// Moving is the number of open tunnels that are between two backends.
func (s *Server) Moving() int { return s.tunnels.Moving() }

// Redialled is how often a tunnel has gone on with another backend since the start.
func (s *Server) Redialled() uint64 { return s.counters.Redialled.Load() }

// Opened is how many tunnels have opened since the start.
func (s *Server) Opened() uint64 { return s.counters.Opened.Load() }

// Ended is how many of them have ended.
func (s *Server) Ended() uint64 { return s.counters.Ended.Load() }

// Addresses lists where the Server listens, by listener name: the actual ports
// where the file says 0.
func (s *Server) Addresses() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	addresses := make(map[string]string, len(s.sockets))
	for _, k := range s.sockets {
		if l := k.Config(); l != nil {
			addresses[l.Name] = k.Addr().String()
		}
	}
	return addresses
}

// drainSlack is what a drain may take beyond its window and the peers' time to
// answer: Close frames wait for the end of the frame that is under way.
const drainSlack = 2 * time.Second

// Shutdown stops the Server: not ready at once, still accepting for the routes
// file's shutdown.delay if it is to be announced, then closed to new connections while
// requests end and tunnels are drained over the window. When ctx ends, all that is left is cut. It returns when
// nothing is open any more; the error is ctx's if it had to cut.
func (s *Server) Shutdown(ctx context.Context, announce bool) error {
	s.Unready()
	rule := s.current().Shutdown()
	if announce {
		sleep(ctx, rule.Delay)
	}
	s.tunnels.Shutdown(rule.Policy)
	deadline, cancel := context.WithTimeout(ctx, rule.Policy.Window+s.longestClose()+drainSlack)
	defer cancel()
	defer func() {
		s.current().Close()
		s.discovery.Stop()
	}()
	s.stopSockets(deadline)
	if err := s.tunnels.Wait(deadline); err != nil {
		s.tunnels.Cut(tunnel.ReasonShutdown)
	}
	cut, stop := context.WithTimeout(context.WithoutCancel(ctx), drainSlack)
	defer stop()
	return errors.Join(ctx.Err(), s.tunnels.Wait(cut))
}

// stopSockets closes every socket and returns when the requests on them have
// ended, or were cut at ctx's end.
func (s *Server) stopSockets(ctx context.Context) {
	defer context.AfterFunc(ctx, s.end)()
	s.mu.Lock()
	s.dropSpareLocked(func(string) bool { return true })
	for key, k := range s.sockets {
		delete(s.sockets, key)
		s.retireSocketLocked(k, shutdownGrace)
	}
	s.mu.Unlock()
	s.leaving.Wait()
	s.end()
}

// LongestClose is the longest time that peers have to answer a Close: those of an
// open tunnel, which has its limit from the routes of its handshake, and those of
// a handshake that is under way.
func (s *Server) longestClose() time.Duration {
	return max(s.tunnels.LongestClose(), s.current().LongestClose())
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
