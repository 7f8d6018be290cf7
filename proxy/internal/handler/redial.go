package handler

// Redialling: an open tunnel whose backend is lost or drained continues with another one of
// its pool. The handshake is the first one again with a new key, and must have the same
// result. The current routes apply: the pool's choice, its limits and queue, the route's
// timeouts, retries and their budget.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const (
	// minStay is how long a tunnel must stay with a backend after a redial. After two
	// losses in a row that come sooner, each redial spends as much as a retry.
	minStay = time.Second
	// longestRedial is the limit of a redial where the route limits no handshake.
	longestRedial = time.Minute
)

// mayRedial reports whether the tunnel to be opened can move to another backend. A
// compression context cannot.
func (a *handshake) mayRedial(agreed wsproto.Agreed) bool {
	return a.rt.Redials && a.isWebSocket() && agreed.Forgets()
}

// redialer finds backends for one open tunnel. It keeps what the handshake was made of, and
// no Table. redial is called by one goroutine at a time.
type redialer struct {
	h           *Handler
	record      *tunnelRecord
	request     backendRequest
	policy      *forward.Policy // for the Host header and the spelling
	agreed      wsproto.Agreed
	original    *http.Request // what a pool looks at
	captures    match.Captures
	movedAt     time.Time // at the present backend; zero: the first one
	rapidLosses int       // backends in a row that were lost as soon as they were found
}

func (a *handshake) redialer(s *tunnelRecord, agreed wsproto.Agreed) *redialer {
	return &redialer{
		h:        a.h,
		record:   s,
		request:  a.request,
		policy:   a.policy,
		agreed:   agreed,
		original: &http.Request{Method: http.MethodGet, URL: a.r.URL, Header: a.r.Header, Host: a.r.Host},
		captures: a.captures,
	}
}

// Why there is no redial.
var (
	errEnding    = errors.New("the tunnel is on its way out")
	errRouteGone = errors.New("its route no longer leads to its pool")
	errTooMany   = errors.New("too many tunnels redial at once")
	errFlapping  = errors.New("backends go as fast as they are redialled, and the budget for retries is spent")
)

// redial is the tunnel's Redial.
func (d *redialer) redial(ctx context.Context, why tunnel.Reason) (tunnel.Next, error) {
	began, from := time.Now(), d.record.backend
	d.record.detached = true
	d.record.countLeft(why)
	defer from.CloseTunnel()
	a, err := d.find(ctx, why, from)
	if err != nil {
		d.logFailure(ctx, why, err, time.Since(began))
		return tunnel.Next{}, err
	}
	d.moved(a.backend)
	d.record.log("tunnel redialled",
		slog.String("from", from.Key().String()),
		slog.String("reason", string(why)),
		slog.Float64("duration", time.Since(began).Seconds()))
	next := tunnel.Next{Backend: a.result.answer.endpoint(), Meter: a.backend.Meter()}
	next.Backend.Conn = a.result.conn
	return next, nil
}

func (d *redialer) moved(b *upstream.Backend) {
	d.record.backend, d.record.detached = b, false
	d.record.redials++
	d.movedAt = time.Now()
	d.record.route.TunnelMoved(b.URL())
	d.record.route.Redialled("redialled")
	d.record.entry.EndMove()
	d.h.Counters.Redialled.Add(1)
}

// logFailure logs why the tunnel ends. It logs nothing if the client or the tunnel's end has
// ended the search.
func (d *redialer) logFailure(ctx context.Context, why tunnel.Reason, err error, took time.Duration) {
	if ctx.Err() != nil || errors.Is(err, errEnding) {
		return
	}
	d.record.route.Redialled("failed")
	d.record.logAt(slog.LevelWarn, "tunnel not redialled",
		slog.String("reason", string(why)),
		slog.String("error", err.Error()),
		slog.Float64("duration", took.Seconds()))
}

// find finds the next backend within the redial timeout, if the tunnel may have one. It
// returns the handshake that the backend has accepted. The backend counts the tunnel.
func (d *redialer) find(ctx context.Context, why tunnel.Reason, from *upstream.Backend) (*handshake, error) {
	rt := d.route(d.h.Current())
	switch {
	case rt == nil:
		return nil, errRouteGone
	case !d.record.entry.StartMove():
		return nil, errEnding
	case d.isFlapping(why) && !rt.Counts.Retries.Spend():
		return nil, errFlapping
	}
	rt.Counts.Retries.Pay(rt.Retry.Budget)
	limited, cancel := context.WithTimeout(ctx, redialTimeout(rt))
	defer cancel()
	a, err := d.search(limited, &rt.Counts.Redials, from)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("no backend within %v: %w", redialTimeout(rt), err)
	}
	return a, err
}

// isFlapping reports whether backends are lost as fast as they are found. One such loss is
// allowed: two servers may be killed one after the other.
func (d *redialer) isFlapping(why tunnel.Reason) bool {
	if why == tunnel.ReasonDrain || time.Since(d.movedAt) >= minStay {
		d.rapidLosses = 0
		return false
	}
	d.rapidLosses++
	return d.rapidLosses > 1
}

// search asks one backend after the other, each once, until one accepts the tunnel, or none
// is left, or time is over. The route's retries do not limit it: limits.Redials limits the
// load, and backends that have just failed are asked last.
func (d *redialer) search(ctx context.Context, limit *limits.Redials, from *upstream.Backend) (*handshake, error) {
	h := &backendSearch{ctx: ctx, limit: limit, tried: []*upstream.Backend{from}}
	for {
		a, err := d.try(h)
		switch {
		case err == nil:
			return a, nil
		case a == nil:
			return nil, h.exhausted(err)
		case ctx.Err() != nil || !mayBlame(err) && !mayDiffer(err):
			return nil, err
		}
		a.logAnotherBackend(d.record.id, err)
		h.tried, h.last = append(h.tried, a.backend), err
	}
}

// backendSearch is one search.
type backendSearch struct {
	ctx    context.Context
	limit  *limits.Redials
	tried  []*upstream.Backend  // first the one that the tunnel has left
	ticket upstream.QueueTicket // in the queue of the pool
	last   error                // why the last backend asked did not accept the tunnel; nil: none was asked
}

// exhausted returns the error when no backend is left, with that of the last one asked.
func (h *backendSearch) exhausted(err error) error {
	if h.last == nil {
		return err
	}
	return fmt.Errorf("%w (%w)", h.last, err)
}

// try asks one backend; the handshake is nil if there is none.
func (d *redialer) try(h *backendSearch) (*handshake, error) {
	for {
		a, err := d.reserve(h)
		if err != nil {
			return nil, err
		}
		known := a.backend.Failing()
		if !h.limit.Acquire(h.ctx) {
			a.backend.CloseTunnel()
			return nil, errTooMany
		}
		if !a.backend.Available() || a.backend.Failing() && !known { // other redials have found it unfit meanwhile
			a.backend.CloseTunnel()
			h.limit.Release()
			continue
		}
		if err = d.ask(a); err == nil {
			a.backend.Succeeded()
		} else {
			a.backend.CloseTunnel()
			d.noteFailure(a, err)
		}
		h.limit.Done(err == nil)
		return a, err
	}
}

// redialTimeout is for a whole redial with all its handshakes and waits. It is as long as
// one handshake may take, because the client waits.
func redialTimeout(rt *routing.Route) time.Duration {
	if rt.Policy.ConnectTimeout <= 0 || rt.HandshakeTimeout <= 0 {
		return longestRedial
	}
	return rt.Policy.ConnectTimeout + rt.HandshakeTimeout
}

// route returns the tunnel's route, nil if it no longer leads to its pool.
func (d *redialer) route(t *routing.Table) *routing.Route {
	rt := t.Route(d.record.entry.Route())
	if rt == nil || !rt.LeadsTo(d.record.entry.Backend().Pool) {
		return nil
	}
	return rt
}

// reserve has the pool choose a backend, and notes in drain's Group where the tunnel moves
// to, so that no reload misses it. If the routes have changed meanwhile, it chooses again.
func (d *redialer) reserve(h *backendSearch) (*handshake, error) {
	for {
		t := d.h.Current()
		rt := d.route(t)
		if rt == nil {
			return nil, errRouteGone
		}
		if rt.Target.Pool.BindsTo(h.tried[0]) {
			return nil, upstream.ErrBoundUnavailable
		}
		a := d.handshake(h.ctx, t, rt)
		backend, err := rt.Target.Pool.PickOrWait(h.ctx, h.choice(a))
		switch {
		case errors.Is(err, upstream.ErrReplaced):
			continue
		case err != nil:
			return nil, err
		}
		a.backend = backend
		d.record.entry.MoveTo(backend.Key())
		if d.h.Current() == t && rt.HasBackend(backend.Key()) {
			return a, nil
		}
		backend.CloseTunnel()
	}
}

// choice keeps the ticket in the queue for the whole search.
func (h *backendSearch) choice(a *handshake) upstream.Choice {
	c := a.choice(true)
	c.Exclude, c.Ticket, c.AvoidFailing = h.tried, &h.ticket, true
	return c
}

// handshake is the handshake once more, under the routes of t. It has no client to answer,
// and reserves nothing of its own.
func (d *redialer) handshake(ctx context.Context, t *routing.Table, rt *routing.Route) *handshake {
	x := &requestCtx{
		h:        d.h,
		r:        d.original.WithContext(ctx),
		id:       d.record.id,
		client:   d.record.client,
		table:    t,
		rt:       rt,
		captures: d.captures,
	}
	return &handshake{requestCtx: x, protocol: websocket, ctx: ctx}
}

// ask repeats the handshake. Its result must be that of the first.
func (d *redialer) ask(a *handshake) (err error) {
	a.head = d.head(a)
	if a.result.conn, err = a.dial(); err != nil {
		return err
	}
	if err = a.exchangeHeads(); err == nil {
		err = d.check(a.result.answer)
	}
	if err != nil {
		a.result.close()
	}
	return err
}

// head is the request's head, with a key of its own (RFC 6455 section 4.1).
func (d *redialer) head(a *handshake) []byte {
	h := d.request.header.Clone()
	h.Set("Sec-Websocket-Key", wsproto.NewKey())
	a.offer = wsproto.OfferOf(h, a.rt.Lenient)
	host := d.policy.RequestHost(forward.Client{Host: d.original.Host}, a.backend)
	return backendRequest{target: d.request.target, header: h, policy: d.policy, names: d.request.names}.head(http.MethodGet, host)
}

// notTakenError is why a backend does not get the tunnel although it has not failed: its
// answer is valid, but not what the client was told.
type notTakenError struct {
	text   string
	differ bool // another backend may answer otherwise
}

func (e *notTakenError) Error() string { return e.text }

func (d *redialer) check(answer *backendAnswer) error {
	switch {
	case answer.StatusCode != http.StatusSwitchingProtocols:
		return &notTakenError{
			text:   fmt.Sprintf("the backend answers %d, wanted 101", answer.StatusCode),
			differ: answer.StatusCode >= 500,
		}
	case !d.agreed.Same(answer.agreed):
		return &notTakenError{
			text: fmt.Sprintf("the backend agrees to subprotocol %q and extensions %q, the client was told %q and %q",
				answer.agreed.Protocol, answer.agreed.Extensions, d.agreed.Protocol, d.agreed.Extensions),
			differ: true,
		}
	}
	return nil
}

// noteFailure reports a failed handshake to the backend's health, before the next redial
// chooses. A handshake that the timeout or the tunnel's end has cut short proves nothing.
func (d *redialer) noteFailure(a *handshake, err error) {
	if a.r.Context().Err() == nil && mayBlame(err) {
		a.rt.Target.Pool.Failed(a.backend, err)
	}
}

func mayBlame(err error) bool {
	var notTaken *notTakenError
	return !errors.As(err, &notTaken) && blamesBackend(err)
}

// mayDiffer reports whether another backend may answer otherwise.
func mayDiffer(err error) bool {
	var notTaken *notTakenError
	return errors.As(err, &notTaken) && notTaken.differ
}
