package forward

// Another backend for a request that found no connection to the first: it has
// gone nowhere yet, so it may go anywhere.

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// askAround asks the hop's backend, and others as the hop allows.
func (x *exchange) askAround(r *http.Request) (*http.Response, error) {
	if x.hop.Another == nil {
		return x.ask(r)
	}
	var body *unread
	if r.Body != nil && r.ContentLength != 0 {
		body = &unread{ReadCloser: r.Body}
		r.Body = body
	}
	for {
		res, err := x.ask(r)
		if !x.another(body, err) {
			return res, err
		}
		r.Host = x.hop.Policy.RequestHost(x.hop.Client, x.hop.Backend)
	}
}

// another moves the hop to another backend, if the request may go there.
func (x *exchange) another(body *unread, err error) bool {
	var dial *upstream.DialError
	if !errors.As(err, &dial) || x.in.Context().Err() != nil || body != nil && body.begun.Load() {
		return false
	}
	backend, t, ok := x.hop.Another(err)
	if ok {
		x.hop.Backend, x.hop.TLS = backend, t
	}
	return ok
}

// unread is a body that notes whether a Read has been tried. Closing it
// does nothing: the transport closes the body of a request for which it found no
// connection, and ReverseProxy closes it in the end.
type unread struct {
	io.ReadCloser
	begun atomic.Bool
}

func (u *unread) Read(p []byte) (int, error) {
	u.begun.Store(true)
	return u.ReadCloser.Read(p)
}

func (u *unread) Close() error { return nil }
