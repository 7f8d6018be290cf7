package routefile

import (
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// What a route, or the defaults of a file, may say of its traffic: the record with
// its keys, the timeouts, pings and limits.

// Settings is what a route, or the defaults, may say of how its traffic is
// treated. The zero of every field means "not said"; a duration, size or count
// that is negative was switched off ("off" or 0 in the file).
type Settings struct {
	Upgrade         Upgrade
	HTTPFallback    Switch
	Timeouts        Timeouts
	Keepalive       Keepalive
	Strict          Switch
	Lenient         []string // of "subprotocol" and "key"
	Limits          Limits
	Origins         Origins
	Drain           DrainPolicy
	Headers         HeaderEdits
	PreserveHost    Switch
	Forwarded       string // "x", "rfc7239", "off"
	OnBackendLoss   string // "close", "redial"
	RewriteResponse Rewriting
	BackendTLS      TLSSettings
	Retry           Retry
	NTLM            string // "pin", "pin_through_proxy"
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
		key("forwarded", "How the backend learns of the client: x for X-Forwarded-* and X-Real-IP, rfc7239 for Forwarded, off for neither.",
			text(func(s *Settings) *string { return &s.Forwarded }, nil), enum("x", "rfc7239", "off"), byDefault("x"), example("rfc7239")),
		key("rewrite_response", "Rewrites what a backend's answer says of its own address.",
			mapping(func(s *Settings) *Rewriting { return &s.RewriteResponse }, rewriteKeys()...), example("{location: true}"), shortRewrite),
		key("backend_tls", "TLS towards wss and https backends.",
			mapping(func(s *Settings) *TLSSettings { return &s.BackendTLS }, tlsKeys(true)...), together("certificate", "key"), example("{ca: backends.pem}")),
		key("retry", "Tries other backends of the pool where one gives no connection or no handshake, before anything has reached the client; never a request whose body has been read.",
			mapping(func(s *Settings) *Retry { return &s.Retry }, retryKeys()...), example("{others: 1}")),
		key("ntlm", "Backends that authenticate connections (NTLM, Negotiate): pin gives each client connection that logs in one of its own, not through trusted_proxies; pin_through_proxy does there too, for proxies that keep one connection for each client.",
			text(func(s *Settings) *string { return &s.NTLM }, nil), enum("pin", "pin_through_proxy"), byDefault("pin"), example("pin_through_proxy")),
		reserved("auth", "Asks who the client is."),
		key("on_backend_loss", "What a WebSocket tunnel does when its backend goes or is drained: close tells the client 1012, so that it comes back; redial repeats the handshake on another backend of the pool, and the client notices nothing. For applications that keep nothing in a connection beyond its handshake.",
			text(func(s *Settings) *string { return &s.OnBackendLoss }, nil), enum("close", "redial"), byDefault("close"), example("redial")),
	}
}

// Timeouts of one route.
type Timeouts struct {
	Connect         time.Duration // TCP and TLS to the backend
	Handshake       time.Duration // the backend's answer to an upgrade
	Response        time.Duration // first byte of the backend's HTTP response
	Body            time.Duration // between two bytes of a request's body -> 408
	Send            time.Duration // between two bytes of a response that the client takes
	Idle            time.Duration // no data either way
	IdleFromClient  time.Duration
	IdleFromBackend time.Duration
	Lifetime        time.Duration
	LifetimeJitter  time.Duration // a tunnel's lifetime is shortened by up to this much
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
		key("body", "How long a request's body may be silent while it is read; then the client gets 408.",
			duration(func(t *T) *dur { return &t.Body }, true), byDefault("60s"), example("5m")),
		key("send", "How long a client may take nothing of an answer that is being written; then its connection is closed.",
			duration(func(t *T) *dur { return &t.Send }, true), byDefault("60s"), example("5m")),
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

// Keepalive pings idle peers of WebSocket tunnels.
type Keepalive struct {
	Ping    time.Duration // idle time of a direction after which its peer is pinged
	Pong    time.Duration // how long the pong may take
	Client  Switch
	Backend Switch
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
