package routefile

import "fmt"

// The table of keys: every key of the routes file, what it means, its default
// and the field that it fills. It is the one place: the parser, the built-in
// defaults, the JSON Schema, the reference and the Terraform provider's
// attributes are made from it.

// key completes what a kind made with a name and its words.
func key(name, meaning string, k *Key, more ...func(*Key)) *Key {
	k.Name, k.Meaning = name, meaning
	for _, m := range more {
		m(k)
	}
	return k
}

func byDefault(yaml string) func(*Key)      { return func(k *Key) { k.Default = yaml } }
func example(yaml string) func(*Key)        { return func(k *Key) { k.Example = yaml } }
func enum(words ...string) func(*Key)       { return func(k *Key) { k.Enum = words } }
func pattern(re string) func(*Key)          { return func(k *Key) { k.Pattern = re } }
func exactlyOne(names ...string) func(*Key) { return func(k *Key) { k.ExactlyOne = names } }
func atMostOne(names ...string) func(*Key)  { return func(k *Key) { k.AtMostOne = names } }
func together(names ...string) func(*Key)   { return func(k *Key) { k.Together = names } }
func filled(k *Key)                         { k.Filled = true }
func required(k *Key)                       { k.Required = true }
func reserved(name, meaning string) *Key {
	return &Key{Name: name, Meaning: meaning, Kind: KindMapping, Reserved: true}
}

// document is the top level; its destination is a *File.
var document Key

func init() {
	document = *mapping(self[File], topKeys()...)
	document.finish("")
	builtIn = readBuiltIns()
}

// self is the part of a record that is the record.
func self[T any](t *T) *T { return t }

const namePattern = `^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`

func topKeys() []*Key {
	return []*Key{
		key("version", "The format of the file. Always 1.",
			versionKey(), required, example("1")),
		key("listeners", "The addresses to accept connections on, by name. A set of files without any has one, web, on :8080.",
			named(func(f *File) map[string]*Listener { return f.Listeners }, newListener, listenerKeys()), pattern(namePattern), example(`{web: {address: ":8080"}}`)),
		key("trusted_proxies", "Networks of the proxies in front, whose X-Forwarded-* and Forwarded headers are believed; everyone else's are dropped. One file of a set may say it.",
			networks(func(f *File) *[]prefix { return &f.TrustedProxies }), example("[10.0.0.0/8]")),
		key("defaults", "What every route of this file starts from, field by field.",
			optional(func(f *File) **Settings { return &f.Defaults }, settingsKeys()...),
			example("{timeouts: {connect: 3s}}")),
		key("shutdown", "What SIGTERM does. One file of a set may say it.",
			optional(func(f *File) **Shutdown { return &f.Shutdown }, shutdownKeys()...),
			example("{delay: 5s, window: 15s}")),
		key("pools", "Sets of backends, by name. A route's target pool://NAME sends to one of them.",
			named(func(f *File) map[string]*Pool { return f.Pools }, newPool, poolKeys(), exactlyOne("backends", "resolve")), pattern(namePattern), example(`{rooms: {backends: {a: {url: "ws://10.0.0.1:9000"}}}}`)),
		key("routes", "The routes, by name. Their order means nothing. Write {} to serve nothing.",
			named(func(f *File) map[string]*Route { return f.Routes }, newRoute, routeKeys(), exactlyOne("to", "redirect", "respond")), afterwards(routesWritten), pattern(namePattern), example(`{echo: {match: {path: /echo}, to: "internal://echo"}}`)),
	}
}

func shutdownKeys() []*Key {
	return []*Key{
		key("delay", "How long the proxy reports that it is not ready and goes on accepting, so that load balancers turn away first.",
			duration(func(s *Shutdown) *dur { return &s.Delay }, true), byDefault("5s"), example("10s")),
		key("window", "The time over which the open tunnels are drained after that.",
			duration(func(s *Shutdown) *dur { return &s.Window }, true), byDefault("15s"), example("20s")),
	}
}

func listenerKeys() []*Key {
	return []*Key{
		key("address", "Where to accept: host:port, :port for every address, or unix:/path. Port 0 takes any free one.",
			addressKey(), required, example(`"127.0.0.1:8080"`)),
		key("tls", "Ends TLS here.",
			optional(func(l *Listener) **ListenerTLS { return &l.TLS }, listenerTLSKeys()...),
			example("{certificates: [{certificate: site.crt, key: site.key}]}")),
		key("limits", "What the listener takes before any route is asked.",
			mapping(func(l *Listener) *ListenerLimits { return &l.Limits }, listenerLimitKeys()...), example("{headers: 50}")),
		key("http2", "Offers HTTP/2 to clients, where TLS is on. Defaults to true there.",
			toggle(func(l *Listener) *Switch { return &l.HTTP2 }), example("false")),
		reserved("proxy_protocol", "Networks that send a PROXY protocol header."),
	}
}

func listenerTLSKeys() []*Key {
	item := key("[]", "One certificate with its key.", mapping(self[CertificateFiles],
		key("certificate", "PEM file with the certificate and its chain.",
			file(func(c *CertificateFiles) *string { return &c.Certificate }), required, example("tls/site.crt")),
		key("key", "PEM file with the private key.",
			file(func(c *CertificateFiles) *string { return &c.Key }), required, example("tls/site.key")),
	), example("{certificate: site.crt, key: site.key}"))
	return []*Key{
		key("certificates", "Certificates, chosen by the name that the client asks for (SNI); the first is the default. The files are watched.",
			listOf(func(t *ListenerTLS) []CertificateFiles { return t.Certificates }, newCertificate, item), required, filled, example("[{certificate: site.crt, key: site.key}]")),
		key("client_ca", "PEM file of the authorities that client certificates must come from. Clients without one are refused.",
			file(func(t *ListenerTLS) *string { return &t.ClientCA }), example("tls/clients.crt")),
	}
}

func listenerLimitKeys() []*Key {
	return []*Key{
		key("header_timeout", "How long a request's head may take, from its first byte.",
			duration(func(l *ListenerLimits) *dur { return &l.HeaderTimeout }, false), byDefault("10s"), example("5s")),
		key("header_bytes", "The largest request head: request line and headers.",
			size(func(l *ListenerLimits) *int64 { return &l.HeaderBytes }, false), byDefault("32KiB"), example("16KiB")),
		key("headers", "The most header lines of a request.",
			count(func(l *ListenerLimits) *int { return &l.Headers }, false), byDefault("100"), example("50")),
		key("connections", "The most connections open at once.",
			count(func(l *ListenerLimits) *int { return &l.Connections }, false), byDefault("100000"), example("5000")),
	}
}

func poolKeys() []*Key {
	return []*Key{
		key("balance", "How a backend is chosen, always by weight: least_tunnels takes the one with the fewest open tunnels and requests, round_robin takes turns, least_bytes takes the one that has carried the fewest bytes of late, random_two the less busy of two drawn at random, hash the same one for the same key.",
			text(func(p *Pool) *string { return &p.Balance }, nil), byDefault("least_tunnels"), enum("least_tunnels", "round_robin", "least_bytes", "random_two", "hash"), example("round_robin")),
		key("hash", "What balance: hash goes by. A request that does not have it goes where the fewest tunnels are.",
			mapping(func(p *Pool) *HashKey { return &p.Hash }, hashKeys()...), exactlyOne("header", "cookie", "query", "capture", "client"), example("{header: X-User}")),
		key("backends", "The servers, by name.",
			named(func(p *Pool) map[string]*Backend { return p.Backends }, newBackend, backendKeys()), pattern(namePattern), example(`{a: {url: "ws://10.0.0.1:9000"}}`)),
		key("sticky", "Sends a client back to the backend that it had.",
			optional(func(p *Pool) **Sticky { return &p.Sticky }, stickyKeys()...), exactlyOne("cookie", "app_cookie", "header", "query"), example("{cookie: TUNNELFORM}")),
		key("health", "How the backends are found to be well or not.",
			mapping(func(p *Pool) *Health { return &p.Health }, healthKeys()...), atMostOne("tcp", "http", "websocket"), example("{websocket: {path: /ws}, interval: 5s}")),
		key("resolve", "Finds the backends by a name: those that join it join the pool, those that leave it are drained.",
			optional(func(p *Pool) **Resolve { return &p.Resolve }, resolveKeys()...), exactlyOne("dns", "srv"), example(`{dns: "chat.internal:9000"}`)),
		key("rebalance", "After a backend has come, or come back, drains tunnels of those that have more than their share, by their routes' drain policy and a few at a time.",
			optional(func(p *Pool) **Rebalance { return &p.Rebalance }, rebalanceKeys()...), example("{within: 5m}")),
		key("queue", "Lets those wait whom no backend can take, because none is available or all have what they may have. First come, first served. Without it they get 503 at once.",
			optional(func(p *Pool) **Queue { return &p.Queue }, queueKeys()...), example("{length: 50}")),
	}
}

func hashKeys() []*Key {
	return []*Key{
		key("header", "The value of this header.",
			text(func(h *HashKey) *string { return &h.Header }, checkToken), example("X-User")),
		key("cookie", "The value of this cookie.",
			text(func(h *HashKey) *string { return &h.Cookie }, checkToken), example("session")),
		key("query", "The value of this query parameter.",
			text(func(h *HashKey) *string { return &h.Query }, checkNotEmpty), example("room")),
		key("capture", "What the route's path captures under this name or number. Every route to the pool must capture it.",
			value(func(h *HashKey) *string { return &h.Capture }, checkCapture), example("room")),
		key("client", "The client's address. Only true may be written.",
			onlyTrue(func(h *HashKey) *bool { return &h.Client }, "leave it out"), example("true")),
	}
}

func backendKeys() []*Key {
	return []*Key{
		key("url", "Where the server is: scheme://host[:port] without a path, the scheme ws, wss, http, https, unix+ws or unix+http.",
			targetKey(parseBackendURL, func(b *Backend) *Target { return &b.URL }, func(b *Backend, t Target) { b.URL = t }), required, example(`"ws://10.0.0.1:9000"`)),
		key("weight", "Its share among the others: a backend of weight 2 gets twice as much as one of weight 1.",
			whole(func(b *Backend) *int { return &b.Weight }, 1, 1000), byDefault("1"), example("2")),
		key("drain", "Takes nothing new and ends the open tunnels by their routes' drain policy.",
			plainSwitch(func(b *Backend) *bool { return &b.Drain }), byDefault("false"), example("true")),
		key("disabled", "Takes nothing new; the open tunnels stay.",
			plainSwitch(func(b *Backend) *bool { return &b.Disabled }), byDefault("false"), example("true")),
		key("tier", "The lowest tier that has somebody available is used, the others are not.",
			whole(func(b *Backend) *int { return &b.Tier }, 0, 99), byDefault("0"), example("1")),
		key("spare", "Takes the place of one backend of its tier that is not available.",
			plainSwitch(func(b *Backend) *bool { return &b.Spare }), byDefault("false"), example("true")),
		key("standby", "Is used when no other backend of its tier is available.",
			plainSwitch(func(b *Backend) *bool { return &b.Standby }), byDefault("false"), example("true")),
		key("max_tunnels", "The most tunnels that it has at once.",
			count(func(b *Backend) *int { return &b.MaxTunnels }, true), byDefault("off"), example("5000")),
		key("max_requests", "The most requests that it has at once, tunnels not counted.",
			count(func(b *Backend) *int { return &b.MaxRequests }, true), byDefault("off"), example("200")),
		key("route", "What an application's cookie, header or query parameter calls the backend. Without it: its name.",
			text(func(b *Backend) *string { return &b.Route }, checkName), example("node1")),
		key("tls", "TLS towards this backend; each field said here goes before the route's backend_tls.",
			mapping(func(b *Backend) *TLSSettings { return &b.TLS }, tlsKeys(false)...), together("certificate", "key"), example("{server_name: chat.internal}")),
	}
}

func routeKeys() []*Key {
	own := []*Key{
		key("match", "The conditions, all of which must hold. Without any, every request is matched.",
			mapping(func(r *Route) *Match { return &r.Match }, matchKeys()...), atMostOne("path", "path_prefix", "path_regex"), example("{path_prefix: /}")),
		key("to", "Sends to a target: scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal. Captures may stand in the path and query: $1, {name}.",
			targetKey(parseTarget, func(r *Route) *Target { return r.To }, func(r *Route, t Target) { r.To = &t }), example(`"ws://backend.example.com:9080/$1"`)),
		key("redirect", "Answers with another place to go.",
			optional(func(r *Route) **Redirect { return &r.Redirect }, redirectKeys()...),
			example("{to: /new}")),
		key("respond", "Answers by itself.",
			optional(func(r *Route) **Respond { return &r.Respond }, respondKeys()...), afterwards(finishRespond),
			example("{status: 403}")),
	}
	own = append(own, under(settingsKeys(), func(r *Route) *Settings { return &r.Settings })...)
	return own
}

func redirectKeys() []*Key {
	return []*Key{
		key("to", "The Location: a path, or a URL with http or https. Captures may stand in the path and query.",
			text(func(r *Redirect) *string { return &r.To }, checkRedirect), required, example(`"https://example.com/{page}"`)),
		key("status", "The answer's status: 301, 302, 303, 307 or 308.",
			statusKey(func(r *Redirect) *int { return &r.Status }, 301, 302, 303, 307, 308), byDefault("302"), example("308")),
	}
}

func respondKeys() []*Key {
	return []*Key{
		key("status", "The answer's status, from 200 to 599.",
			whole(func(r *Respond) *int { return &r.Status }, 200, 599), byDefault("200"), example("404")),
		key("body", "The answer's body, as it is.",
			value(func(r *Respond) *string { return &r.Body }, nil), example(`"gone fishing\n"`)),
		key("headers", "The answer's headers.",
			headerValues(func(r *Respond) *[]Header { return &r.Headers }), example("{Content-Type: text/plain}")),
	}
}

func matchKeys() []*Key {
	return []*Key{
		key("listener", "The name of the listener that the request came in on.",
			text(func(m *Match) *string { return &m.Listener }, checkName), example("web")),
		key("host", "The host asked for, without its port: chat.example.com, or *.example.com for every name below.",
			text(func(m *Match) *string { return &m.Host }, nil), example("chat.example.com")),
		key("path", "The whole path; {name} captures one segment.",
			text(func(m *Match) *string { return &m.Path }, checkNotEmpty), example(`"/rooms/{room}/ws"`)),
		key("path_prefix", "The path's first segments: /a matches /a and /a/b, never /ab; /a/ matches itself and what is below.",
			text(func(m *Match) *string { return &m.PathPrefix }, checkNotEmpty), example("/ws2/")),
		key("path_regex", "An RE2 expression that begins with ^ and need not reach the path's end; groups capture.",
			text(func(m *Match) *string { return &m.PathRegex }, checkNotEmpty), example(`"^/(myApp/ws)$"`)),
		key("priority", "Decides before everything else between routes that match the same request; the higher wins.",
			whole(func(m *Match) *int { return &m.Priority }, -1000000, 1000000), byDefault("0"), example("10")),
		key("methods", "The request's method is one of these. GET matches HEAD too.",
			texts(func(m *Match) *[]string { return &m.Methods }, checkMethod), filled, example("[GET, POST]")),
		conditionsKey("headers", "Conditions on headers, whose names may be in any case: for each the value itself, or one of the keys below.", checkToken, "{X-Room: blue}",
			func(m *Match) *[]Condition { return &m.Headers }),
		conditionsKey("query", "Conditions on query parameters: for each the value itself, or one of the keys below.", checkNotEmpty, "{v: 2}",
			func(m *Match) *[]Condition { return &m.Query }),
		conditionsKey("cookies", "Conditions on cookies: for each the value itself, or one of the keys below.", checkToken, "{beta: {present: true}}",
			func(m *Match) *[]Condition { return &m.Cookies }),
		key("upgrade", "What the Upgrade header asks for: one protocol, any, or none for requests that must not upgrade.",
			text(func(m *Match) *string { return &m.Upgrade }, checkMatchUpgrade), example("websocket")),
		key("subprotocol", "A WebSocket subprotocol that the client offers.",
			text(func(m *Match) *string { return &m.Subprotocol }, checkToken), example("chat.v2")),
		key("client", "Networks that the client's address is in.",
			networks(func(m *Match) *[]prefix { return &m.Client }), filled, example("[10.0.0.0/8]")),
	}
}

// conditionsKey makes a mapping of names to conditions.
func conditionsKey(name, meaning string, checkName func(string) error, shown string, field func(*Match) *[]Condition) *Key {
	one := key("*", "What the value must be: the value itself, or one of the keys below.", mapping(self[Condition],
		key("regex", "The value matches this RE2 expression somewhere.",
			text(func(c *Condition) *string { return &c.Regex }, checkNotEmpty), example(`"^v[0-9]+$"`)),
		key("present", "It is there, whatever its value. Only true may be written.",
			presentKey(), example("true")),
	), example("blue"), shortValue, exactlyOne("regex", "present"))
	k := &Key{Kind: KindNamed, keys: []*Key{one}, each: eachCondition(checkName, field), all: allConditions(field)}
	return key(name, meaning, k, example(shown), afterwards(sortConditions(field)))
}

func settingsKeys() []*Key {
	return []*Key{
		key("upgrade", "Which upgrades become tunnels: websocket, a list of protocols, any, none, or unchecked, which asks neither an Upgrade nor a Connection header of the client.",
			upgradeKey(), filled, byDefault("websocket"), example("[websocket, mqtt]")),
		key("http_fallback", "Forwards what is no upgrade as ordinary HTTP; false answers 426.",
			toggle(func(s *Settings) *Switch { return &s.HTTPFallback }), byDefault("true"), example("false")),
		key("timeouts", "How long things may take.",
			mapping(func(s *Settings) *Timeouts { return &s.Timeouts }, timeoutKeys()...), example("{idle: 10m}")),
		key("keepalive", "Pings towards the peers of an idle WebSocket tunnel, which find the dead ones.",
			mapping(func(s *Settings) *Keepalive { return &s.Keepalive }, keepaliveKeys()...), example("{ping: 20s}"), shortKeepalive),
		key("strict", "Ends a tunnel with 1002 at the first frame that breaks RFC 6455; otherwise such bytes are passed on untouched.",
			toggle(func(s *Settings) *Switch { return &s.Strict }), byDefault("false"), example("true")),
		key("lenient", "What is forgiven in a WebSocket handshake: subprotocol lets the backend choose one that the client did not offer, key takes any Sec-WebSocket-Key, 16 bytes in base64 or not. Nothing else can be forgiven.",
			texts(func(s *Settings) *[]string { return &s.Lenient }, nil), enum("subprotocol", "key"), byDefault("[]"), example("[subprotocol]")),
		key("limits", "What one route takes.",
			mapping(func(s *Settings) *Limits { return &s.Limits }, limitKeys()...), example("{tunnels: 1000}")),
		key("origins", "Which pages may open a tunnel: a list of origins, same-host, or any. Requests without Origin pass.",
			originsKey(), filled, byDefault("same-host"), example(`["https://app.example.com", same-host]`)),
		key("drain", "How a tunnel that must go is ended.",
			mapping(func(s *Settings) *DrainPolicy { return &s.Drain }, drainKeys()...), example("{window: 1m}")),
		key("headers", "Changes to headers: remove, then set, then add.",
			mapping(func(s *Settings) *HeaderEdits { return &s.Headers }, headerEditsKeys()...),
			example("{request: {set: {X-Env: prod}}}")),
		key("preserve_host", "Sends the client's Host header to the backend instead of the target's.",
			toggle(func(s *Settings) *Switch { return &s.PreserveHost }), byDefault("false"), example("true")),
		key("forwarded", "How the backend learns of the client: x for X-Forwarded-*, rfc7239 for Forwarded, off for neither.",
			text(func(s *Settings) *string { return &s.Forwarded }, nil), enum("x", "rfc7239", "off"), byDefault("x"), example("rfc7239")),
		key("rewrite_response", "Rewrites what a backend's answer says of its own address.",
			mapping(func(s *Settings) *Rewriting { return &s.RewriteResponse }, rewriteKeys()...), example("{location: true}"), shortRewrite),
		key("backend_tls", "TLS towards wss and https backends.",
			mapping(func(s *Settings) *TLSSettings { return &s.BackendTLS }, tlsKeys(true)...), together("certificate", "key"), example("{ca: backends.pem}")),
		key("retry", "Tries other backends of the pool where one gives no connection or no handshake, before anything has reached the client; never a request whose body has been read.",
			mapping(func(s *Settings) *Retry { return &s.Retry }, retryKeys()...), example("{others: 1}")),
		reserved("auth", "Asks who the client is."),
		key("on_backend_loss", "What a WebSocket tunnel does when its backend goes or is drained: close tells the client 1012, so that it comes back; redial repeats the handshake on another backend of the pool, and the client notices nothing. For applications that keep nothing in a connection beyond its handshake.",
			text(func(s *Settings) *string { return &s.OnBackendLoss }, nil), enum("close", "redial"), byDefault("close"), example("redial")),
	}
}

func timeoutKeys() []*Key {
	type T = Timeouts
	return []*Key{
		key("connect", "TCP and TLS to the backend.",
			duration(func(t *T) *dur { return &t.Connect }, true), byDefault("5s"), example("3s")),
		key("handshake", "The backend's answer to an upgrade.",
			duration(func(t *T) *dur { return &t.Handshake }, true), byDefault("10s"), example("15s")),
		key("response", "The first byte of the backend's HTTP answer.",
			duration(func(t *T) *dur { return &t.Response }, true), byDefault("60s"), example("5m")),
		key("idle", "Without data either way, a tunnel ends. Pings and their pongs are no data.",
			duration(func(t *T) *dur { return &t.Idle }, true), byDefault("off"), example("10m")),
		key("idle_from_client", "Without data from the client, a tunnel ends.",
			duration(func(t *T) *dur { return &t.IdleFromClient }, true), byDefault("off"), example("30m")),
		key("idle_from_backend", "Without data from the backend, a tunnel ends.",
			duration(func(t *T) *dur { return &t.IdleFromBackend }, true), byDefault("off"), example("30m")),
		key("lifetime", "A tunnel's longest life.",
			duration(func(t *T) *dur { return &t.Lifetime }, true), byDefault("off"), example("24h")),
		key("lifetime_jitter", "A tunnel's lifetime is shortened by a random time up to this.",
			duration(func(t *T) *dur { return &t.LifetimeJitter }, true), byDefault("off"), example("10m")),
	}
}

func keepaliveKeys() []*Key {
	return []*Key{
		key("ping", "How long a direction is idle before its peer is pinged.",
			duration(func(k *Keepalive) *dur { return &k.Ping }, true), byDefault("30s"), example("20s")),
		key("pong", "How long the pong may take before the peer counts as dead.",
			duration(func(k *Keepalive) *dur { return &k.Pong }, true), byDefault("10s"), example("5s")),
		key("client", "Pings clients.",
			toggle(func(k *Keepalive) *Switch { return &k.Client }), byDefault("true"), example("false")),
		key("backend", "Pings backends.",
			toggle(func(k *Keepalive) *Switch { return &k.Backend }), byDefault("true"), example("false")),
	}
}

func limitKeys() []*Key {
	return []*Key{
		key("tunnels", "Tunnels open at once; more get 503.",
			count(func(l *Limits) *int { return &l.Tunnels }, true), byDefault("off"), example("10000")),
		key("tunnels_per_client", "Tunnels open at once from one address; more get 429.",
			count(func(l *Limits) *int { return &l.TunnelsPerClient }, true), byDefault("off"), example("20")),
		key("handshakes_per_second", "Handshakes from one address, with a burst of one second's worth; more get 429.",
			rate(func(l *Limits) *float64 { return &l.HandshakesPerSecond }), byDefault("off"), example("5")),
		key("message_size", "The largest message in bytes on the wire; a larger one ends the tunnel with 1009.",
			size(func(l *Limits) *int64 { return &l.MessageSize }, true), byDefault("off"), example("1MiB")),
		key("frame_size", "The largest frame in bytes of payload; a larger one ends the tunnel with 1009.",
			size(func(l *Limits) *int64 { return &l.FrameSize }, true), byDefault("off"), example("64KiB")),
		key("header_bytes", "The largest request head; a larger one gets 431.",
			size(func(l *Limits) *int64 { return &l.HeaderBytes }, true), byDefault("off"), example("8KiB")),
		key("body_bytes", "The largest request body; a larger one gets 413.",
			size(func(l *Limits) *int64 { return &l.BodyBytes }, true), byDefault("off"), example("10MB")),
	}
}

func drainKeys() []*Key {
	return []*Key{
		key("window", "The time over which the tunnels that must go are spread.",
			duration(func(d *DrainPolicy) *dur { return &d.Window }, true), byDefault("30s"), example("1m")),
		key("code", "The close code that both peers get.",
			closeCodeKey(), byDefault("1012"), example("4001")),
		key("reason", fmt.Sprintf("The close reason that both peers get, at most %d bytes.", maxReason),
			text(func(d *DrainPolicy) *string { return &d.Reason }, checkReason), example("moving house")),
		key("close_timeout", "How long the peers' Close replies may take.",
			duration(func(d *DrainPolicy) *dur { return &d.CloseTimeout }, true), byDefault("5s"), example("2s")),
		key("keep", "Leaves the tunnels open until they end by themselves, whatever becomes of their route.",
			toggle(func(d *DrainPolicy) *Switch { return &d.Keep }), byDefault("false"), example("true")),
	}
}

func headerEditsKeys() []*Key {
	return []*Key{
		key("request", "Towards the backend, upgrades included.",
			mapping(func(h *HeaderEdits) *HeaderEdit { return &h.Request }, headerEditKeys()...), example("{remove: [X-Debug]}")),
		key("response", "Towards the client, the 101 included.",
			mapping(func(h *HeaderEdits) *HeaderEdit { return &h.Response }, headerEditKeys()...), example("{set: {X-Frame-Options: DENY}}")),
	}
}

func headerEditKeys() []*Key {
	return []*Key{
		key("set", "Headers to set, in place of those that are there.",
			headerEdits(func(h *HeaderEdit) *[]Header { return &h.Set }), example("{X-Env: prod}")),
		key("add", "Header lines to add to those that are there.",
			headerLists(func(h *HeaderEdit) *[]Header { return &h.Add }), example("{Vary: [Origin, Cookie]}")),
		key("remove", "Headers to remove.",
			texts(func(h *HeaderEdit) *[]string { return &h.Remove }, checkEditedHeader), example("[X-Debug]")),
	}
}

func rewriteKeys() []*Key {
	return []*Key{
		key("location", "Location, Content-Location and URI headers that name the backend name the proxy instead.",
			toggle(func(r *Rewriting) *Switch { return &r.Location }), byDefault("false"), example("true")),
		key("cookie_path", "Paths of cookies: the backend's to the public one.",
			textMap(func(r *Rewriting) *map[string]string { return &r.CookiePath }, checkCookiePath), example("{/app: /}")),
		key("cookie_domain", "Domains of cookies: the backend's to the public one; an empty one drops the attribute.",
			textMap(func(r *Rewriting) *map[string]string { return &r.CookieDomain }, checkCookieDomain), example("{backend.internal: example.com}")),
	}
}

// tlsKeys are a route's with defaults, and a backend's without: what a backend
// leaves unsaid is the route's.
func tlsKeys(defaults bool) []*Key {
	type T = TLSSettings
	insecure := key("insecure", "Verifies nothing: anyone may pose as the backend. For tests.",
		toggle(func(t *T) *Switch { return &t.Insecure }), example("true"))
	if defaults {
		insecure.Default = "false"
	}
	return []*Key{
		key("ca", "PEM file of the authorities to trust instead of the system's.",
			file(func(t *T) *string { return &t.CA }), example("ca.pem")),
		key("server_name", "The name that is asked for (SNI) and verified, instead of the host's.",
			text(func(t *T) *string { return &t.ServerName }, checkHostName), example("chat.internal")),
		key("certificate", "PEM file of the certificate that the proxy shows.",
			file(func(t *T) *string { return &t.Certificate }), example("client.crt")),
		key("key", "PEM file of that certificate's key.",
			file(func(t *T) *string { return &t.Key }), example("client.key")),
		insecure,
	}
}
