package upstream

// The question that a WebSocket proxy means: a real handshake, then a ping that
// must be ponged. A server whose listener is up but whose event loop hangs
// passes every other probe. The client is gorilla's, not our own: what our own
// reading of RFC 6455 gets wrong, it does not.

import (
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

// WebSocketQuestion is the handshake that is made.
type WebSocketQuestion struct {
	Target      string      // path and query; "" is /
	Host        string      // "" is the backend's own
	Header      http.Header // further header lines: Origin, Authorization
	Subprotocol string      // to offer, and to be taken; "" offers none
}

// ProbeWebSocket makes q's handshake, pings, waits for the pong, and says goodbye.
func ProbeWebSocket(q WebSocketQuestion, t TLS) Probe {
	return func(ctx context.Context, b *Backend) error {
		conn, err := q.shakeHands(ctx, b, t)
		if err != nil {
			return err
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.NetConn().Close() })()
		if deadline, ok := ctx.Deadline(); ok {
			_ = conn.SetReadDeadline(deadline) // ends at ctx all the same
		}
		if err := ping(conn); err != nil {
			return fmt.Errorf("after the handshake: %w", err)
		}
		sayGoodbye(conn)
		return nil
	}
}

const (
	probeGoodbye = time.Second // for the backend to answer our Close and hang up
	probeMessage = 1 << 20     // bytes of a message that comes before the pong
)

// sayGoodbye closes properly: what the backend logs is a normal close, not a
// lost client. How it answers is no part of the verdict.
func sayGoodbye(conn *websocket.Conn) {
	until := time.Now().Add(probeGoodbye)
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = conn.WriteControl(websocket.CloseMessage, goodbye, until)
	_ = conn.SetReadDeadline(until)
	_, _ = io.Copy(io.Discard, io.LimitReader(conn.NetConn(), probeMessage))
}

// shakeHands dials as tunnels do, TLS included; the library sees a plain ws URL.
func (q *WebSocketQuestion) shakeHands(ctx context.Context, b *Backend, t TLS) (*websocket.Conn, error) {
	dialer := websocket.Dialer{
		NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx, t) },
	}
	if q.Subprotocol != "" {
		dialer.Subprotocols = []string{q.Subprotocol}
	}
	header := q.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", probeAgent)
	}
	header.Set("Host", first(q.Host, b.Host()))
	conn, answer, err := dialer.DialContext(ctx, "ws://backend"+first(q.Target, "/"), header)
	switch {
	case errors.Is(err, websocket.ErrBadHandshake) && answer != nil:
		return nil, fmt.Errorf("handshake answered with status %d", answer.StatusCode)
	case err != nil:
		return nil, err
	case q.Subprotocol != "" && conn.Subprotocol() != q.Subprotocol:
		conn.Close()
		return nil, fmt.Errorf("subprotocol %q, wanted %q", conn.Subprotocol(), q.Subprotocol)
	}
	return conn, nil
}

// ping reads until the pong comes; what comes before it is the application's.
func ping(conn *websocket.Conn) error {
	token := rand.Text()
	ponged := false
	conn.SetPongHandler(func(data string) error {
		if data == token {
			ponged = true
			return errPonged
		}
		return nil
	})
	conn.SetReadLimit(probeMessage)
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

// errPonged stops reading at the pong.
var errPonged = errors.New("ponged")
