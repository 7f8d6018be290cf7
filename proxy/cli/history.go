package cli

// The latest generations and refusals, for the admin API.

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload"
)

// maxHistory is how many are kept.
const maxHistory = 50

// history is safe for concurrent use.
type history struct {
	mu      sync.Mutex // guards what follows
	began   time.Time  // of the latest build
	entries []statusapi.HistoryEntry
}

// begin notes that a build begins.
func (h *history) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began = time.Now()
}

func (h *history) add(e statusapi.HistoryEntry) statusapi.HistoryEntry {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.At = time.Now()
	if !h.began.IsZero() {
		e.Duration = e.At.Sub(h.began).Seconds()
	}
	h.entries = append(h.entries, e)
	if len(h.entries) > maxHistory {
		h.entries = slices.Delete(h.entries, 0, 1)
	}
	return e
}

// list returns the entries, the latest first.
func (h *history) list() statusapi.History {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := statusapi.History{Entries: append([]statusapi.HistoryEntry{}, h.entries...)}
	slices.Reverse(all.Entries)
	return all
}

func generationEntry(c proxy.Changes, routes int, gen reload.Generation) statusapi.HistoryEntry {
	e := statusapi.HistoryEntry{
		Generation: gen.Number, Revision: gen.Revision, Routes: routes,
		Added: names(c.Added), Changed: names(c.Changed), Removed: names(c.Removed), Renamed: renames(c.Renamed),
		Settings: c.Settings, Kept: c.Kept, Drained: c.Draining,
	}
	e.Pools, e.Listeners = fewChanges(c.Pools), fewChanges(c.Listeners)
	return e
}

func fewChanges(c proxy.NameChanges) *statusapi.NameChanges {
	if len(c.Added)+len(c.Changed)+len(c.Removed) == 0 {
		return nil
	}
	return &statusapi.NameChanges{Added: names(c.Added), Changed: names(c.Changed), Removed: names(c.Removed)}
}

// History implements admin.Proxy.
func (s *service) History() statusapi.History { return s.history.list() }

// Routes implements admin.Proxy.
func (s *service) Routes(after string, limit int) statusapi.RouteList {
	list := s.server.Routes(after, limit)
	list.Generation = s.loop.Status().Generation
	return list
}

// Pools implements admin.Proxy.
func (s *service) Pools() statusapi.PoolList { return s.server.Pools() }

// SetBackend implements admin.Proxy.
func (s *service) SetBackend(pool, name, state string, lasts time.Duration, force bool) (statusapi.Backend, error) {
	return s.server.SetBackend(pool, name, state, lasts, force)
}

// IsLastBackend implements admin.Proxy.
func (s *service) IsLastBackend(err error) bool { return errors.Is(err, proxy.ErrLastBackend) }

// Figures implements admin.Proxy.
func (s *service) Figures() statusapi.Figures { return s.server.Figures() }
