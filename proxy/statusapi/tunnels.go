package statusapi

import "time"

// TunnelList is one page of open tunnels.
type TunnelList struct {
	Tunnels []Tunnel `json:"tunnels"`
	Next    string   `json:"next,omitempty"` // the cursor of the next page; "" on the last one
}

// Tunnel is one open tunnel. Times are in seconds.
type Tunnel struct {
	ID          string `json:"id"` // as in the log
	Route       string `json:"route"`
	Pool        string `json:"pool"`
	Backend     string `json:"backend"`
	Client      string `json:"client"` // an address, or "unix"
	User        string `json:"user"`
	Host        string `json:"host"`
	Path        string `json:"path"` // its first 200 bytes
	Protocol    string `json:"protocol"`
	Subprotocol string `json:"subprotocol,omitempty"`
	State       string `json:"state"` // open, moving, draining or ending

	Age                 float64 `json:"age"`
	Idle                float64 `json:"idle"`                 // since bytes have passed
	ExpiresIn           float64 `json:"expires_in,omitempty"` // until timeouts.lifetime
	BytesFromClient     int64   `json:"bytes_from_client"`
	BytesFromBackend    int64   `json:"bytes_from_backend"`
	MessagesFromClient  int64   `json:"messages_from_client"`
	MessagesFromBackend int64   `json:"messages_from_backend"`
	ClientRTT           float64 `json:"ping_rtt_client,omitempty"` // of the last ping that was answered
	BackendRTT          float64 `json:"ping_rtt_backend,omitempty"`
	Redials             int     `json:"redials,omitempty"`
}

// Closed is the answer to a request to end tunnels.
type Closed struct {
	Tunnels int `json:"tunnels"` // that are told
}

// DrainRequest is a drain by hand. Which tunnels: all that have all that is set, or with All
// every one. What is not set of Window, Code and Reason is as the route of each says.
type DrainRequest struct {
	Route   string  `json:"route,omitempty"`
	Pool    string  `json:"pool,omitempty"`
	Backend string  `json:"backend,omitempty"` // its URL or host:port
	Client  string  `json:"client,omitempty"`  // an address, or a network
	User    string  `json:"user,omitempty"`
	All     bool    `json:"all,omitempty"`
	Window  string  `json:"window,omitempty"` // a duration such as 30s; 0s is at once
	Code    uint16  `json:"code,omitempty"`
	Reason  *string `json:"reason,omitempty"`
	DryRun  bool    `json:"dry_run,omitempty"`
}

// Drain is a drain by hand.
type Drain struct {
	ID      string         `json:"id,omitempty"` // "" of a dry run, and where there was no tunnel
	Request DrainRequest   `json:"request"`
	Began   time.Time      `json:"began"`
	Tunnels int            `json:"tunnels"` // that were open, and matched
	Waiting int            `json:"waiting"` // are not told yet
	Told    int            `json:"told"`
	Ended   int            `json:"ended"`  // of those that were told
	Spared  int            `json:"spared"` // are told no more, or by another drain
	Over    bool           `json:"over"`
	Routes  map[string]int `json:"routes,omitempty"` // of a dry run: tunnels by route
}

// DrainList is the drains by hand under way and the latest that are over, the latest first.
type DrainList struct {
	Drains []Drain `json:"drains"`
}
