package handler

// Trying another backend: when one gives no connection or no handshake, before
// anything of its answer has reached the client, and never for a request of whose
// body a byte has been read. A budget keeps retries from becoming a storm: when
// everything fails, trying again only doubles what fails.

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

// mayTryAnother says whether the request may go to one backend more.
func (x *requestCtx) mayTryAnother() bool {
	return len(x.tried) < x.rt.Retry.Others && len(x.rt.Target.Pool.Members()) > 1 && x.rt.Counts.Retries.Spend()
}

// tryAnother moves the attempt to another backend; false leaves err to be
// answered. The routes may have changed meanwhile: then it is the new ones that
// say where to.
func (a *handshake) tryAnother(err error) bool {
	if !blamesBackend(err) {
		return false
	}
	failed := a.backend
	a.rt.Target.Pool.Failed(failed, err)
	if !a.mayTryAnother() {
		return false
	}
	a.noteFailedBackend(err)
	a.release()
	if a.admit() != nil {
		a.backend = failed // for the log
		return false
	}
	return true
}

// blamesBackend says that it is the backend that failed, and not the client or
// what it asked for.
func blamesBackend(err error) bool {
	var rf *refusal
	if errors.As(err, &rf) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) { // it is we who are out of descriptors
		return false
	}
	status := forward.Status(err)
	return status == http.StatusBadGateway || status == http.StatusGatewayTimeout
}

// nextBackend is package forward's question for a request that found no connection.
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

// noteFailedBackend notes that the backend was tried in vain, and says so in the log: if
// another one answers, nothing else will.
func (x *requestCtx) noteFailedBackend(err error) {
	x.tried = append(x.tried, x.backend)
	x.logAnotherBackend(x.id, err)
}

// logAnotherBackend logs that x.backend was tried in vain. A stranger can have that as
// often as it likes.
func (x *requestCtx) logAnotherBackend(id string, err error) {
	x.h.logLimiter.log(x.h.Log, slog.LevelWarn, logKind{"trying another backend", x.listenerName()}, slog.String("id", id),
		slog.String("route", x.rt.Name), slog.String("backend", x.backend.Key().String()), slog.Any("error", err))
}

// reportOutcome tells the backend's health of how a request went that had a connection.
// A connection that there was not, another has told already.
func (x *requestCtx) reportOutcome(outcome forward.Outcome) {
	var bad *h1.ResponseError
	switch {
	case outcome.Answered:
		x.backend.Succeeded()
	case errors.As(outcome.Err, &bad):
		x.rt.Target.Pool.Failed(x.backend, outcome.Err)
	}
}
