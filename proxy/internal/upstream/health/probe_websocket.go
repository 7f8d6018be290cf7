package health

// The probe that means most to a WebSocket proxy: a server whose listener is up but
// whose event loop hangs passes every other one. The client is gorilla's, not our own:
// where we misread RFC 6455, it does not.

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// WebSocket is the probe that makes a handshake, pings, waits for the pong and closes.
type WebSocket struct {
	Target      string      // path and query; "" is /
	Host        string      // "" is the backend's own
	Header      http.Header // further header lines: Origin, Authorization
	Subprotocol string      // offered, and required; "" offers none
}

// Probe is a Probe.
func (w *WebSocket) Probe(ctx context.Context, t Target) error {
	conn, err := w.dial(ctx, t)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.NetConn().Close() })()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetReadDeadline(deadline) // AfterFunc ends a read that this does not
	}
	if err := ping(conn); err != nil {
		return fmt.Errorf("after the handshake: %w", err)
	}
	closeNormally(conn)
	return nil
}

const (
	probeCloseTimeout = time.Second // for the backend's Close and the end of the connection
	maxProbeMessage   = 1 << 20     // bytes of a message that comes before the pong
)

// closeNormally closes so that the backend logs no lost client. The backend's answer is
// no part of the verdict.
func closeNormally(conn *websocket.Conn) {
	until := time.Now().Add(probeCloseTimeout)
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), until)
	_ = conn.SetReadDeadline(until)
	_, _ = io.Copy(io.Discard, io.LimitReader(conn.NetConn(), maxProbeMessage))
}

// dial has the library see a plain ws URL: t speaks TLS below it.
func (w *WebSocket) dial(ctx context.Context, t Target) (*websocket.Conn, error) {
	dialer := websocket.Dialer{
		NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return t.Dial(ctx) },
	}
	if w.Subprotocol != "" {
		dialer.Subprotocols = []string{w.Subprotocol}
	}
	header := probeHeader(w.Header)
	header.Set("Host", cmp.Or(w.Host, t.Host()))
	conn, response, err := dialer.DialContext(ctx, "ws://backend"+cmp.Or(w.Target, "/"), header)
	switch {
	case errors.Is(err, websocket.ErrBadHandshake) && response != nil:
		return nil, fmt.Errorf("handshake answered with status %d", response.StatusCode)
	case err != nil:
		return nil, err
	case w.Subprotocol != "" && conn.Subprotocol() != w.Subprotocol:
		conn.Close()
		return nil, fmt.Errorf("subprotocol %q, wanted %q", conn.Subprotocol(), w.Subprotocol)
	}
	return conn, nil
}

// errPong stops reading at the pong.
var errPong = errors.New("pong")

// ping reads until the pong comes; messages before it are the application's.
func ping(conn *websocket.Conn) error {
	token := rand.Text()
	ponged := false
	conn.SetPongHandler(func(data string) error {
		if data == token {
			ponged = true
			return errPong
		}
		return nil
	})
	conn.SetReadLimit(maxProbeMessage)
	if err := conn.WriteControl(websocket.PingMessage, []byte(token), time.Time{}); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	for {
		if _, _, err := conn.NextReader(); err != nil {
			if ponged {
				return nil
			}
			return fmt.Errorf("waiting for the pong: %w", err)
		}
	}
}
