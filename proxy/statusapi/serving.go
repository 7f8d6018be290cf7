package statusapi

import "time"

// RouteList is one page of the routes that are served, by name.
type RouteList struct {
	Generation uint64  `json:"generation"`
	Routes     []Route `json:"routes"`
	Next       string  `json:"next,omitempty"` // the cursor of the next page; "" on the last one
}

// Route is a route that is served.
type Route struct {
	Name    string `json:"name"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Does    string `json:"does"`           // pool, backend, internal, redirect or respond
	Target  string `json:"to,omitempty"`   // the pool's name, the backend's URL, echo or status
	Tunnels int64  `json:"tunnels"`        // open, also to backends that it had before
	Window  string `json:"window"`         // over which its tunnels are drained
	Keep    bool   `json:"keep,omitempty"` // they are not drained by a reload
}

// PoolList is the pools that are served, by name.
type PoolList struct {
	Pools []Pool `json:"pools"`
}

// Pool is a pool that is served.
type Pool struct {
	Name       string    `json:"name"`
	Discovered bool      `json:"discovered"` // its members are found in DNS
	Queue      int       `json:"queue"`      // requests that wait for a place
	Backends   []Backend `json:"backends"`
}

// Backend is a member of a pool.
type Backend struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	State   string `json:"state"`             // up; down, by its probe; ejected, by failures of its traffic
	Written string `json:"written,omitempty"` // drain or disabled, where the routes file says so
	// Temporary is what an operator has set by hand, until then: drain, disable or force_down.
	Temporary string     `json:"temporary,omitempty"`
	Until     *time.Time `json:"temporary_until,omitempty"`

	Weight     int     `json:"weight"`
	Effective  float64 `json:"effective_weight"` // a part of it in slow start
	Tier       int     `json:"tier,omitempty"`
	Spare      bool    `json:"spare,omitempty"`
	Standby    bool    `json:"standby,omitempty"`
	Tunnels    int64   `json:"tunnels"`
	MaxTunnels int     `json:"max_tunnels,omitempty"`
	Requests   int64   `json:"requests"` // in flight
}

// History is the latest generations and refusals, the latest first.
type History struct {
	Entries []HistoryEntry `json:"entries"`
}

// HistoryEntry is a generation of the routes, or a revision that was refused.
type HistoryEntry struct {
	At         time.Time `json:"at"`
	Refused    bool      `json:"refused"`
	Generation uint64    `json:"generation"` // of a refusal: the one that goes on
	Revision   string    `json:"revision"`
	Duration   float64   `json:"duration"` // seconds, from the beginning of the check until it was served or refused

	// Of a generation. Of many names the first 50 are listed.
	Routes    int               `json:"routes,omitempty"`
	Added     []string          `json:"added,omitempty"`
	Changed   []string          `json:"changed,omitempty"`
	Removed   []string          `json:"removed,omitempty"`
	Renamed   map[string]string `json:"renamed,omitempty"`
	Pools     *NameChanges      `json:"pools,omitempty"`
	Listeners *NameChanges      `json:"listeners,omitempty"`
	Settings  []string          `json:"settings,omitempty"`
	Kept      int               `json:"kept"`
	Drained   int               `json:"drained"`

	// Of a refusal, the first 50.
	Mistakes []Mistake `json:"mistakes,omitempty"`
}

// Figures are what GET /v1/events says once a second.
type Figures struct {
	Open      int    `json:"open"`
	Draining  int    `json:"draining"`
	Moving    int    `json:"moving"`
	Opened    uint64 `json:"opened"` // since the start
	Ended     uint64 `json:"ended"`
	Redialled uint64 `json:"redialled"`
}

// BackendEvent is a change of a backend's health.
type BackendEvent struct {
	Pool    string `json:"pool"`
	Backend string `json:"backend"` // its URL; of a change by hand its name
	Change  string `json:"change"`  // down, up, ejected or returned; or by hand drain, disable, force_down or none
	Error   string `json:"error,omitempty"`
}

// BackendRequest gives a backend a state for a while.
type BackendRequest struct {
	State string `json:"state"`           // drain, disable, force_down or none
	For   string `json:"for,omitempty"`   // a duration from 1s to 24h; 1h by default
	Force bool   `json:"force,omitempty"` // even if the pool has no other backend for new work
}
