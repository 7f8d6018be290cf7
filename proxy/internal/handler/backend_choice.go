package handler

// Which backend a request goes to, and waiting for one.

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// choice is what the route's pool needs to know to pick a backend.
func (x *requestCtx) choice(tunnel bool) upstream.Choice {
	return upstream.Choice{Tunnel: tunnel, Client: x.client, Request: x.r, Captures: &x.captures, Exclude: x.tried, Ticket: &x.ticket}
}

// pickBackend has the route's pool choose a backend. It waits in the pool's queue, unless
// other backends were tried before: then the client has waited enough.
func (x *requestCtx) pickBackend(ctx context.Context, tunnel bool) (*upstream.Backend, error) {
	if b, ok := x.pins().Pick(x.rt.Target.Pool, x.choice(tunnel)); ok {
		return b, nil
	}
	if len(x.tried) > 0 {
		return x.rt.Target.Pool.Pick(x.choice(tunnel))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !tunnel && x.gate != nil && x.rt.Target.Pool.HasQueue() {
		go x.watchQueue(ctx, cancel)
	}
	b, err := x.rt.Target.Pool.PickOrWait(ctx, x.choice(tunnel))
	if errors.Is(err, context.Canceled) {
		err = forward.ErrClientGone
	}
	return b, err
}

// queuePollInterval is how often watchQueue checks the client's connection.
const queuePollInterval = 100 * time.Millisecond

// watchQueue takes a request out of its queue when its client has gone, or has closed its
// side, which is how most go: no backend is to be asked for it then.
func (x *requestCtx) watchQueue(ctx context.Context, leave func()) {
	ticker := time.NewTicker(queuePollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if tunnel.Gone(x.gate.NetConn(), true) {
				leave()
				return
			}
		}
	}
}

// noBackend is the answer to an error of pickBackend. upstream.ErrReplaced stays what it
// is, a client that left while it waited is forward.ErrClientGone, and everything else is
// a *refusal.
func (x *requestCtx) noBackend(err error) error {
	switch {
	case errors.Is(err, upstream.ErrReplaced):
		return err
	case errors.Is(err, forward.ErrClientGone), x.r.Context().Err() != nil:
		return forward.ErrClientGone
	case errors.Is(err, upstream.ErrFull):
		return refuse(http.StatusServiceUnavailable, "all backends are at capacity", err).because(whyBackendsFull)
	}
	return refuse(http.StatusServiceUnavailable, "no backend is available", err).because(whyNoBackend)
}

// refuseBound is the answer to a client whose backend has just failed with err, if its
// stickiness allows no other; nil if it does. It is the answer that the client gets as
// soon as the backend is known to be unavailable: it is to come back to the same one.
func (x *requestCtx) refuseBound(err error) *refusal {
	c := x.choice(false)
	c.Exclude = append(slices.Clip(c.Exclude), x.backend)
	if !x.rt.Target.Pool.Refuses(c) {
		return nil
	}
	return refuse(http.StatusServiceUnavailable, "no backend is available", err).because(whyNoBackend)
}

// setStickyCookie adds the cookie by which the client comes back to the backend that has
// answered. It comes after the route's edits of the answer's headers: the cookie is the
// proxy's, not the application's.
func (x *requestCtx) setStickyCookie(h http.Header) {
	if line := x.rt.Target.Pool.SetCookie(x.choice(false), x.backend, x.forwardedClient().Proto() == "https"); line != "" {
		h.Add("Set-Cookie", line)
	}
}
