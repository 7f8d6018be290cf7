package handler

// Retries with another backend, when one accepts no connection or makes no handshake. They
// come before anything of an answer has reached the client, and never after a byte of the
// request's body was read. A budget limits them: when everything fails, retries only
// double the load.

import (
	"errors"
	"log/slog"
	"net/http"
	"syscall"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// payForRetries is called once a request, before its backend is picked.
func (x *requestCtx) payForRetries() {
	if x.rt.Retry.Others > 0 || x.rt.Redials {
		x.rt.Counts.Retries.Pay(x.rt.Retry.Budget)
	}
}

// mayTryAnother reports whether the request may try one more backend, and spends the
// budget if it may.
func (x *requestCtx) mayTryAnother() bool {
	return len(x.tried) < x.rt.Retry.Others && len(x.rt.Target.Pool.Members()) > 1 && x.rt.Counts.Retries.Spend()
}

// blamesBackend reports whether it was the backend that failed, not the client or its
// request.
func blamesBackend(err error) bool {
	var rf *refusal
	if errors.As(err, &rf) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) { // the proxy is out of descriptors
		return false
	}
	status := forward.Status(err)
	return status == http.StatusBadGateway || status == http.StatusGatewayTimeout
}

// nextBackend is the forward.Hop's Another: the next backend for a request that got no
// connection.
func (x *requestCtx) nextBackend(err error) (*upstream.Backend, upstream.TLS, bool) {
	if !blamesBackend(err) {
		return nil, upstream.TLS{}, false
	}
	x.rt.Target.Pool.Failed(x.backend, err)
	if !x.mayTryAnother() {
		return nil, upstream.TLS{}, false
	}
	x.noteFailedBackend(err)
	next, none := x.rt.Target.Pool.Pick(x.choice(false))
	if none != nil {
		return nil, upstream.TLS{}, false
	}
	x.backend.Release()
	x.backend = next
	return next, x.rt.Target.TLSOf(next), true
}

// noteFailedBackend excludes the backend from the next choice, and logs its failure: if
// another one answers, nothing else tells of it.
func (x *requestCtx) noteFailedBackend(err error) {
	x.tried = append(x.tried, x.backend)
	x.counts().Retried()
	x.logAnotherBackend(x.id, err)
}

// logAnotherBackend logs that x.backend was tried in vain. A stranger can have that as
// often as it likes.
func (x *requestCtx) logAnotherBackend(id string, err error) {
	x.h.logLimiter.log(x.h.Log, slog.LevelWarn, logKind{"trying another backend", x.listenerName()}, slog.String("id", id),
		slog.String("route", x.rt.Name), slog.String("backend", x.backend.Key().String()), slog.Any("error", err))
}

// reportOutcome reports to the backend's health how a request went that had a connection.
// nextBackend has reported a failure to connect.
func (x *requestCtx) reportOutcome(outcome forward.Outcome) {
	var bad *h1.ResponseError
	switch {
	case outcome.Answered:
		x.backend.Succeeded()
	case errors.As(outcome.Err, &bad):
		x.rt.Target.Pool.Failed(x.backend, outcome.Err)
	}
}
