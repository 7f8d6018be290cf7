package metrics

// What is counted by route and by listener. A route's counts outlive its Table, and follow
// it to another name; they end when the route is gone and its last tunnel has ended.

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// Registry has the counts of all routes and listeners. Safe for concurrent use.
type Registry struct {
	mu     sync.RWMutex
	routes map[string]*Route   // guarded by mu; by present name
	times  map[timesKey]*Times // guarded by mu
	former []*Route            // guarded by mu; of routes whose name another one has taken over
}

// NewRegistry returns a Registry that has counted nothing.
func NewRegistry() *Registry {
	return &Registry{routes: make(map[string]*Route), times: make(map[timesKey]*Times)}
}

// Route returns the counts of the route of that name. "" is for requests that no route
// matches.
func (g *Registry) Route(name string) *Route {
	g.mu.RLock()
	r := g.routes[name]
	g.mu.RUnlock()
	if r != nil {
		return r
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.routes[name] == nil {
		g.routes[name] = &Route{name: name}
	}
	return g.routes[name]
}

// Rename gives the counts of routes that have been renamed, from old names to new ones,
// their new names.
func (g *Registry) Rename(renamed map[string]string) {
	if len(renamed) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	moved := make(map[string]*Route, len(renamed))
	for from, to := range renamed {
		if r := g.routes[from]; r != nil {
			moved[to] = r
			delete(g.routes, from)
		}
	}
	for name, r := range moved {
		if before := g.routes[name]; before != nil { // a route that is gone, and has tunnels still
			g.former = append(g.former, before)
		}
		g.routes[name], r.name = r, name
	}
	times := make(map[timesKey]*Times)
	for key, t := range g.times {
		if to, ok := renamed[key.route]; ok {
			delete(g.times, key)
			times[timesKey{key.listener, to}] = t
		}
	}
	maps.Copy(g.times, times)
}

// Times returns the histograms of a listener, and of one route there. route is "" for those
// of all routes that have none of their own.
func (g *Registry) Times(listener, route string) *Times {
	key := timesKey{listener, route}
	g.mu.RLock()
	t := g.times[key]
	g.mu.RUnlock()
	if t != nil {
		return t
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.times[key] == nil {
		g.times[key] = new(Times)
	}
	return g.times[key]
}

type timesKey struct{ listener, route string }

// Keeper says what is served now.
type Keeper interface {
	HasRoute(name string) bool
	HasListener(name string) bool
	// HasBackend reports whether the route leads to the backend with that URL.
	HasBackend(route, backend string) bool
}

// State is what a scrape needs to know besides the counts.
type State struct {
	Keeper
	Draining map[string]int                         // tunnels, by route
	Carried  func([]*tunnel.Tally) []tunnel.Carried // reads them; it may wait for event loops
}

// Collect writes all counts into a scrape, and forgets those that have ended. It holds the
// registry's lock for no longer than it takes to see what there is: handshakes on event
// loops take it, too.
func (g *Registry) Collect(s *Scrape, now State) {
	routes, times := g.snapshot()
	var tallies []*tunnel.Tally
	for _, r := range routes {
		for _, k := range r.tallies {
			tallies = append(tallies, k.tally)
		}
	}
	carried := now.Carried(tallies)
	for _, r := range routes {
		r.collect(s, r.name)
		if r.hasHadTunnels() {
			s.Gauge(TunnelsDraining, float64(now.Draining[r.name]), r.name)
		}
		n := len(r.tallies)
		r.collectCarried(s, carried[:n], now)
		carried = carried[n:]
	}
	for key, t := range times {
		t.collect(s, key)
	}
	for _, r := range routes {
		r.prune(func(backend string) bool { return now.HasBackend(r.name, backend) })
	}
	g.Prune(now)
}

// routeView is a route as a scrape sees it.
type routeView struct {
	*Route
	name    string
	tallies []namedTally
}

type namedTally struct {
	tallyKey
	tally *tunnel.Tally
}

func (g *Registry) snapshot() (routes []routeView, times map[timesKey]*Times) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	routes = make([]routeView, 0, len(g.routes)+len(g.former))
	for _, r := range g.routes {
		routes = append(routes, routeView{r, r.name, r.listTallies()})
	}
	for _, r := range g.former {
		routes = append(routes, routeView{r, r.name, r.listTallies()})
	}
	return routes, maps.Clone(g.times)
}

// Prune forgets the counts that have ended: where nobody scrapes, too, edits must not fill
// the memory.
func (g *Registry) Prune(now Keeper) {
	ends := func(r *Route, former bool) bool {
		return r.name != "" && (former || !now.HasRoute(r.name)) && !r.isUsed()
	}
	endTimes := func(key timesKey) bool {
		return !now.HasListener(key.listener) || key.route != "" && !now.HasRoute(key.route)
	}
	g.mu.RLock()
	some := false
	for _, r := range g.routes {
		some = some || ends(r, false)
	}
	for key := range g.times {
		some = some || endTimes(key)
	}
	some = some || len(g.former) > 0
	g.mu.RUnlock()
	if !some {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.times, func(key timesKey, _ *Times) bool { return endTimes(key) })
	maps.DeleteFunc(g.routes, func(_ string, r *Route) bool { return ends(r, false) && g.bequeathLocked(r) })
	g.former = slices.DeleteFunc(g.former, func(r *Route) bool { return ends(r, true) && g.bequeathLocked(r) })
}

// bequeathLocked leaves what a route's tunnels have carried to the histograms of its
// listeners, which would fall otherwise.
func (g *Registry) bequeathLocked(r *Route) bool {
	for _, k := range r.listTallies() {
		if !k.own {
			if heir := g.times[timesKey{k.listener, ""}]; heir != nil {
				heir.inherit(k.tally.Ended())
			}
		}
	}
	return true
}

// Route is the counts of one route. Safe for concurrent use.
type Route struct {
	name     string // guarded by the registry's mu
	inFlight atomic.Int64
	retries  atomic.Uint64

	mu       sync.Mutex // guards all below
	tallies  map[tallyKey]*tunnel.Tally
	open     map[string]int // tunnels, by backend
	opened   map[openedKey]uint64
	closed   map[closedKey]uint64
	requests map[requestKey]uint64
	refused  map[string]uint64 // by cause
	redials  map[string]uint64 // by result
	drained  map[string]uint64 // by cause
	dead     map[string]uint64 // by peer
}

// tallyKey tells apart what goes to different histograms. own says that the route has its own.
type tallyKey struct {
	listener string
	own      bool
}

type openedKey struct{ backend, protocol string }

type closedKey struct {
	backend string
	End
}

// End is how a tunnel ended, in words of fixed sets.
type End struct{ By, Reason, Code string }

type requestKey struct {
	method string
	status int
}

func add[K comparable](counts *map[K]uint64, key K) {
	if *counts == nil {
		*counts = make(map[K]uint64)
	}
	(*counts)[key]++
}

// TunnelOpened counts a tunnel to a backend, until TunnelClosed or TunnelLeft.
func (r *Route) TunnelOpened(backend, protocol string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arriveLocked(backend)
	add(&r.opened, openedKey{backend, protocol})
}

// TunnelLeft notes that a tunnel has left its backend and looks for another.
func (r *Route) TunnelLeft(backend string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[backend]--
}

// TunnelMoved notes that it has one.
func (r *Route) TunnelMoved(backend string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arriveLocked(backend)
}

func (r *Route) arriveLocked(backend string) {
	if r.open == nil {
		r.open = make(map[string]int)
	}
	r.open[backend]++
}

// TunnelClosed counts a tunnel's end. has says that the backend was still the tunnel's.
func (r *Route) TunnelClosed(backend string, has bool, end End) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if has {
		r.open[backend]--
	}
	add(&r.closed, closedKey{backend, end})
}

// Tally is what counts the bytes and messages of the route's tunnels from a listener. own
// says that the route has histograms of its own.
func (r *Route) Tally(listener string, own bool) *tunnel.Tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := tallyKey{listener, own}
	t := r.tallies[key]
	if t == nil {
		if r.tallies == nil {
			r.tallies = make(map[tallyKey]*tunnel.Tally)
		}
		t = new(tunnel.Tally)
		r.tallies[key] = t
	}
	return t
}

func (r *Route) listTallies() (all []namedTally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, t := range r.tallies {
		all = append(all, namedTally{key, t})
	}
	return all
}

// PeerDead counts a peer that has not answered a ping.
func (r *Route) PeerDead(peer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.dead, peer)
}

// Redialled counts a redial by its result.
func (r *Route) Redialled(result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.redials, result)
}

// Told counts a tunnel that is told to go.
func (r *Route) Told(cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.drained, cause)
}

// Refused counts a handshake that opened no tunnel.
func (r *Route) Refused(cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.refused, cause)
}

// Retried counts a backend that was tried in vain.
func (r *Route) Retried() { r.retries.Add(1) }

// RequestBegun counts a request in flight, until RequestEnded.
func (r *Route) RequestBegun() { r.inFlight.Add(1) }

// RequestEnded ends one RequestBegun.
func (r *Route) RequestEnded() { r.inFlight.Add(-1) }

// Answered counts a request. A status of 0 is one that was cut before there was an answer.
func (r *Route) Answered(method string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.requests, requestKey{methodText(method), status})
}

// methodText is a method, or other: clients invent them.
func methodText(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return method
	}
	return "other"
}

// statusText is a status that has a meaning, or its class: backends invent them. 499 is a
// client that has gone.
func statusText(status int) string {
	switch {
	case status == 0:
		return "none"
	case status == 499, http.StatusText(status) != "":
		return strconv.Itoa(status)
	}
	return strconv.Itoa(status/100) + "xx"
}

// CodeText is a Close code that is registered, or its range: peers invent them.
func CodeText(code uint16) string {
	switch {
	case code == 0:
		return "none"
	case code >= 1000 && code <= 1015 && code != 1004:
		return strconv.Itoa(int(code))
	case code >= 3000 && code < 5000:
		return strconv.Itoa(int(code/1000)) + "xxx"
	}
	return "other"
}

func (r *Route) hasHadTunnels() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open != nil
}

func (r *Route) isUsed() bool {
	if r.inFlight.Load() > 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.open {
		if n > 0 {
			return true
		}
	}
	return false
}

// prune forgets backends that have no tunnel and are not the route's.
func (r *Route) prune(has func(backend string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []string
	for backend, n := range r.open {
		if n == 0 && !has(backend) {
			gone = append(gone, backend)
		}
	}
	for _, backend := range gone {
		delete(r.open, backend)
		maps.DeleteFunc(r.opened, func(k openedKey, _ uint64) bool { return k.backend == backend })
		maps.DeleteFunc(r.closed, func(k closedKey, _ uint64) bool { return k.backend == backend })
	}
}

// Texts of directions and peers, by the index that package tunnel has for them.
var (
	directions = [2]string{"from_client", "from_backend"}
	peers      = [2]string{"client", "backend"}
)

// collectCarried writes what the view's tallies have counted.
func (r *routeView) collectCarried(s *Scrape, carried []tunnel.Carried, now Keeper) {
	for i, k := range r.tallies {
		c := &carried[i]
		for dir, direction := range directions {
			s.Counter(TunnelBytes, float64(c.Bytes[dir]), r.name, direction)
			s.Counter(TunnelMessages, float64(c.Text[dir]), r.name, direction, "text")
			s.Counter(TunnelMessages, float64(c.Binary[dir]), r.name, direction, "binary")
		}
		if !now.HasListener(k.listener) {
			continue
		}
		route := ""
		if k.own {
			route = r.name
		}
		collectSpreads(s, c, k.listener, route)
	}
}

func collectSpreads(s *Scrape, c *tunnel.Carried, listener, route string) {
	for i := range directions {
		if c.Sizes[i] != nil {
			s.Counts(MessageBytes, c.Sizes[i].Counts, c.Sizes[i].Sum, listener, route, directions[i])
		}
		if c.RTT[i] != nil {
			s.Counts(PingRTT, c.RTT[i].Counts, c.RTT[i].Sum, listener, route, peers[i])
		}
	}
}

// collect writes the counts under the name that the route had when the scrape began.
func (r *Route) collect(s *Scrape, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for backend, n := range r.open {
		s.Gauge(Tunnels, float64(n), name, backend)
	}
	for k, n := range r.opened {
		s.Counter(TunnelsOpened, float64(n), name, k.backend, k.protocol)
	}
	for k, n := range r.closed {
		s.Counter(TunnelsClosed, float64(n), name, k.backend, k.By, k.Reason, k.Code)
	}
	for k, n := range r.requests {
		s.Counter(HTTPRequests, float64(n), name, k.method, statusText(k.status))
	}
	for cause, n := range r.refused {
		s.Counter(HandshakesRefused, float64(n), name, cause)
	}
	for result, n := range r.redials {
		s.Counter(Redials, float64(n), name, result)
	}
	for cause, n := range r.drained {
		s.Counter(Drained, float64(n), name, cause)
	}
	for peer, n := range r.dead {
		s.Counter(DeadPeers, float64(n), name, peer)
	}
	if name != "" {
		s.Counter(Retries, float64(r.retries.Load()), name)
		s.Gauge(HTTPInFlight, float64(r.inFlight.Load()), name)
	}
}

// Times is the histograms of a listener's tunnels and requests. Safe for concurrent use.
type Times struct {
	tunnels, requests histogram.Lazy
	handshakes        [results]histogram.Lazy

	mu        sync.Mutex
	inherited tunnel.Carried // guarded by mu; of routes that are gone
}

func (t *Times) inherit(c tunnel.Carried) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.AddTo(&t.inherited)
}

// Result is what came of a handshake.
type Result int

const (
	Opened     Result = iota
	Refused           // by the proxy: the request, the Origin, a limit
	Failed            // no backend took it
	ClientGone        // before there was an answer
	results
)

var resultTexts = [results]string{Opened: "opened", Refused: "refused", Failed: "failed", ClientGone: "client_gone"}

// Tunnel measures how long a tunnel was open.
func (t *Times) Tunnel(d time.Duration) { t.tunnels.Of(histogram.Lives).Observe(d.Seconds()) }

// Request measures a request, from its head to the end of its answer.
func (t *Times) Request(began time.Time) { t.requests.Of(histogram.Waits).Since(began) }

// Handshake measures a handshake, from its head to the 101 or the answer's end.
func (t *Times) Handshake(r Result, began time.Time) {
	t.handshakes[r].Of(histogram.Waits).Since(began)
}

func (t *Times) collect(s *Scrape, key timesKey) {
	if h := t.tunnels.Get(); h != nil {
		s.Histogram(TunnelDuration, h, key.listener, key.route)
	}
	if h := t.requests.Get(); h != nil {
		s.Histogram(HTTPDuration, h, key.listener, key.route)
	}
	for r := range t.handshakes {
		if h := t.handshakes[r].Get(); h != nil {
			s.Histogram(HandshakeDuration, h, key.listener, key.route, resultTexts[r])
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	collectSpreads(s, &t.inherited, key.listener, key.route)
}
