package forward

// One exchange: httputil.ReverseProxy with its hooks filled in. It brings the
// copying, trailers, interim answers and the client's cancellation; everything
// that is said to either side is decided here.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// flushDelay is how long a part of an answer of known length may wait for more
// to go with it; ReverseProxy passes on event streams and answers of unknown
// length at once. Such answers stream too (long polling, slow reports), but mostly
// they come in one piece: flushing each part at once costs small ones 24 % more
// writes and 17 % more CPU, waiting so long for the rest neither.
const flushDelay = time.Millisecond

// exchange lives for one call of Forward. The transport may read the request's
// body from another goroutine, and even after Forward has returned; bodyErr is
// all that this goroutine writes.
type exchange struct {
	forwarder *Forwarder
	w         http.ResponseWriter
	in        *http.Request // as it came
	header    http.Header   // for the backend
	hop       Hop

	ctx      context.Context
	clock    *silence
	trailer  http.Header           // for the backend, filled at the body's end
	late     lateWriter            // what ReverseProxy writes to
	upgrade  []string              // the backend's answer's, which is hop-by-hop
	bodyErr  atomic.Pointer[error] // why the client's body could not be read to its end
	answered error                 // why the backend's body could not
}

// refuse says what may not be forwarded at all, before anything is dialled.
func (x *exchange) refuse() error {
	limit := x.hop.Policy.BodyBytes
	switch {
	case x.in.Method == http.MethodConnect:
		return &MethodError{Method: x.in.Method}
	case !strings.HasPrefix(x.hop.Path, "/") || unwritable(x.hop.Path) || unwritable(x.hop.Query):
		return &BadRequestError{Reason: fmt.Sprintf("target %.80q: want a path and query without spaces or control bytes", x.hop.Path)}
	case limit > 0 && x.in.ContentLength > limit:
		return &BodyTooLargeError{Limit: limit}
	}
	return nil
}

// unwritable reports that a text would not stay within the request line. HTTP/2
// lets a client send spaces in a query, and net/http would write them.
func unwritable(target string) bool {
	return strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

func (x *exchange) run() {
	policy := x.hop.Policy
	ctx, cancel := context.WithCancelCause(x.in.Context())
	defer cancel(nil)
	x.clock = newSilence(policy.ResponseTimeout, cancel)
	defer x.clock.end()
	x.ctx = withConnectTimeout(ctx, policy)
	x.header = policy.RequestHeader(x.in, x.hop.Client, x.hop.ID)
	defer x.explain()
	if x.hop.NoLogin != nil && h1.LogsIn(x.header) {
		x.fail(x.hop.NoLogin)
		return
	}

	proxy := httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		Transport:      x,
		ModifyResponse: x.modify,
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { x.fail(x.reason(err)) },
		FlushInterval:  cmp.Or(x.forwarder.flushDelay, flushDelay),
		BufferPool:     copyBuffers{},
		ErrorLog:       silent,
	}
	proxy.ServeHTTP(&x.late, x.request())
	_ = x.late.release() // an error is of a client that has gone
}

// request is the client's with the header that is meant for the backend:
// ReverseProxy must not see an Upgrade, or it would ask for one.
func (x *exchange) request() *http.Request {
	r := x.in.WithContext(x.ctx)
	r.Header = x.header
	if r.ContentLength != 0 && r.Body != nil {
		x.answerWhileReading()
		r.Body = newRequestBody(x)
	}
	return r
}

// answerWhileReading lets a backend answer before it has read all of the body.
// Otherwise net/http throws away up to 256 KiB of the body when the answer's head
// is written, and of a chunked one the backend gets the rest with a hole in it.
func (x *exchange) answerWhileReading() {
	_ = http.NewResponseController(x.w).EnableFullDuplex() // fails where it is so anyway
}

// rewrite sets what ReverseProxy may have cleaned: header and query go out as
// they were decided.
func (x *exchange) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Header = x.header
	pr.Out.Host = x.hop.Policy.RequestHost(x.hop.Client, x.hop.Backend)
	pr.Out.URL = target(x.hop.Path, x.hop.Query)
	pr.Out.Trailer = x.trailer
}

// target is a URL whose path net/http writes unchanged. Opaque does so for
// all but a leading double slash, which it would take for an authority; RawPath
// does so for what is valid in a path.
func target(path, query string) *url.URL {
	u := &url.URL{Scheme: "http", Host: "backend", RawQuery: strings.TrimPrefix(query, "?"), ForceQuery: query == "?"}
	if strings.HasPrefix(path, "//") {
		u.RawPath = path
		u.Path, _ = url.PathUnescape(path)
	} else {
		u.Opaque = path
	}
	return u
}

// RoundTrip leaves nothing of Connection in the answer: ReverseProxy would
// remove whatever it names, a Set-Cookie too.
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := x.hop.Answer, error(nil)
	if res == nil {
		res, err = x.askAround(r)
	}
	if err == nil && x.hop.NoLogin != nil && h1.AsksLogin(res.Header) {
		res.Body.Close()
		return nil, x.hop.NoLogin
	}
	if err == nil {
		x.upgrade = res.Header["Upgrade"]
		strip(res.Header)
	}
	return res, err
}

// ask watches over the backend's silence from the moment that there is a
// connection; interim answers break it too, which is what 102 is for.
func (x *exchange) ask(r *http.Request, s *sending) (*http.Response, error) {
	trace := &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { x.clock.start() },
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			x.clock.start()
			return nil
		},
	}
	s.trace(trace)
	ctx := httptrace.WithClientTrace(r.Context(), trace)
	x.hop.Policy.SpellRequest(r.Header, x.hop.Names)
	ctx = upstream.WithAnswerNames(ctx, x.hop.AnswerNames)
	res, err := x.hop.Pins.RoundTrip(x.hop.Backend, x.hop.TLS, r.WithContext(ctx))
	x.clock.end()
	return res, err
}

func (x *exchange) modify(res *http.Response) error {
	if res.StatusCode == http.StatusSwitchingProtocols {
		return errors.New("answer of the backend: status 101 to a request that asked for no upgrade")
	}
	policy := x.hop.Policy
	if err := x.replaceBody(res); err != nil {
		return err
	}
	policy.Rewriting.apply(res.Header, x.hop)
	policy.ResponseHeader(res.Header)
	x.keepUpgrade(res)
	if x.hop.Finish != nil {
		x.hop.Finish(res.Header)
	}
	if _, ok := res.Header["Content-Type"]; !ok {
		x.w.Header()["Content-Type"] = nil // net/http would guess one
	}
	res.Body = &responseBody{ReadCloser: res.Body, failed: &x.answered}
	x.hop.Outcome.Status, x.hop.Outcome.Answered = res.StatusCode, true
	return nil
}

// keepUpgrade puts back what a 426 must say (RFC 9110, section 15.5.22): which
// protocol the client is to ask for. HTTP/2 knows no such header (RFC 9113,
// section 8.2.2).
func (x *exchange) keepUpgrade(res *http.Response) {
	if res.StatusCode == http.StatusUpgradeRequired && len(x.upgrade) > 0 && x.in.ProtoMajor == 1 {
		res.Header["Upgrade"] = x.upgrade
		res.Header.Set("Connection", "Upgrade")
	}
}

func (x *exchange) fail(err error) {
	if x.late.ResponseWriter != nil {
		x.late.drop()
	}
	*x.hop.AnswerNames = nil
	status := Status(err)
	*x.hop.Outcome = Outcome{Status: status, Err: err}
	if x.forwarder.Fail != nil {
		x.forwarder.Fail(x.w, x.in, status, err)
	} else if status != StatusClientGone {
		http.Error(x.w, http.StatusText(status), status)
	}
}

// reason looks behind the transport's error, which is only how it noticed.
func (x *exchange) reason(err error) error {
	if bodyErr := x.bodyErr.Load(); bodyErr != nil {
		return *bodyErr
	}
	var timeout *ResponseTimeoutError
	if errors.As(context.Cause(x.ctx), &timeout) {
		return timeout
	}
	if x.in.Context().Err() != nil {
		return fmt.Errorf("%w: %w", ErrClientGone, err)
	}
	return err
}

// explain is deferred: where the answer broke off, the outcome says by whose fault.
// If nothing of it is out, it is an error like any other; else the client gets what
// has come, and ReverseProxy's panic goes on.
func (x *exchange) explain() {
	panicked := recover()
	outcome := x.hop.Outcome
	switch {
	case !outcome.Answered:
	case x.answered != nil:
		outcome.Err = x.reason(x.answered)
		if panicked != http.ErrAbortHandler || Status(outcome.Err) == StatusClientGone {
			break
		}
		if x.late.drop() {
			x.fail(outcome.Err)
			return
		}
		_ = x.late.FlushError() // what has come is the client's
	case panicked != nil:
		outcome.Err = ErrClientGone // it was the write that failed
	}
	if panicked != nil {
		panic(panicked)
	}
}

// responseBody remembers why it could not be read to its end.
type responseBody struct {
	io.ReadCloser
	failed *error
}

func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		*b.failed = fmt.Errorf("answer of the backend broke off: %w", err)
	}
	return n, err
}

var silent = log.New(io.Discard, "", 0) // Outcome and Fail say it all

// copyBuffers lends 32 KiB to a copy; no slice header is allocated for it.
type copyBuffers struct{}

const copyBytes = 32 << 10

var copyPool = sync.Pool{New: func() any { return new([copyBytes]byte) }}

func (copyBuffers) Get() []byte { return copyPool.Get().(*[copyBytes]byte)[:] }

func (copyBuffers) Put(b []byte) { copyPool.Put((*[copyBytes]byte)(b)) }
