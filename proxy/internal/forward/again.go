package forward

// A kept connection that the backend closes while a request is on its way by it. The
// request is sent again, by another connection, where that is safe: the method is
// idempotent (RFC 9110, section 9.2.2), no byte of an answer has come, and what was read of
// the body is still there. net/http does so for GET, HEAD, OPTIONS and TRACE without a body;
// PUT and DELETE are as idempotent, and a body that is small may be kept.

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// maxKept bounds what is kept of a body, in bytes.
const maxKept = 64 << 10

// sending is what one ask has come to, as httptrace tells it.
type sending struct {
	reused   atomic.Bool // it went by a connection that had been used before
	answered atomic.Bool // a byte of an answer came
}

func (s *sending) trace(t *httptrace.ClientTrace) {
	gotConn := t.GotConn
	t.GotConn = func(info httptrace.GotConnInfo) {
		s.reused.Store(info.Reused)
		s.answered.Store(false)
		gotConn(info)
	}
	t.GotFirstResponseByte = func() { s.answered.Store(true) }
}

// again reports whether the request may be sent again after err, and makes its body ready.
func (x *exchange) again(s *sending, body *keptBody) bool {
	if !s.reused.Load() || s.answered.Load() || !idempotent(x.in.Method) ||
		x.ctx.Err() != nil || x.bodyErr.Load() != nil {
		return false
	}
	return body == nil || body.rewind()
}

func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// keptBody is a body that can be read again from its beginning, as long as no more than
// maxKept bytes of it were read. Closing it does nothing: the transport closes the body of a
// request that it could not send, and ReverseProxy closes it in the end.
type keptBody struct {
	io.Reader
	keep  bool // set for methods that are sent again
	begun atomic.Bool

	kept  []byte
	over  bool          // more was read than is kept
	again *bytes.Reader // what is to be read again first; nil the first time
}

func (b *keptBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	if b.again != nil && b.again.Len() > 0 {
		return b.again.Read(p)
	}
	n, err := b.Reader.Read(p)
	switch {
	case !b.keep || b.over:
	case len(b.kept)+n > maxKept:
		b.kept, b.over = nil, true
	default:
		b.kept = append(b.kept, p[:n]...)
	}
	return n, err
}

// rewind reports whether the body can be read from its beginning. The transport reads no
// more of it once it has returned an error.
func (b *keptBody) rewind() bool {
	if b.over || b.begun.Load() && !b.keep {
		return false
	}
	b.again = bytes.NewReader(b.kept)
	return true
}

func (*keptBody) Close() error { return nil }
