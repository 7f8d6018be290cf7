package handler

// What a matched request gets: a tunnel, a backend's HTTP, or the proxy's own answer.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/internal/echo"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// dispatch carries out the matched route's action. If a reload changes the routes while
// the request waits for a backend, it is routed again.
func (x *requestCtx) dispatch() {
	for {
		x.limitSilence()
		if x.rt.Target == nil || x.rt.Target.Internal != "" { // otherwise with the backend's answer
			x.setGrantedCookies(x.w.Header())
		}
		switch {
		case x.rt.Redirect != nil:
			x.redirect()
			return
		case x.rt.Respond != nil:
			x.respond()
			return
		case x.answersMaxForwards():
			return
		}
		protocol := x.rt.Upgrade.Protocol(x.r)
		switch {
		case protocol != "":
			x.openTunnel(protocol)
			return
		case !x.rt.HTTPFallback:
			x.refuse(x.upgradeRequired())
			return
		case x.rt.Target.Internal == "echo":
			echo.ServeHTTP(x.w, x.r)
			x.endEcho()
			return
		case x.rt.Target.Internal == "status":
			x.answerStatus()
			return
		}
		if x.forward() {
			return
		}
		rf := x.route(x.h.Current())
		if rf == nil {
			rf = x.admit()
		}
		if rf != nil {
			x.refuse(rf)
			return
		}
	}
}

// upgradeRequired is http_fallback: false (RFC 9110, section 15.5.22).
func (x *requestCtx) upgradeRequired() *refusal {
	rf := refuse(http.StatusUpgradeRequired, "this route takes upgrades only", nil)
	if x.r.ProtoMajor == 1 {
		rf.header = http.Header{"Upgrade": {x.rt.Upgrade.Offered()}, "Connection": {"Upgrade"}}
	}
	return rf
}

func (x *requestCtx) redirect() {
	if _, err := match.NormalizeHost(x.forwardedClient().PublicHost()); err != nil {
		x.refuse(refuse(http.StatusBadRequest, "bad host", err))
		return
	}
	location, err := x.rt.Redirect.Make(x.values(), x.path, x.query)
	if err != nil {
		x.refuse(refuse(http.StatusBadRequest, "no place to redirect to: "+err.Error(), err))
		return
	}
	x.w.Header().Set("Location", location)
	x.policy.ResponseHeader(x.w.Header())
	x.w.WriteHeader(x.rt.Redirect.Status)
}

func (x *requestCtx) respond() {
	headers, _, err := forward.Fill(x.rt.Respond.Headers, x.values)
	if err != nil {
		x.refuse(unfit(err))
		return
	}
	h := x.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	for _, line := range headers {
		h.Set(line.Name, line.Value)
		x.spelled.NoteText(line.Name, http.CanonicalHeaderKey(line.Name))
	}
	body, err := x.bodyText(x.rt.Respond.Body, h.Get("Content-Type"))
	if err != nil {
		x.refuse(unfit(err))
		return
	}
	x.policy.ResponseHeader(h)
	x.write(x.rt.Respond.Status, []byte(body))
}

// bodyText is a body with its placeholders filled in.
func (x *requestCtx) bodyText(t match.Text, contentType string) (string, error) {
	if text, literal := t.Literal(); literal {
		return text, nil
	}
	return forward.BodyText(&t, contentType, x.values())
}

func (x *requestCtx) answerStatus() {
	body, err := json.MarshalIndent(x.h.Status(), "", "  ")
	body = printable.Bytes(body)
	if err != nil {
		x.refuse(refuse(http.StatusInternalServerError, "no status", err))
		return
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Cache-Control", "no-store")
	x.write(http.StatusOK, append(body, '\n'))
}

func (x *requestCtx) write(status int, body []byte) {
	if status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified {
		x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body)
	}
}

type requestKey struct{}

// forward forwards the request to a backend as HTTP. It returns false, and has done
// nothing, if the routes have changed while it waited for a backend.
func (x *requestCtx) forward() (done bool) {
	path, query, err := x.backendTarget()
	if err != nil {
		x.refuse(badPath(err))
		return true
	}
	x.payForRetries()
	counts := x.counts()
	counts.RequestBegun()
	defer counts.RequestEnded()
	backend, err := x.pickBackend(x.r.Context(), false)
	if errors.Is(err, upstream.ErrReplaced) {
		return false
	}
	if err != nil {
		x.giveUp(x.noBackend(err))
		return true
	}
	x.backend = backend
	defer func() { x.backend.Release() }() // the last one: nextBackend releases those before
	x.forwardTo(path, query, nil)
	return true
}

// backendTarget is the path, and the query with its "?", that the backend is asked for.
func (x *requestCtx) backendTarget() (path, query string, err error) {
	return x.rt.Target.Rewrite.Apply(x.path, match.RemoveParameters(x.query, x.policy.RemoveQuery), &x.captures)
}

// giveUp answers when there is no backend's answer. err is a *refusal, or what went wrong.
func (x *requestCtx) giveUp(err error) {
	var rf *refusal
	if errors.As(err, &rf) {
		x.refuse(rf)
		return
	}
	x.fail(forward.Status(err), err)
}

// forwardTo has package forward carry the request. answer is not nil if the backend has
// been asked already: a handshake that it has answered with ordinary HTTP.
func (x *requestCtx) forwardTo(path, query string, answer *http.Response) {
	var outcome forward.Outcome
	defer func() {
		if x.err == nil {
			x.err = outcome.Err
		}
		if x.sendTimedOut() {
			x.err = errSendSilent
		}
		if answer == nil {
			x.reportOutcome(outcome)
		}
	}()
	var finish func(http.Header)
	if sticky := x.rt.Target.Pool.SetsCookies(); sticky || x.grant != nil {
		finish = func(h http.Header) {
			if sticky {
				x.setStickyCookie(h)
			}
			x.setGrantedCookies(h)
		}
	}
	r := x.r.WithContext(context.WithValue(x.r.Context(), requestKey{}, x))
	hop := forward.Hop{
		Backend: x.backend,
		TLS:     x.rt.Target.TLSOf(x.backend),
		Path:    path,
		Query:   query,
		Policy:  x.policy,
		Values:  x.values,
		Client:  x.forwardedClient(),
		ID:      x.id,
		Public:  x.public(),
		Outcome: &outcome,
		Finish:  finish,
		Answer:  answer,

		Names:       x.names,
		AnswerNames: &x.spelled,

		Pins:    x.pins(),
		NoLogin: x.noLogin(),
	}
	if len(x.rt.Target.Pool.Members()) > 1 {
		hop.Another = x.nextBackend
	}
	x.h.forwarder.Forward(x.w, r, hop)
}

// public is how the client sees the backend's URLs. Only a prefix route maps paths.
func (x *requestCtx) public() forward.Public {
	client := x.forwardedClient()
	p := forward.Public{Scheme: client.Proto(), Host: client.PublicHost()}
	if target, route, ok := x.rt.Target.Rewrite.Prefixes(); ok {
		p.TargetPrefix, p.RoutePrefix = target, route
	}
	return p
}

// failForwarded is the forwarder's Fail.
func failForwarded(_ http.ResponseWriter, r *http.Request, status int, err error) {
	r.Context().Value(requestKey{}).(*requestCtx).fail(status, err)
}

// fail answers for a backend that did not answer. The client gets the status and a text
// without details, the log gets err.
func (x *requestCtx) fail(status int, err error) {
	if x.gate != nil {
		if v := x.gate.Violation(); v != nil { // the request's own body is to blame
			rf := refuse(v.Status, v.Reason, err)
			rf.header = http.Header{"Connection": {"close"}}
			x.refuse(rf)
			return
		}
	}
	if status == forward.StatusClientGone {
		x.err, x.w.status = err, status
		panic(http.ErrAbortHandler)
	}
	rf := refuse(status, failText(status, err), err)
	var dial *upstream.DialError
	if errors.As(err, &dial) && blamesBackend(err) {
		rf = cmp.Or(x.refuseBound(err), rf)
	}
	x.refuse(rf)
}

// failText never names an address.
func failText(status int, err error) string {
	switch status {
	case http.StatusGatewayTimeout:
		return "the backend did not answer in time"
	case http.StatusBadGateway:
		return badGatewayText(err)
	case http.StatusRequestTimeout:
		return "the request's body has been silent for too long"
	case http.StatusRequestEntityTooLarge:
		return "the request's body is too large for this route"
	case http.StatusMethodNotAllowed:
		return "this method is not forwarded"
	}
	return "the request cannot be forwarded as it is"
}

func badGatewayText(err error) string {
	var (
		dial  *upstream.DialError
		login *forward.LoginError
	)
	if errors.As(err, &login) {
		return login.Error()
	}
	if !errors.As(err, &dial) {
		return "the backend's answer is not valid"
	}
	if dial.Stage == upstream.StageTLS {
		return "no TLS connection to the backend"
	}
	return "no connection to the backend"
}
