package upstream

// Connecting to a backend, and which step of it has failed.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// Stage is the step of a dial.
type Stage string

const (
	StageResolve Stage = "resolve" // the host's name
	StageConnect Stage = "connect" // TCP, or the socket
	StageTLS     Stage = "tls"     // the TLS handshake, verification included
)

// DialError says why a connection could not be made. Error names the backend
// and its address: for logs, never for a client.
type DialError struct {
	Backend BackendKey
	Stage   Stage
	Err     error
}

func (e *DialError) Error() string {
	text := fmt.Sprintf("backend %q: %s: ", e.Backend.String(), e.Stage)
	if check := e.Check(); check != "" {
		text += "certificate: " + check + ": "
	}
	return text + e.Err.Error()
}

func (e *DialError) Unwrap() error { return e.Err }

// Timeout reports whether the time was over; otherwise the connection was refused.
func (e *DialError) Timeout() bool {
	if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, os.ErrDeadlineExceeded) {
		return true
	}
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// Check says which check of the backend's certificate failed: "expired",
// "unknown authority", "name mismatch", "not acceptable", or "" when it was
// none of these.
func (e *DialError) Check() string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(e.Err, &authority):
		return "unknown authority"
	case errors.As(e.Err, &host):
		return "name mismatch"
	case errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired:
		return "expired"
	case errors.As(e.Err, &invalid):
		return "not acceptable"
	}
	return ""
}

type connectTimeoutKey struct{}

// WithConnectTimeout bounds every Dial under ctx: resolving, connecting and TLS
// together. Zero or less leaves ctx as it is.
func WithConnectTimeout(ctx context.Context, d time.Duration) context.Context {
	if d <= 0 {
		return ctx
	}
	return context.WithValue(ctx, connectTimeoutKey{}, d)
}

// Dial connects to the backend: TCP or a unix socket, and TLS for wss and
// https. ctx bounds the dial, not the connection. The error is a *DialError.
// The caller closes the connection.
func (b *Backend) Dial(ctx context.Context, t TLS) (net.Conn, error) {
	if d, ok := ctx.Value(connectTimeoutKey{}).(time.Duration); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	began := time.Now()
	var dialer net.Dialer // TCP keepalive and TCP_NODELAY are its defaults
	conn, err := dialer.DialContext(ctx, b.id.network(), b.id.address())
	if err != nil {
		return nil, &DialError{Backend: b.id, Stage: failedStage(err), Err: err}
	}
	if !b.id.Secure() {
		b.Connected(time.Since(began))
		return conn, nil
	}
	secured := tls.Client(tunnel.Under(conn), t.clientConfig(b.keyWithHost().hostname()))
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &DialError{Backend: b.id, Stage: StageTLS, Err: err}
	}
	b.Connected(time.Since(began))
	return secured, nil
}

func failedStage(err error) Stage {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return StageResolve
	}
	return StageConnect
}
