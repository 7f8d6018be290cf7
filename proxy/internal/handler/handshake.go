package handler

// A handshake: it is counted at its route and at a backend, the backend is asked, and
// another one where that is to blame. It is made in one of two ways: by negotiate, which
// waits for each step, or between the events of a loop (handshake_epoll_linux.go), which
// leaves to a goroutine what it would have to wait for.

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const websocket = "websocket"

// handshake is a request for a tunnel under way. One goroutine has it at a time.
type handshake struct {
	*requestCtx
	protocol string // as the client spelled it
	phase    phase
	result   result
	ctx      context.Context // of the work under way; its cause is forward.ErrClientGone or errRoutesChanged
	lost     func()          // called by drain's Group, see drain.Facts

	offer       wsproto.Offer  // WebSocket only
	request     backendRequest // to the backend
	head        []byte         // its text
	begun       *bytes.Reader  // what of the answer was read before; nil: nothing, and the request is not sent
	login       bool           // the backend's connection is the client's own
	entry       *drain.Entry
	reserved    bool          // reserve has succeeded, and its places are not released
	rateCharged *limits.Route // whose handshake rate was charged: once, even if it is routed again
	last        error         // of the backend before; nil: none was asked
}

// phase is what a handshake does next.
type phase uint8

const (
	reserving   phase = iota // a place at the route and at a backend is wanted
	connecting               // there is one, and no connection yet
	awaitAnswer              // there is a connection
	finished                 // there is a result
)

// outcome is how the work of a phase has ended.
type outcome uint8

const (
	succeeded      outcome = iota
	rerouted               // the routes have changed, and it has been routed again
	anotherBackend         // this one is to blame
	failed
)

// after returns the phase that follows.
//
//	reserving -> connecting -> awaitAnswer -> finished
//	    ^            |              |            ^
//	    +------------+--------------+  failed ---+
//	     rerouted, anotherBackend
func (p phase) after(o outcome) phase {
	switch o {
	case succeeded:
		return p + 1
	case failed:
		return finished
	}
	return reserving
}

// errRoutesChanged ends the work of a phase that is for routes which are no longer the
// current ones.
var errRoutesChanged = errors.New("the routes have changed")

// result is what came of a handshake: a backend's answer, which is verified if it is a
// 101, and the connection on which it came; or a *refusal, or the backend's error. The
// connection is there from awaitAnswer on, unless an event loop has it.
type result struct {
	conn   net.Conn
	answer *backendAnswer
	err    error
}

// opens reports whether a tunnel is to be opened.
func (s result) opens() bool {
	return s.err == nil && s.answer.StatusCode == http.StatusSwitchingProtocols
}

// close closes the backend's connection, if there is one.
func (s *result) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// negotiate makes the handshake. It writes nothing to the client.
func (a *handshake) negotiate() {
	cancel := context.CancelCauseFunc(func(error) {})
	defer func() { cancel(nil) }()
	for a.begin(); a.phase != finished; a.run() {
		if a.phase == reserving {
			cancel(nil)
			ctx, c := context.WithCancelCause(a.r.Context())
			a.ctx, cancel, a.lost = ctx, c, func() { c(errRoutesChanged) }
		}
	}
}

// begin refuses, before anything is counted, what must not become a tunnel.
func (a *handshake) begin() {
	if rf := a.check(); rf != nil {
		a.phase, a.result.err = finished, rf
		return
	}
	a.payForRetries()
}

// run does the work of the phase, and waits for what it must.
func (a *handshake) run() {
	switch a.phase {
	case reserving:
		a.step(a.reserve())
	case connecting:
		a.step(a.connect())
	case awaitAnswer:
		a.step(a.exchangeHeads())
	}
}

// mustWait reports whether the work of the phase may have to wait for something: not only
// for one event of one socket.
func (a *handshake) mustWait() bool {
	switch a.phase {
	case reserving:
		return a.rt.Target.Pool != nil && a.rt.Target.Pool.HasQueue() || a.h.Tunnels.Busy()
	case connecting:
		_, direct := a.backend.Direct()
		return !direct // a name is looked up, or TLS has its own handshake
	case awaitAnswer:
		return a.result.conn != nil
	}
	return false
}

// step ends the work of the phase. err is nil, a *refusal, forward.ErrClientGone,
// errRoutesChanged, upstream.ErrReplaced, or an error of the backend.
func (a *handshake) step(err error) {
	switch {
	case a.ctx.Err() == nil:
	case context.Cause(a.ctx) == errRoutesChanged:
		err = errRoutesChanged
	default:
		err = forward.ErrClientGone
	}
	if err != nil {
		a.result.close()
	}
	o, err := a.judge(err)
	if a.phase = a.phase.after(o); a.phase == finished {
		a.result.err = err
	}
}

// judge says what comes of an error. It returns the one that is the result, if it is one.
func (a *handshake) judge(err error) (outcome, error) {
	switch {
	case err == nil:
		if a.phase == awaitAnswer {
			a.backend.Succeeded()
		}
		return succeeded, nil
	case errors.Is(err, errRoutesChanged), errors.Is(err, upstream.ErrReplaced):
		a.release()
		if rf := a.routeAgain(); rf != nil {
			return failed, rf
		}
		return rerouted, nil
	case a.phase == reserving && a.last != nil && !errors.Is(err, forward.ErrClientGone):
		a.backend = a.tried[len(a.tried)-1] // for the log
		return failed, a.last
	case a.phase == reserving, !blamesBackend(err):
		return failed, err
	}
	a.rt.Target.Pool.Failed(a.backend, err)
	if rf := a.refuseBound(err); rf != nil {
		return failed, rf
	}
	if !a.mayTryAnother() {
		return failed, err
	}
	a.noteFailedBackend(err)
	a.release()
	a.last = err
	return anotherBackend, nil
}

// routeAgain routes the request by the routes that are current now.
func (a *handshake) routeAgain() *refusal {
	rf := a.route(a.h.Current())
	if rf == nil && a.gate == nil && a.rt.Auth != nil { // an event loop's: it was let in without a question
		rf = refuse(http.StatusServiceUnavailable, "the routes have just changed", nil)
	}
	if rf == nil {
		rf = a.admit()
	}
	if rf != nil {
		return rf
	}
	if a.rt.Target == nil || !httpsyntax.EqualFold(a.rt.Upgrade.Protocol(a.r), a.protocol) {
		return refuse(http.StatusServiceUnavailable, "the routes have just changed", nil)
	}
	return a.check()
}

// reserve counts the tunnel at its route, its backend and in drain's Group, before it
// exists. Drain's Group evaluates the tunnels that it knows when a reload comes. One that
// is reserved later, under the old routes, would be missed: that is errRoutesChanged, as
// upstream.ErrReplaced is when it has waited for a backend meanwhile. Any other error is a
// *refusal or forward.ErrClientGone.
func (a *handshake) reserve() error {
	if a.rt.Target.Pool == nil {
		return refuse(http.StatusNotFound, "there is no tunnel to internal://"+a.rt.Target.Internal, nil)
	}
	allowed := a.rt.Limits
	if a.rateCharged == a.rt.Counts {
		allowed.HandshakesPerSecond = 0
	}
	if err := a.rt.Counts.Tunnels.Admit(allowed, a.client, time.Now()); err != nil {
		return overLimit(err)
	}
	a.rateCharged = a.rt.Counts
	defer func() { // by a panic of ours too
		if !a.reserved {
			a.rt.Counts.Tunnels.Release(a.client)
		}
	}()
	backend, err := a.pickBackend(a.ctx, true)
	if err != nil {
		return a.noBackend(err)
	}
	a.backend = backend
	a.entry = a.h.Tunnels.Reserve(drain.Facts{
		Route:   a.rt.Name,
		Backend: backend.Key(),
		Client:  a.client,
		Host:    a.forwardedClient().PublicHost(),
		Origin:  a.r.Header.Get("Origin"),
		Policy:  a.rt.Drain,

		Identity: a.identity(),
		Expiry:   a.expiry(),

		CloseTimeout: a.rt.Tunnel.CloseTimeout,
		Lost:         a.lost,

		ID: a.id, Path: a.loggedPath(), Protocol: a.protocol,
	})
	a.reserved = true
	if a.h.Current() != a.table {
		return errRoutesChanged
	}
	return nil
}

// overLimit is the answer to an error of limits.Tunnels.Admit. A full route is the
// server's state (503); a client that is over its share can change that (429).
func overLimit(err error) *refusal {
	switch {
	case errors.Is(err, limits.ErrRouteFull):
		return refuse(http.StatusServiceUnavailable, err.Error(), nil).because(whyRouteFull)
	case errors.Is(err, limits.ErrClientFull):
		return refuse(http.StatusTooManyRequests, err.Error(), nil).because(whyClientFull)
	}
	return refuse(http.StatusTooManyRequests, err.Error(), nil).because(whyClientRate)
}

// release undoes reserve, unless an open tunnel has taken over its places.
func (a *handshake) release() {
	if !a.reserved {
		return
	}
	a.reserved = false
	a.entry.Remove()
	a.backend.CloseTunnel()
	a.rt.Counts.Tunnels.Release(a.client)
}

func (a *handshake) isWebSocket() bool { return httpsyntax.EqualFold(a.protocol, websocket) }

// check refuses, before anything is dialled, what must not become a tunnel.
func (a *handshake) check() *refusal {
	if rf := a.checkRequest(); rf != nil {
		return &refusal{status: rf.Status, text: rf.Text, header: rf.Header}
	}
	if rf := wsproto.CheckOrigin(a.r.Header, a.forwardedClient().PublicHost(), a.rt.Origins); rf != nil {
		return refuse(rf.Status, rf.Text, errors.New(rf.Text+": "+rf.Hint)).because(whyOrigin)
	}
	return nil
}

func (a *handshake) checkRequest() *wsproto.Refusal {
	if a.isWebSocket() {
		return wsproto.CheckRequest(a.r, a.rt.Lenient)
	}
	if a.r.ContentLength != 0 || len(a.r.TransferEncoding) > 0 {
		return &wsproto.Refusal{Status: http.StatusBadRequest, Text: "a request for an upgrade must not have a body"}
	}
	return nil
}
