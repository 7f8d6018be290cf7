package drain

// Looking at the open tunnels. Of a million of them a list of pointers is made at once, and
// all else a few hundred at a time.

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"unique"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// What is kept of a text that a client chooses.
const (
	maxPath  = 200
	maxToken = 64
)

// ID is the id that the log gives the tunnel. Constant.
func (e *Entry) ID() string { return e.id }

// Path is the beginning of the path that was asked for. Constant.
func (e *Entry) Path() string { return e.path.Value() }

// SetSubprotocol says what the backend has chosen. It takes no lock.
func (e *Entry) SetSubprotocol(text string) {
	if text != "" {
		shared := unique.Make(bounded(text, maxToken))
		e.subprotocol.Store(&shared)
	}
}

// bounded is a text's beginning, as valid UTF-8. (unique.Make copies it.)
func bounded(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// Query says which tunnels are meant: those of which all that is set is true.
type Query struct {
	ID       string
	Route    string
	Pool     string
	Backend  string       // its URL, or host:port
	Client   netip.Prefix // the zero one is any
	User     string
	Draining *bool
}

// matchesLocked looks at an open tunnel.
func (q *Query) matchesLocked(e *Entry) bool {
	if q.ID != "" && e.id != q.ID || q.Route != "" && e.route != q.Route ||
		q.Client.IsValid() && !q.Client.Contains(e.client) || q.User != "" && q.User != e.user() ||
		q.Draining != nil && *q.Draining != e.drainingLocked() {
		return false
	}
	if q.Pool == "" && q.Backend == "" {
		return true
	}
	key := e.backend.Value()
	return (q.Pool == "" || key.Pool == q.Pool) && (q.Backend == "" || key.Authority == q.Backend || key.URL() == q.Backend)
}

// Open returns the open tunnels that match, oldest first.
func (g *Group) Open(q Query) []*Entry {
	defer g.scan()()
	return slices.DeleteFunc(g.matchLocked(q), func(e *Entry) bool { return e.tunnel == nil })
}

// matchLocked returns the tunnels that match, oldest first.
func (g *Group) matchLocked(q Query) []*Entry {
	var all []*Entry
	for e := range g.entries {
		if q.matchesLocked(e) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *Entry) int { return cmp.Compare(a.serial, b.serial) })
	return all
}

// Info is what there is to say of one open tunnel, but for what its engine counts.
type Info struct {
	Entry       *Entry
	Serial      uint64 // in the order in which they began
	ID          string // as in the log
	Route       string
	Backend     upstream.BackendKey
	Client      netip.Addr
	User        string // "" if nobody has said who it is
	Host, Path  string // their beginnings, if they are very long
	Protocol    string
	Subprotocol string
	State       string // open, moving, draining or ending
	Moved       int    // times
	Tunnel      tunnel.Tunnel
}

// Look returns what there is to say of those of the entries that are open.
func (g *Group) Look(entries []*Entry) []Info {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]Info, 0, len(entries))
	for _, e := range entries {
		if e.tunnel != nil && e.state != removed {
			all = append(all, e.infoLocked())
		}
	}
	return all
}

func (e *Entry) infoLocked() Info {
	i := Info{
		Entry:    e,
		Serial:   e.serial,
		ID:       e.id,
		Route:    e.route,
		Backend:  e.backend.Value(),
		Client:   e.client,
		User:     e.user(),
		Host:     e.about.Value().host,
		Path:     e.path.Value(),
		Protocol: e.about.Value().protocol,
		State:    e.stateLocked(),
		Moved:    int(e.moved),
		Tunnel:   e.tunnel,
	}
	if sub := e.subprotocol.Load(); sub != nil {
		i.Subprotocol = sub.Value()
	}
	return i
}

func (e *Entry) stateLocked() string {
	switch {
	case e.state == ending:
		return "ending"
	case e.drainingLocked():
		return "draining"
	case e.state == moveScheduled || e.state.isMoving():
		return "moving"
	}
	return "open"
}
