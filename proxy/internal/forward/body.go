package forward

// The client's body on its way to the backend: limited, watched, and with its
// trailers.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// requestBody is read by the transport. It tells a client that breaks off from
// a backend that does, and does not count a slow client as a silent backend.
type requestBody struct {
	io.ReadCloser
	x *exchange
}

func newRequestBody(x *exchange) *requestBody {
	body := x.in.Body
	if limit := x.hop.Policy.BodyBytes; limit > 0 {
		body = http.MaxBytesReader(x.w, body, limit)
	}
	x.trailer = announced(x.in.Trailer)
	return &requestBody{ReadCloser: body, x: x}
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.x.clock.stop()
	n, err := b.ReadCloser.Read(p)
	b.x.clock.start()
	if err == io.EOF {
		b.fillTrailer()
	} else if err != nil {
		err = clientFault(err)
		b.x.bodyErr.Store(&err)
	}
	return n, err
}

func clientFault(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &BodyTooLargeError{Limit: large.Limit}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &BodyTimeoutError{}
	}
	return fmt.Errorf("request body: %w: %w", ErrClientGone, err)
}

// announced is the trailer to declare to the backend: what the client declared,
// without names that matter in a header (RFC 9110, section 6.5.1: a backend may merge
// the two).
func announced(trailer http.Header) http.Header {
	var out http.Header
	for name := range trailer {
		if protected(name) || listed(hopByHop, name) {
			continue
		}
		if out == nil {
			out = http.Header{}
		}
		out[name] = nil
	}
	return out
}

// fillTrailer runs on the goroutine that reads the body, which is the one that
// writes the trailers next.
func (b *requestBody) fillTrailer() {
	for name := range b.x.trailer {
		b.x.trailer[name] = b.x.in.Trailer[name]
	}
}
