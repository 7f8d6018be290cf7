package handler

// Redialling: an open tunnel whose backend goes, or is drained, gets another one of
// its pool. The handshake is the first one again, but for its key, and must come out
// the same; all that holds for an attempt (the pool's choice, its limits and queue, the
// route's timeouts, retries and their budget) holds here, as the routes say now.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	// minStay is how long a backend that was redialled must stay of itself. When two
	// in a row do not, each redial from then on costs as much as a retry.
	minStay = time.Second
	// longestRedial bounds a redial where the route bounds no handshake.
	longestRedial = time.Minute
)

// mayRedial says whether the tunnel that is about to open can be moved to another
// backend: a compression context cannot.
func (a *handshake) mayRedial(agreed wsproto.Agreed) bool {
	return a.rt.Redials && a.isWebSocket() && agreed.Forgets()
}

// redialer finds backends for one open tunnel. It keeps what the handshake was made
// of, and no Table. It belongs to whoever calls redial, one call at a time.
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
		policy:   a.rt.Policy,
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
	defer from.CloseTunnel()
	f, err := d.find(ctx, why, from)
	if err != nil {
		d.logFailure(ctx, why, err, time.Since(began))
		return tunnel.Next{}, err
	}
	d.moved(f.backend)
	d.record.log("tunnel redialled",
		slog.String("from", from.Key().String()),
		slog.String("reason", string(why)),
		slog.Float64("duration", time.Since(began).Seconds()))
	return tunnel.Next{Backend: f.answer.endpoint(f.conn), Meter: f.backend.Meter()}, nil
}

func (d *redialer) moved(b *upstream.Backend) {
	d.record.backend, d.record.detached = b, false
	d.record.redials++
	d.movedAt = time.Now()
	d.record.entry.EndMove()
	d.h.Counters.Redialled.Add(1)
}

// logFailure says why the client is told to come back. Not when it is the client or
// the tunnel's end that ended the search.
func (d *redialer) logFailure(ctx context.Context, why tunnel.Reason, err error, took time.Duration) {
	if ctx.Err() != nil || errors.Is(err, errEnding) {
		return
	}
	d.record.logAt(slog.LevelWarn, "tunnel not redialled",
		slog.String("reason", string(why)),
		slog.String("error", err.Error()),
		slog.Float64("duration", took.Seconds()))
}

// newBackend is a backend that takes the tunnel, and counts it.
type newBackend struct {
	backend *upstream.Backend
	conn    net.Conn
	answer  *backendAnswer
}

// find finds the next backend in the time that there is, if it may be looked for.
func (d *redialer) find(ctx context.Context, why tunnel.Reason, from *upstream.Backend) (*newBackend, error) {
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
	f, err := d.search(limited, &rt.Counts.Redials, from)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("no backend within %v: %w", redialTimeout(rt), err)
	}
	return f, err
}

// isFlapping says whether backends go as fast as they are found. One may: when two
// servers are killed, one after the other.
func (d *redialer) isFlapping(why tunnel.Reason) bool {
	if why == tunnel.ReasonDrain || time.Since(d.movedAt) >= minStay {
		d.rapidLosses = 0
		return false
	}
	d.rapidLosses++
	return d.rapidLosses > 1
}

// search asks one backend after the other, each once, until one takes the tunnel, or
// none is left, or time is over. The route's retries have no say: they are for clients
// that can be told to come back, and what they would bound, the gate does, and who
// has just failed is asked last.
func (d *redialer) search(ctx context.Context, limit *limits.Redials, from *upstream.Backend) (*newBackend, error) {
	h := &backendSearch{ctx: ctx, limit: limit, tried: []*upstream.Backend{from}}
	for {
		f, a, err := d.try(h)
		switch {
		case err == nil:
			return f, nil
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
	tried  []*upstream.Backend  // the one that was left first
	ticket upstream.QueueTicket // in the queue of the pool
	last   error                // why the last one that was asked does not get the tunnel; nil: none was
}

// exhausted is why there is nobody left to be asked, with what came of asking.
func (h *backendSearch) exhausted(err error) error {
	if h.last == nil {
		return err
	}
	return fmt.Errorf("%w (%w)", h.last, err)
}

// try asks one backend; a is nil where there is none.
func (d *redialer) try(h *backendSearch) (*newBackend, *handshake, error) {
	for {
		a, err := d.reserve(h)
		if err != nil {
			return nil, nil, err
		}
		known := a.backend.Failing()
		if !h.limit.Acquire(h.ctx) {
			a.backend.CloseTunnel()
			return nil, nil, errTooMany
		}
		if !a.backend.Available() || a.backend.Failing() && !known { // those in front have found that out
			a.backend.CloseTunnel()
			h.limit.Release()
			continue
		}
		f, err := d.ask(a)
		if err == nil {
			a.backend.Succeeded()
		} else {
			a.backend.CloseTunnel()
			d.noteFailure(a, err)
		}
		h.limit.Done(err == nil)
		return f, a, err
	}
}

// redialTimeout is for a whole redial, with all its attempts and the waiting between
// them: as long as one attempt may take, for the client waits.
func redialTimeout(rt *routing.Route) time.Duration {
	if rt.Policy.ConnectTimeout <= 0 || rt.HandshakeTimeout <= 0 {
		return longestRedial
	}
	return rt.Policy.ConnectTimeout + rt.HandshakeTimeout
}

// route is the tunnel's, if it still leads to its pool.
func (d *redialer) route(t *routing.Table) *routing.Route {
	rt := t.Route(d.record.entry.Route())
	if rt == nil || !rt.LeadsTo(d.record.entry.Backend().Pool) {
		return nil
	}
	return rt
}

// reserve has the pool choose, and notes where the tunnel is going, so that no reload
// can miss it; what it chose under routes that have changed meanwhile does not count.
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

// choice keeps the place in line for as long as the hunt takes.
func (h *backendSearch) choice(a *handshake) upstream.Choice {
	c := a.choice(true)
	c.Exclude, c.Ticket, c.AvoidFailing = h.tried, &h.ticket, true
	return c
}

// handshake is the handshake once more, under the routes of now. It has no client to
// answer, and no place of its own.
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
	return &handshake{requestCtx: x, protocol: websocket}
}

// ask repeats the handshake. What comes of it must be what came of the first.
func (d *redialer) ask(a *handshake) (*newBackend, error) {
	conn, err := a.dial()
	if err != nil {
		return nil, err
	}
	answer, err := a.exchangeHeads(conn, d.head(a))
	if err == nil {
		err = d.check(answer)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &newBackend{backend: a.backend, conn: conn, answer: answer}, nil
}

// head is the request's, with a key of its own (RFC 6455 section 4.1).
func (d *redialer) head(a *handshake) []byte {
	h := d.request.header.Clone()
	h.Set("Sec-Websocket-Key", wsproto.NewKey())
	a.offer = wsproto.OfferOf(h, a.rt.Lenient)
	host := d.policy.RequestHost(forward.Client{Host: d.original.Host}, a.backend)
	return backendRequest{target: d.request.target, header: h, policy: d.policy, names: d.request.names}.head(http.MethodGet, host)
}

// notTakenError is why a backend does not get the tunnel, which is not to its blame:
// its answer is good, but not what the client was told.
type notTakenError struct {
	text   string
	differ bool // another backend may well say something else
}

func (e *notTakenError) Error() string { return e.text }

func (d *redialer) check(answer *backendAnswer) error {
	switch {
	case answer.StatusCode != http.StatusSwitchingProtocols:
		answer.Body.Close()
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

// noteFailure tells the backend's health of a handshake that failed: before the next
// redial chooses. One that time or the tunnel's end has broken off says nothing.
func (d *redialer) noteFailure(a *handshake, err error) {
	if a.r.Context().Err() == nil && mayBlame(err) {
		a.rt.Target.Pool.Failed(a.backend, err)
	}
}

func mayBlame(err error) bool {
	var notTaken *notTakenError
	return !errors.As(err, &notTaken) && blamesBackend(err)
}

// mayDiffer says that what was answered to this handshake is not the application's
// word on it.
func mayDiffer(err error) bool {
	var notTaken *notTakenError
	return errors.As(err, &notTaken) && notTaken.differ
}
