package proxy

// States that an operator gives backends by hand.

import (
	"errors"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

var (
	// ErrNoPool and ErrNoBackend are for names that are not served, ErrLastBackend for a
	// state that would leave a pool without a backend.
	ErrNoPool      = errors.New("there is no such pool")
	ErrNoBackend   = upstream.ErrNoMember
	ErrLastBackend = upstream.ErrLastMember
)

// SetBackend gives a pool's backend a state by hand: drain, disable, force_down, or none,
// which ends the one before. It lasts for that time, across reloads, but not an edit of the
// backend's record.
func (s *Server) SetBackend(pool, name, state string, lasts time.Duration, force bool) (statusapi.Backend, error) {
	p := s.current().Pools()[pool]
	if p == nil {
		return statusapi.Backend{}, ErrNoPool
	}
	changed, err := p.SetTemporary(name, upstream.TemporaryState(state), lasts, force, func() {
		s.log.Info("backend state ended", "pool", pool, "backend", name)
		s.temporaryChanged(pool, name, "none")
	})
	if err != nil {
		return statusapi.Backend{}, err
	}
	if changed {
		s.temporaryChanged(pool, name, state)
	}
	for _, m := range p.Members() {
		if m.Name == name {
			return backendOf(&m), nil
		}
	}
	return statusapi.Backend{}, ErrNoBackend // it has left in the meantime
}

// temporaryChanged has the pool's tunnels judged, and shared out again where a backend is
// back.
func (s *Server) temporaryChanged(pool, name, state string) {
	s.evaluatePool(pool)
	if state == "none" {
		s.rebalance(pool)
	}
	if s.health != nil {
		s.health(statusapi.BackendEvent{Pool: pool, Backend: name, Change: state})
	}
}
