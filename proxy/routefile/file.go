package routefile

import (
	"net/netip"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// File is one parsed routes file: plain data, owned by the caller, immutable
// by convention. Every record keeps its position.
type File struct {
	Path     string // as it was named; "-" for standard input
	Revision string // sha256 of the file's bytes, hex
	// RoutesWritten says that the key routes stands in the file with a mapping,
	// be it an empty one: consent to serve nothing, where an absent key is not.
	RoutesWritten bool

	Listeners      map[string]*Listener
	TrustedProxies []netip.Prefix
	Defaults       *Settings // nil: none given
	Shutdown       *Shutdown // nil: none given
	Pools          map[string]*Pool
	Routes         map[string]*Route

	node node // the document's mapping, for KeyPos
	data []byte
	errs Errors // what Parse found, for Check

	lines int // of data
	end   Pos // behind its last character
}

// Pos is a place in a routes file. Line and Col are 1-based; Col counts characters.
type Pos = yamledit.Pos

// Record is what every named part of a file has in common.
type Record struct {
	Name string // its key
	Pos  Pos    // of the key
	node node

	spoilt bool // Parse found mistakes in it: Check does not judge what was half read
}

func (r *Record) spoil()        { r.spoilt = true }
func (r *Record) attach(n node) { r.node = n }
func (r *Record) pos() Pos      { return r.Pos }

// Switch is a boolean that may be left unsaid.
type Switch int8

const (
	Unset Switch = 0
	On    Switch = 1
	Off   Switch = -1
)

// Listener is an address to accept connections on.
type Listener struct {
	Record
	Address string // "host:port", ":port", or "unix:/path"
	TLS     *ListenerTLS
	Limits  ListenerLimits
	HTTP2   Switch // default On where TLS is on
}

// ListenerTLS ends TLS on a listener.
type ListenerTLS struct {
	Certificates []CertificateFiles // chosen by SNI; the first is the default
	ClientCA     string             // PEM file; "" asks for no client certificate
}

// CertificateFiles names a PEM chain and its key, resolved against the routes file.
type CertificateFiles struct {
	Certificate string
	Key         string
	Pos         Pos
}

// ListenerLimits bound what one listener takes. Zero is the default.
type ListenerLimits struct {
	HeaderTimeout time.Duration // from the first byte of a head to its end; default 10s
	HeaderBytes   int64         // request line and headers; default 32 KiB
	Headers       int           // header lines; default 100
	Connections   int           // open connections; default 100,000
}

// Shutdown is what SIGTERM does.
type Shutdown struct {
	Delay  time.Duration // not ready, still accepting; default 5s, negative is none
	Window time.Duration // tunnels are drained over it; default 15s, negative is at once
}

// Pool is a named set of backends.
type Pool struct {
	Record
	Balance  string  // "least_tunnels" (default), "round_robin", "least_bytes", "random_two", "hash"
	Hash     HashKey // of Balance "hash", and of no other
	Backends map[string]*Backend
	Sticky   *Sticky // nil: nobody is bound
	Health   Health
	Queue    *Queue // nil: nobody waits

	Resolve   *Resolve   // instead of Backends
	Rebalance *Rebalance // nil: tunnels stay where they are
}

// HashKey is what of a request a pool hashes: exactly one of them, or none.
type HashKey struct {
	Header  string
	Cookie  string
	Query   string
	Capture string // a name or a number
	Client  bool
}

// Backend is one server of a pool.
type Backend struct {
	Record
	URL      Target // no path, no captures
	Weight   int    // from 1 to 1000; 0 is 1
	Drain    bool
	Disabled bool
	Tier     int
	Spare    bool // never with Standby
	Standby  bool
	// The most that it has at once; default off, as zero is.
	MaxTunnels  int
	MaxRequests int
	Route       string // what the application calls it; "" is its name
	TLS         TLSSettings
}

// Route is one named route: what it matches, what it does, its own settings.
type Route struct {
	Record
	Match Match
	// Exactly one of the three.
	To       *Target
	Redirect *Redirect
	Respond  *Respond

	Settings // what this route says itself; see Set for the resolved ones
}

// Match is the conditions of a route; all that are given must hold. Exactly as
// written: package match's Rule is made of it.
type Match struct {
	Listener    string
	Host        string
	Path        string
	PathPrefix  string
	PathRegex   string
	Priority    int
	Methods     []string
	Headers     []Condition // sorted by name
	Query       []Condition
	Cookies     []Condition
	Upgrade     string
	Subprotocol string
	Client      []netip.Prefix
}

// Condition is on one header, query parameter or cookie: exactly one of Value
// (equal), Regex, Present.
type Condition struct {
	Name    string
	Value   string
	Regex   string
	Present bool
}

// Target is where a route's requests go.
type Target struct {
	Raw    string // as written
	Scheme string // ws, wss, http, https, unix+ws, unix+http, pool, internal
	Host   string // host[:port] in lower case; the socket's path; the pool's name; echo or status
	Path   string // template; "" keeps the request's own path
	Query  string // template, without "?"
	Pos    Pos
}

// Redirect answers with a Location.
type Redirect struct {
	To     string // template; absolute URL or path
	Status int    // 301, 302, 303, 307 or 308; default 302
}

// Respond answers by itself.
type Respond struct {
	Status  int // default 200
	Body    string
	Headers []Header
}

// Header is one header line to add or set.
type Header struct {
	Name  string
	Value string
}

// Settings is what a route, or the defaults, may say of how its traffic is
// treated. The zero of every field means "not said"; a duration, size or count
// that is negative was switched off ("off" or 0 in the file).
type Settings struct {
	Upgrade         Upgrade
	HTTPFallback    Switch // default On
	Timeouts        Timeouts
	Keepalive       Keepalive
	Strict          Switch   // default Off
	Lenient         []string // default []; of "subprotocol" and "key"
	Limits          Limits
	Origins         Origins
	Drain           DrainPolicy
	Headers         HeaderEdits
	PreserveHost    Switch    // default Off
	Forwarded       string    // "x" (default), "rfc7239", "off"
	OnBackendLoss   string    // "close" (default), "redial"
	RewriteResponse Rewriting // default off
	BackendTLS      TLSSettings
	Retry           Retry
}

// Upgrade says which attempts become tunnels.
type Upgrade struct {
	// Mode is "" (not said), "websocket" (default), "list", "any", "none" or "unchecked".
	Mode      string
	Protocols []string // Mode "list": exact tokens, case-insensitive
}

// Timeouts of one route. Defaults: connect 5s, handshake 10s, the rest off.
type Timeouts struct {
	Connect         time.Duration // TCP and TLS to the backend
	Handshake       time.Duration // the backend's answer to an upgrade
	Response        time.Duration // first byte of the backend's HTTP answer; default 60s
	Idle            time.Duration // no data either way
	IdleFromClient  time.Duration
	IdleFromBackend time.Duration
	Lifetime        time.Duration
	LifetimeJitter  time.Duration // a tunnel's lifetime is shortened by up to this much
}

// Keepalive pings idle peers of WebSocket tunnels. Defaults: 30s and 10s, both sides.
type Keepalive struct {
	Ping    time.Duration // idle time of a direction after which its peer is pinged
	Pong    time.Duration // how long the pong may take
	Client  Switch        // default On
	Backend Switch        // default On
}

// Limits of one route. All off by default, except BodyBytes of nothing at all.
type Limits struct {
	Tunnels             int     // open at once -> 503
	TunnelsPerClient    int     // open at once from one address -> 429
	HandshakesPerSecond float64 // from one address, with a burst of one second's worth (at least 1) -> 429
	MessageSize         int64   // bytes on the wire -> 1009
	FrameSize           int64   // bytes of payload -> 1009
	HeaderBytes         int64   // request head -> 431
	BodyBytes           int64   // request body -> 413
}

// Origins is who may open a tunnel from a browser.
type Origins struct {
	Mode  string   // "" (not said), "same-host" (default), "any", "list"
	Allow []string // Mode "list", in lower case: "https://app.example.com", "https://*.example.com", "same-host"
}

// DrainPolicy is how a tunnel that must go is ended. Defaults: 30s, 1012, 5s, drained.
type DrainPolicy struct {
	Window       time.Duration // tunnels' turns are spread over it
	Code         int           // close code
	Reason       string        // close reason, at most 123 bytes
	CloseTimeout time.Duration // for the peers' Close replies
	Keep         Switch        // On: leave them open until they end
}

// HeaderEdits changes the request towards the backend and the response
// towards the client (the 101 too): remove, then set, then add.
type HeaderEdits struct {
	Request  HeaderEdit
	Response HeaderEdit
}

// HeaderEdit is one direction of HeaderEdits.
type HeaderEdit struct {
	Set    []Header
	Add    []Header
	Remove []string
}

// Rewriting of what a backend's answer says about itself, as ProxyPassReverse does.
type Rewriting struct {
	Location     Switch            // Location, Content-Location, URI
	CookiePath   map[string]string // backend path -> public path
	CookieDomain map[string]string // backend domain -> public domain ("" drops the attribute)
}

// TLSSettings towards a backend. Backends verify against the system's roots by default.
type TLSSettings struct {
	CA          string // PEM file
	ServerName  string
	Certificate string // client certificate, PEM file
	Key         string
	Insecure    Switch // On: verify nothing
}
