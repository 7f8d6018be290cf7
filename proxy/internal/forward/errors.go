package forward

// What went wrong, and the status that says so. Shared with the tunnel's
// handshake, so that both answer alike.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// StatusClientGone is for logs: the client left before it was answered. Nothing
// is sent. (The number is nginx's.)
const StatusClientGone = 499

// ErrClientGone is a client that left, or broke off its request's body.
var ErrClientGone = errors.New("client is gone")

// BadRequestError is a request that cannot be forwarded as it is.
type BadRequestError struct{ Reason string }

func (e *BadRequestError) Error() string { return e.Reason }

// MethodError is a method that is never forwarded.
type MethodError struct{ Method string }

func (e *MethodError) Error() string { return fmt.Sprintf("method %q: not forwarded", e.Method) }

// BodyTooLargeError is a request body over the route's limit.
type BodyTooLargeError struct{ Limit int64 } // bytes

func (e *BodyTooLargeError) Error() string {
	return fmt.Sprintf("request body over %d bytes", e.Limit)
}

// LoginError is a backend that authenticates connections (NTLM, Negotiate), where
// the client's connection cannot have one of its own.
type LoginError struct{ Why string }

func (e *LoginError) Error() string {
	return "the backend authenticates connections (NTLM, Negotiate): " + e.Why
}

// BodyTimeoutError is a client that was silent for too long within its body.
type BodyTimeoutError struct{}

func (*BodyTimeoutError) Error() string { return "request body: silent for too long" }

// ResponseTimeoutError is a backend that was silent for too long.
type ResponseTimeoutError struct{ After time.Duration }

func (e *ResponseTimeoutError) Error() string {
	return fmt.Sprintf("no answer of the backend within %v", e.After)
}

// Timeout is true, as net.Error has it.
func (e *ResponseTimeoutError) Timeout() bool { return true }

// Status is the answer to a client for an error of this package or of
// upstream's: 400, 405, 408, 413, 499 (no answer at all), 504 for whatever timed out, and
// 502 for the rest.
func Status(err error) int {
	var (
		bad     *BadRequestError
		method  *MethodError
		large   *BodyTooLargeError
		silent  *BodyTimeoutError
		dial    *upstream.DialError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest
	case errors.As(err, &method):
		return http.StatusMethodNotAllowed
	case errors.As(err, &silent):
		return http.StatusRequestTimeout
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrClientGone), errors.Is(err, context.Canceled):
		return StatusClientGone
	case errors.As(err, &dial) && dial.Timeout():
		return http.StatusGatewayTimeout
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}
