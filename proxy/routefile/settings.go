package routefile

import (
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Settings of a route, or the defaults of a file: the record with its keys, and the time
// limits, pings and limits.

// Settings are the settings of a route, or the defaults of a file. The zero of every field
// is unset; a negative duration, size or count is off ("off" or 0 in the file).
type Settings struct {
	Upgrade         Upgrade
	HTTPFallback    Switch
	EncodedSlash    string // "refuse", "keep"
	MergeSlashes    Switch
	Timeouts        Timeouts
	Keepalive       Keepalive
	Strict          Switch
	Lenient         []string // of "subprotocol" and "key"
	Limits          Limits
	Origins         Origins
	Drain           DrainPolicy
	Headers         HeaderEdits
	Query           QueryEdit
	Errors          ErrorAnswers
	PreserveHost    Switch // Unset: by the backend's scheme
	Forwarded       string // "x", "rfc7239", "off"
	OnBackendLoss   string // "close", "redial"
	RewriteResponse Rewriting
	BackendTLS      TLSSettings
	Retry           Retry
	NTLM            string // "pin", "pin_through_proxy"
	Metrics         Metrics
	Auth            []AuthEntry // empty and not nil is off
	AuthPreflight   string      // "require", "backend"
	CrossSite       string      // "allow"
}

func settingsKeys() []*Key {
	return []*Key{
		key("upgrade", "Which upgrades become tunnels: websocket, a list of protocols, any, none, or unchecked, which tunnels requests without Upgrade and Connection headers too.",
			upgradeKey(), filled, byDefault("websocket"), example("[websocket, mqtt]")),
		key("http_fallback", "Forwards requests that are not upgrades as HTTP; false responds with 426.",
			toggle(func(s *Settings) *Switch { return &s.HTTPFallback }), byDefault("true"), example("false")),
		key("encoded_slash", "Requests with an encoded slash (%2F) in their path: refuse responds with 400; keep sends them with the slash encoded, as a character of its segment. A backend that decodes it may see another path than the one that was matched.",
			text(func(s *Settings) *string { return &s.EncodedSlash }, nil), enum("refuse", "keep"), byDefault("refuse"), example("keep")),
		key("merge_slashes", "Sends paths with each run of slashes merged into one, as they are matched. false sends a path as it came, or responds with 400 if it has both a double slash and a dot segment, or a double slash within what the route matches.",
			toggle(func(s *Settings) *Switch { return &s.MergeSlashes }), byDefault("true"), example("false")),
		key("timeouts", "Time limits.",
			mapping(func(s *Settings) *Timeouts { return &s.Timeouts }, timeoutKeys()...), example("{idle: 10m}")),
		key("keepalive", "Pings the peers of idle WebSocket tunnels to detect dead connections.",
			mapping(func(s *Settings) *Keepalive { return &s.Keepalive }, keepaliveKeys()...), example("{ping: 20s}"), shortKeepalive),
		key("strict", "Closes a tunnel with 1002 at the first frame that violates RFC 6455; otherwise such bytes are passed on unchanged.",
			toggle(func(s *Settings) *Switch { return &s.Strict }), byDefault("false"), example("true")),
		key("lenient", "Tolerated violations of the WebSocket handshake: subprotocol lets the backend select one that the client did not offer, key accepts any Sec-WebSocket-Key, not only 16 bytes in base64. Nothing else can be tolerated.",
			texts(func(s *Settings) *[]string { return &s.Lenient }, nil), enum("subprotocol", "key"), byDefault("[]"), example("[subprotocol]")),
		key("limits", "Limits of the route.",
			mapping(func(s *Settings) *Limits { return &s.Limits }, limitKeys()...), example("{tunnels: 1000}")),
		key("origins", "Origins of pages that may open a tunnel: a list of origins, same-host, or any. same-host compares with the Host header, or with X-Forwarded-Host of a trusted proxy. \"null\" is the origin of files and sandboxed frames, file:// of some libraries and embedded browsers. Requests without an Origin header are allowed.",
			originsKey(), filled, byDefault("same-host"), example(`["https://app.example.com", same-host]`)),
		key("drain", "Drain policy: how tunnels are closed.",
			mapping(func(s *Settings) *DrainPolicy { return &s.Drain }, drainKeys()...), example("{window: 1m}")),
		key("headers", "Changes to headers: remove, then set, then add, then default.",
			mapping(func(s *Settings) *HeaderEdits { return &s.Headers }, headerEditsKeys()...),
			example("{request: {set: {X-Env: prod}}}")),
		key("query", "Changes to the query.",
			mapping(func(s *Settings) *QueryEdit { return &s.Query }, queryEditKeys()...),
			example("{remove: [token]}")),
		key("errors", "Own bodies for errors, by status: of answers that the proxy makes, and with override of the backend's.",
			mapping(func(s *Settings) *ErrorAnswers { return &s.Errors }, errorKeys()...), errorStatuses, afterwards(finishErrors),
			example(`{"502": {file: errors/down.html}, override: [5xx]}`)),
		key("preserve_host", "Sends the client's Host header to the backend instead of the target's. Defaults to true for backends without TLS and to false for backends with TLS.",
			toggle(func(s *Settings) *Switch { return &s.PreserveHost }), example("true")),
		key("forwarded", "Headers that tell the backend about the client: x for X-Forwarded-* and X-Real-IP, rfc7239 for Forwarded, off for none.",
			text(func(s *Settings) *string { return &s.Forwarded }, nil), enum("x", "rfc7239", "off"), byDefault("x"), example("rfc7239")),
		key("rewrite_response", "Rewrites the backend's own address in its responses.",
			mapping(func(s *Settings) *Rewriting { return &s.RewriteResponse }, rewriteKeys()...), example("{location: true}"), shortRewrite),
		key("backend_tls", "TLS to wss and https backends.",
			mapping(func(s *Settings) *TLSSettings { return &s.BackendTLS }, tlsKeys(true)...), together("certificate", "key"), example("{ca: backends.pem}")),
		key("retry", "Retries on other backends of the pool when a connection or handshake fails before anything was sent to the client; never a request whose body was read.",
			mapping(func(s *Settings) *Retry { return &s.Retry }, retryKeys()...), example("{others: 1}")),
		key("ntlm", "Connection authentication of backends (NTLM, Negotiate): pin gives each client connection that authenticates a backend connection of its own, except through trusted_proxies; pin_through_proxy does so there too, for proxies that keep one connection for each client.",
			text(func(s *Settings) *string { return &s.NTLM }, nil), enum("pin", "pin_through_proxy"), byDefault("pin"), example("pin_through_proxy")),
		key("metrics", "What GET /metrics says of the route besides its counts.",
			mapping(func(s *Settings) *Metrics { return &s.Metrics }, metricsKeys()...), example("{histograms: true}")),
		key("auth", "Who may use the route: a list of ways in, which are asked in order, one of them, or off. A route's list replaces the one of the defaults.",
			authKey(), example("[{basic: {users: users.htpasswd}}]")),
		key("auth_preflight", "What a CORS preflight gets, which never has a credential: require refuses it as other requests, backend passes it on.",
			text(func(s *Settings) *string { return &s.AuthPreflight }, nil), enum("require", "backend"), byDefault("require"), example("backend")),
		key("cross_site", "allow lets any page use a credential that browsers send by themselves, with origins: any.",
			text(func(s *Settings) *string { return &s.CrossSite }, nil), enum("allow"), example("allow")),
		key("on_backend_loss", "What happens to a WebSocket tunnel when its backend is lost or drained: close sends 1012 to the client, so that it reconnects; redial repeats the handshake on another backend of the pool without the client noticing. redial is for applications that keep no state in a connection beyond its handshake.",
			text(func(s *Settings) *string { return &s.OnBackendLoss }, nil), enum("close", "redial"), byDefault("close"), example("redial")),
	}
}

// Metrics is what GET /metrics says of a route besides its counts.
type Metrics struct{ Histograms Switch }

func metricsKeys() []*Key {
	return []*Key{
		key("histograms", "Histograms of the route's own: how long its handshakes, tunnels and requests took, and how large its messages were. They are some 160 series for each listener. Without them the route is in the histograms of its listener.",
			toggle(func(m *Metrics) *Switch { return &m.Histograms }), byDefault("false"), example("true")),
	}
}

// Timeouts of one route.
type Timeouts struct {
	Connect         time.Duration // TCP and TLS to the backend
	Handshake       time.Duration // the backend's response to an upgrade
	Response        time.Duration // first byte of the backend's HTTP response
	Body            time.Duration // between two bytes of a request's body -> 408
	Send            time.Duration // between two bytes of a response that the client takes
	Idle            time.Duration // no data in either direction
	IdleFromClient  time.Duration
	IdleFromBackend time.Duration
	IdleCounts      string // "frames", "data"
	Lifetime        time.Duration
	LifetimeJitter  time.Duration // a tunnel's lifetime is shortened by up to this much
}

func timeoutKeys() []*Key {
	type T = Timeouts
	return []*Key{
		key("connect", "Time limit for the TCP connection and TLS handshake to the backend.",
			duration(func(t *T) *dur { return &t.Connect }, true), byDefault("5s"), example("3s")),
		key("handshake", "Time limit for the backend's response to an upgrade.",
			duration(func(t *T) *dur { return &t.Handshake }, true), byDefault("10s"), example("15s")),
		key("response", "Time limit for the first byte of the backend's HTTP response.",
			duration(func(t *T) *dur { return &t.Response }, true), byDefault("60s"), example("5m")),
		key("body", "Time limit for a pause within a request body; then the client gets 408.",
			duration(func(t *T) *dur { return &t.Body }, true), byDefault("60s"), example("5m")),
		key("send", "Time limit for a client that reads nothing of a response; then its connection is closed.",
			duration(func(t *T) *dur { return &t.Send }, true), byDefault("60s"), example("5m")),
		key("idle", "Closes a tunnel in which nothing passes in either direction. The proxy's own pings and their pongs do not count; those of the peers do, see idle_counts.",
			duration(func(t *T) *dur { return &t.Idle }, true), byDefault("off"), example("10m")),
		key("idle_from_client", "Closes a tunnel in which nothing passes from the client.",
			duration(func(t *T) *dur { return &t.IdleFromClient }, true), byDefault("off"), example("30m")),
		key("idle_from_backend", "Closes a tunnel in which nothing passes from the backend.",
			duration(func(t *T) *dur { return &t.IdleFromBackend }, true), byDefault("off"), example("30m")),
		key("idle_counts", "What keeps a tunnel open for the three idle limits: frames counts the peers' own pings and pongs too, data counts messages only. Other protocols than WebSocket have no frames: all their bytes count.",
			text(func(t *T) *string { return &t.IdleCounts }, nil), enum("frames", "data"), byDefault("frames"), example("data")),
		key("lifetime", "Maximum lifetime of a tunnel.",
			duration(func(t *T) *dur { return &t.Lifetime }, true), byDefault("off"), example("24h")),
		key("lifetime_jitter", "Shortens each tunnel's lifetime by a random time up to this.",
			duration(func(t *T) *dur { return &t.LifetimeJitter }, true), byDefault("off"), example("10m")),
	}
}

// Keepalive pings idle peers of WebSocket tunnels.
type Keepalive struct {
	Ping    time.Duration // idle time of a direction before its peer is pinged
	Pong    time.Duration // time limit for the pong
	Client  Switch
	Backend Switch
}

func keepaliveKeys() []*Key {
	return []*Key{
		key("ping", "Idle time of a direction after which its peer is pinged.",
			duration(func(k *Keepalive) *dur { return &k.Ping }, true), byDefault("30s"), example("20s")),
		key("pong", "Time limit for the pong; then the peer is dead.",
			duration(func(k *Keepalive) *dur { return &k.Pong }, true), byDefault("10s"), example("5s")),
		key("client", "Pings clients.",
			toggle(func(k *Keepalive) *Switch { return &k.Client }), byDefault("true"), example("false")),
		key("backend", "Pings backends.",
			toggle(func(k *Keepalive) *Switch { return &k.Backend }), byDefault("true"), example("false")),
	}
}

// shortKeepalive is `keepalive: off`: no pings.
func shortKeepalive(k *Key) {
	k.Short = []Short{{Kind: KindText, Enum: []string{"off"}, Meaning: "no pings"}}
	k.short = func(p *parser, k *Key, n node, dst any) bool {
		if n.Kind != yamledit.ScalarNode || n.Value != "off" {
			return false
		}
		k.open(dst).(*Keepalive).Ping = -1
		return true
	}
}

// Limits of one route.
type Limits struct {
	Tunnels             int     // open at once -> 503
	TunnelsPerClient    int     // open at once from one address -> 429
	HandshakesPerSecond float64 // from one address, with a burst of one second's worth (at least 1) -> 429
	MessageSize         int64   // bytes on the wire -> 1009
	FrameSize           int64   // bytes of payload -> 1009
	HeaderBytes         int64   // request head -> 431
	BodyBytes           int64   // request body -> 413
	AuthFailures        int     // bad credentials from one address in a minute -> 429
}

func limitKeys() []*Key {
	return []*Key{
		key("tunnels", "Maximum number of open tunnels; more get 503.",
			count(func(l *Limits) *int { return &l.Tunnels }, true), byDefault("off"), example("10000")),
		key("tunnels_per_client", "Maximum number of open tunnels from one address; more get 429.",
			count(func(l *Limits) *int { return &l.TunnelsPerClient }, true), byDefault("off"), example("20")),
		key("handshakes_per_second", "Maximum rate of handshakes from one address, with a burst of one second; more get 429.",
			rate(func(l *Limits) *float64 { return &l.HandshakesPerSecond }), byDefault("off"), example("5")),
		key("message_size", "Maximum message size in bytes on the wire; a larger message closes the tunnel with 1009.",
			size(func(l *Limits) *int64 { return &l.MessageSize }, true), byDefault("off"), example("1MiB")),
		key("frame_size", "Maximum frame payload in bytes; a larger frame closes the tunnel with 1009.",
			size(func(l *Limits) *int64 { return &l.FrameSize }, true), byDefault("off"), example("64KiB")),
		key("header_bytes", "Maximum size of a request head; a larger one gets 431.",
			size(func(l *Limits) *int64 { return &l.HeaderBytes }, true), byDefault("off"), example("8KiB")),
		key("body_bytes", "Maximum size of a request body; a larger one gets 413.",
			size(func(l *Limits) *int64 { return &l.BodyBytes }, true), byDefault("off"), example("10MB")),
		key("auth_failures", "Maximum number of bad credentials from one address (IPv6: /64) in a minute; more get 429.",
			count(func(l *Limits) *int { return &l.AuthFailures }, true), byDefault("30"), example("10")),
	}
}
