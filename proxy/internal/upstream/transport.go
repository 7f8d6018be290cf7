package upstream

// Ordinary HTTP to one backend: one http.Transport for each TLS settings, set up
// so that nothing is added, decoded, followed or guessed on the way.

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

const (
	idleConnections = 64               // kept per backend and TLS settings
	idleTimeout     = 90 * time.Second // how long one is kept
	continueTimeout = time.Second      // for a backend's 100 before the body goes anyway
)

// transport is safe for concurrent use.
type transport struct {
	http    *http.Transport
	backend *Backend
	own     bool // a client's own, see Pins; else its connections are shared
	retired atomic.Bool
}

func newSharedTransport(b *Backend, t TLS) *transport {
	return newTransport(b, func(ctx context.Context) (net.Conn, error) {
		conn, err := b.Dial(ctx, t)
		if err != nil {
			return nil, err
		}
		return h1.NewBackendConn(conn, &b.http), nil
	})
}

func newTransport(b *Backend, dial func(context.Context) (net.Conn, error)) *transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &transport{backend: b, http: &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		Protocols:              protocols,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: h1.MaxResponseHead,
	}}
}

// RoundTrip sends the request in clear as far as http.Transport can see: the
// dial speaks TLS itself, so that one error type tells of every failed step.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	onLogin, _ := r.Context().Value(loginKey{}).(func(net.Conn))
	var got atomic.Pointer[use] // the latest: the transport may try again by another
	trace := &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			u := &use{conn: info.Conn.(*h1.BackendConn)}
			u.conn.Begin(h1.RequestInfo{
				Method: r.Method, HasBody: r.Body != nil && r.Body != http.NoBody,
				Shared: !t.own, OnLogin: onLogin, Names: &u.names,
			})
			got.Store(u)
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) { got.Load().conn.End(info.Err) },
	}
	out := r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	out.Close = t.retired.Load() || !t.own && (expectsContinue(r) || h1.LogsIn(r.Header))
	if out.Host == "" {
		out.Host = t.backend.Host()
	}
	out.URL = &url.URL{
		Scheme: "http", Host: "backend", // the transport's one pool of connections
		Opaque: r.URL.Opaque, Path: r.URL.Path, RawPath: r.URL.RawPath,
		RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery,
	}
	res, err := t.http.RoundTrip(out)
	if names, _ := r.Context().Value(answerNamesKey{}).(*spelling.Names); names != nil && err == nil {
		*names = got.Load().names
	}
	return res, err
}

// use is one request's use of a connection. Each has names of its own: a connection
// that the transport has given up may still be read from.
type use struct {
	conn  *h1.BackendConn
	names spelling.Names // the connection's to write until the answer's head is read
}

type answerNamesKey struct{}

// WithAnswerNames has a request's round trip tell names how the backend spelled those of
// its answer's header.
func WithAnswerNames(ctx context.Context, names *spelling.Names) context.Context {
	return context.WithValue(ctx, answerNamesKey{}, names)
}

// expectsContinue says that the client waits with its body until the backend
// wants it. On a connection to be kept http.Transport would fetch the body even
// after a refusal, only to get rid of it; on one that closes it does not.
func expectsContinue(r *http.Request) bool {
	return httpsyntax.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// retire closes idle connections, and those in use once they fall idle.
func (t *transport) retire() {
	t.retired.Store(true)
	t.http.CloseIdleConnections()
}
