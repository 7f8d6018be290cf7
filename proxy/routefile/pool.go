package routefile

// Pools and their backends: the records, their keys and their checks. Each feature of a
// pool has a file of its own.

// Pool is a named set of backends.
type Pool struct {
	Record
	Balance  string  // "least_tunnels", "round_robin", "least_bytes", "random_two", "hash"
	Hash     HashKey // with Balance "hash" only
	Backends map[string]*Backend
	Sticky   *Sticky // nil: no session affinity
	Health   Health
	Queue    *Queue // nil: no queue

	Resolve   *Resolve   // instead of Backends
	Rebalance *Rebalance // nil: tunnels are not moved
}

// Backend is one server of a pool.
type Backend struct {
	Record
	URL      Target // no path, no captures
	Weight   int    // from 1 to 1000; 0 is 1
	Drain    bool
	Disabled bool
	Tier     int
	Spare    bool // not with Standby
	Standby  bool
	// Maximum numbers at a time; zero and negative are no limit.
	MaxTunnels  int
	MaxRequests int
	Route       string // its name in an application's cookie, header or query; "" is Name
	TLS         TLSSettings
}

func poolKeys() []*Key {
	return []*Key{
		key("balance", "Load balancing policy, always weighted: least_tunnels picks the backend with the fewest open tunnels and requests, round_robin takes turns, least_bytes picks the backend that carried the fewest bytes recently, random_two picks the less busy of two random backends, hash picks the same backend for the same key.",
			text(func(p *Pool) *string { return &p.Balance }, nil), byDefault("least_tunnels"), enum("least_tunnels", "round_robin", "least_bytes", "random_two", "hash"), example("round_robin")),
		key("hash", "The key of balance: hash. A request without it goes to the backend with the fewest tunnels.",
			mapping(func(p *Pool) *HashKey { return &p.Hash }, hashKeys()...), exactlyOne("header", "cookie", "query", "capture", "client"), example("{header: X-User}")),
		key("backends", "The servers, by name.",
			named(func(p *Pool) map[string]*Backend { return p.Backends }, newBackend, backendKeys()), pattern(namePattern), example(`{a: {url: "ws://10.0.0.1:9000"}}`)),
		key("sticky", "Session affinity: sends a client back to the same backend.",
			optional(func(p *Pool) **Sticky { return &p.Sticky }, stickyKeys()...), exactlyOne("cookie", "app_cookie", "header", "query"), example("{cookie: TUNNELFORM}")),
		key("health", "Health checks and ejection of backends.",
			mapping(func(p *Pool) *Health { return &p.Health }, healthKeys()...), atMostOne("tcp", "http", "websocket"), example("{websocket: {path: /ws}, interval: 5s}")),
		key("resolve", "Discovers the backends through DNS. New ones join the pool, and those that disappear are drained.",
			optional(func(p *Pool) **Resolve { return &p.Resolve }, resolveKeys()...), exactlyOne("dns", "srv"), example(`{dns: "chat.internal:9000"}`)),
		key("rebalance", "When a backend is added or recovers, gradually drains tunnels of backends that have more than their share, by the drain policy of their routes.",
			optional(func(p *Pool) **Rebalance { return &p.Rebalance }, rebalanceKeys()...), example("{within: 5m}")),
		key("queue", "Queues tunnels and requests while no backend is available or all are at capacity, first come, first served. Without a queue they get 503 at once.",
			optional(func(p *Pool) **Queue { return &p.Queue }, queueKeys()...), example("{length: 50}")),
	}
}

func backendKeys() []*Key {
	return []*Key{
		key("url", "The server: scheme://host[:port] without a path, with the scheme ws, wss, http, https, unix+ws or unix+http.",
			targetKey(parseBackendURL, func(b *Backend) *Target { return &b.URL }, func(b *Backend, t Target) { b.URL = t }), required, example(`"ws://10.0.0.1:9000"`)),
		key("weight", "Share of the load: a backend of weight 2 gets twice as much as one of weight 1.",
			whole(func(b *Backend) *int { return &b.Weight }, 1, 1000), byDefault("1"), example("2")),
		key("drain", "Gets no new traffic, and its tunnels are drained by the policies of their routes.",
			plainSwitch(func(b *Backend) *bool { return &b.Drain }), byDefault("false"), example("true")),
		key("disabled", "Gets no new traffic; its open tunnels stay.",
			plainSwitch(func(b *Backend) *bool { return &b.Disabled }), byDefault("false"), example("true")),
		key("tier", "Priority group: only the lowest tier with an available backend is used.",
			whole(func(b *Backend) *int { return &b.Tier }, 0, 99), byDefault("0"), example("1")),
		key("spare", "Replaces one unavailable backend of its tier.",
			plainSwitch(func(b *Backend) *bool { return &b.Spare }), byDefault("false"), example("true")),
		key("standby", "Is used only when no other backend of its tier is available.",
			plainSwitch(func(b *Backend) *bool { return &b.Standby }), byDefault("false"), example("true")),
		key("max_tunnels", "Maximum number of open tunnels to this backend.",
			count(func(b *Backend) *int { return &b.MaxTunnels }, true), byDefault("off"), example("5000")),
		key("max_requests", "Maximum number of concurrent requests to this backend, without tunnels.",
			count(func(b *Backend) *int { return &b.MaxRequests }, true), byDefault("off"), example("200")),
		key("route", "The value that names the backend in an application's cookie, header or query parameter. Defaults to the backend's name.",
			text(func(b *Backend) *string { return &b.Route }, checkName), example("node1")),
		key("tls", "TLS to this backend. A key set here overrides that of the route's backend_tls.",
			mapping(func(b *Backend) *TLSSettings { return &b.TLS }, tlsKeys(false)...), together("certificate", "key"), example("{server_name: chat.internal}")),
	}
}

func newPool(p *parser, f *File, name string, key node) *Pool {
	pool := &Pool{Record: p.begin("pool", name, key), Backends: make(map[string]*Backend)}
	f.Pools[name] = pool
	return pool
}

func newBackend(p *parser, pool *Pool, name string, key node) *Backend {
	p.checkName("backend", name, key)
	b := &Backend{Record: Record{Name: name, Pos: p.file.pos(key)}}
	pool.Backends[name] = b
	return b
}

func (p *Pool) filled() *Pool {
	c := *p
	if c.Balance == "" {
		c.Balance = builtIn.pool.Balance
	}
	c.Sticky = overlayPart(p.Sticky, builtIn.pool.Sticky)
	c.Health = p.Health.filled()
	c.Queue = overlayPart(p.Queue, builtIn.pool.Queue)
	c.Resolve = overlayPart(p.Resolve, builtIn.pool.Resolve)
	c.Rebalance = overlayPart(p.Rebalance, builtIn.pool.Rebalance)
	return &c
}

func (c *checker) checkPools() {
	for _, name := range sortedNames(c.pools) {
		p := c.pools[name]
		if len(p.it.Backends) == 0 && p.it.Resolve == nil && !p.it.invalid {
			c.at(p.file, []string{"pools", name, "backends"}, recordOf("pool", name), "backends is empty, wanted at least one")
		}
		c.checkBalance(p)
		c.checkBackends(p)
		c.checkRouteNames(p)
		c.checkSticky(p)
		c.checkHealth(p)
		c.checkResolve(p)
		c.checkRebalance(p)
	}
}

// checkBackends reports servers that are listed twice: a tunnel identifies its backend by pool, scheme and authority.
func (c *checker) checkBackends(p placed[*Pool]) {
	first := map[string]string{}
	for _, name := range sortedNames(p.it.Backends) {
		b := p.it.Backends[name]
		keys, record := []string{"pools", p.it.Name, "backends", name}, recordOf("pool", p.it.Name)
		if b.URL.Host == "" {
			continue
		}
		identity := b.URL.Scheme + "://" + b.URL.Host
		if before, twice := first[identity]; twice {
			c.at(p.file, append(keys, "url"), record, "backends.%s.url %q is backend %q: list each server once", name, b.URL.Raw, before)
			continue
		}
		first[identity] = name
		if b.Spare && b.Standby {
			c.at(p.file, append(keys, "standby"), record, "backends.%s is both spare and standby: choose one", name)
		}
		if b.TLS != (TLSSettings{}) && b.URL.Scheme != "wss" && b.URL.Scheme != "https" {
			c.at(p.file, append(keys, "tls"), record, "backends.%s.tls has no effect: the scheme %s uses no TLS, wanted wss or https", name, b.URL.Scheme)
		}
	}
}
