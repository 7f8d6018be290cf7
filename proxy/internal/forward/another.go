package forward

// Another backend for a request that found no connection to the first: it has
// gone nowhere yet, so it may go anywhere.

import (
	"errors"
	"net/http"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// askAround asks the hop's backend, again if its connection was closed under the request,
// and others as the hop allows.
func (x *exchange) askAround(r *http.Request) (*http.Response, error) {
	var body *keptBody
	if r.Body != nil && r.ContentLength != 0 {
		body = &keptBody{Reader: r.Body, keep: idempotent(r.Method)}
		r.Body = body
	}
	for {
		var s sending
		res, err := x.ask(r, &s)
		switch {
		case err == nil:
			return res, nil
		case x.again(&s, body):
		case x.another(body, err):
			r.Host = x.hop.Policy.RequestHost(x.hop.Client, x.hop.Backend)
		default:
			return nil, err
		}
	}
}

// another moves the hop to another backend, if the request may go there.
func (x *exchange) another(body *keptBody, err error) bool {
	var dial *upstream.DialError
	if x.hop.Another == nil || !errors.As(err, &dial) || x.in.Context().Err() != nil || body != nil && body.begun.Load() {
		return false
	}
	backend, t, ok := x.hop.Another(err)
	if ok {
		x.hop.Backend, x.hop.TLS = backend, t
	}
	return ok
}
