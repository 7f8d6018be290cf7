package handler

// Clients that stop sending a body or taking an answer: timeouts.body and timeouts.send.

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
)

var errSendSilent = errors.New("the client has taken nothing of the answer for too long")

// limitSilence applies the route's timeouts: on HTTP/1.1 to the gate, which sees the bytes;
// on HTTP/2 to each stream.
func (x *requestCtx) limitSilence() {
	body, send := x.rt.Policy.BodyTimeout, x.rt.Policy.SendTimeout
	if x.gate != nil {
		x.gate.LimitSilence(body, send)
		return
	}
	if x.r.ProtoMajor < 2 || x.w.send != nil {
		return
	}
	control := http.NewResponseController(x.w.ResponseWriter)
	if body > 0 && x.r.ContentLength != 0 {
		x.r.Body = &streamBody{ReadCloser: x.r.Body, control: control, silence: body}
	}
	if send > 0 {
		conn := listen.HTTP2ConnOf(x.r.Context())
		x.w.send = h1.NewSendWatch(send, func() {
			_ = control.SetWriteDeadline(listen.ALongTimeAgo) // resets the stream
			if conn != nil {                                  // and where its connection takes nothing either, that does not come through
				time.AfterFunc(time.Second, func() { cutIfBlocked(x.w.send, conn.Conn) })
			}
		})
	}
}

func cutIfBlocked(send *h1.SendWatch, conn net.Conn) {
	if send.InWrite() {
		h1.Cut(conn)
	}
}

func (x *requestCtx) sendTimedOut() bool {
	if x.gate != nil {
		return x.gate.SendTimedOut()
	}
	return x.w.send != nil && x.w.send.TimedOut()
}

// streamBody is a request's body on HTTP/2.
type streamBody struct {
	io.ReadCloser
	control *http.ResponseController
	silence time.Duration
	late    bool
}

func (b *streamBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.silence))
	n, err := b.ReadCloser.Read(p)
	b.late = errors.Is(err, os.ErrDeadlineExceeded)
	if err == nil {
		_ = b.control.SetReadDeadline(time.Time{}) // no time limit while the body is not read
	}
	return n, err
}

// endEcho marks an answer as incomplete if the request's body was cut short.
func (x *requestCtx) endEcho() {
	status := 0
	if x.gate != nil && x.gate.Violation() != nil {
		status = forward.StatusClientGone // fail knows better
	} else if b, ok := x.r.Body.(*streamBody); ok && b.late {
		status = http.StatusRequestTimeout
	}
	switch {
	case status == 0:
	case x.w.status == 0:
		x.fail(status, &forward.BodyTimeoutError{})
	default:
		x.err = errors.New("the request's body broke off")
		_ = x.w.FlushError() // an answer of zero bytes would be asked for again
		panic(http.ErrAbortHandler)
	}
}

// countReset closes the connection of a client that does nothing but reset requests.
func (x *requestCtx) countReset() {
	if x.r.ProtoMajor < 2 {
		return
	}
	conn := listen.HTTP2ConnOf(x.r.Context())
	switch {
	case conn == nil:
	case x.r.Context().Err() == nil:
		conn.CountAnswered()
	case conn.CountReset():
		x.h.logLimiter.log(x.h.Log, slog.LevelInfo, logKind{"connection closed", x.listenerName()},
			slog.String("listener", x.listenerName()), slog.String("client", clientText(x.peer.Addr())), slog.String("error", "too many requests were reset"))
		h1.Cut(conn.Conn)
	}
}
