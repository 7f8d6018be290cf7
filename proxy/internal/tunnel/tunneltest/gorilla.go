package tunneltest

// The independent peer: gorilla/websocket at both ends, with a handshake that
// goes through by hand.

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

var independent = []scenario{
	{"gorilla echoes", func(t *testing.T, e env) { gorillaEchoes(t, e, false) }},
	{"gorilla echoes, compressed", func(t *testing.T, e env) { gorillaEchoes(t, e, true) }},
	{"gorilla is drained", gorillaDrained},
	{"gorilla closes", gorillaCloses},
	{"gorilla answers pings", gorillaAnswersPings},
}

// dial opens a tunnel between a gorilla client, which it returns, and a gorilla
// server that serve is given. What serve returns comes out of the channel.
func (e env) dial(t *testing.T, compress bool, change func(*tunnel.Spec), serve func(*websocket.Conn) error) (*websocket.Conn, *rig, chan error) {
	t.Helper()
	r := &rig{t: t, done: make(chan tunnel.Summary, 8)}
	var clientOut, backendOut net.Conn
	r.inside[0], clientOut = e.net.pair(t)
	r.inside[1], backendOut = e.net.pair(t)
	served := make(chan error, 1)
	go func() { served <- serveGorilla(backendOut, compress, serve) }()
	opened := make(chan error, 1)
	go func() {
		spec := tunnel.Spec{WebSocket: true, Limits: tunnel.Limits{CloseTimeout: patience}}
		if compress {
			spec.RSV = 0x40
		}
		spec.Done = func(s tunnel.Summary) { r.done <- s }
		if change != nil {
			change(&spec)
		}
		err := shakeHands(&spec, r.inside)
		if err == nil {
			r.tunnel = e.engine.Open(spec)
		}
		opened <- err
	}()
	d := websocket.Dialer{
		NetDial:           func(string, string) (net.Conn, error) { return clientOut, nil },
		EnableCompression: compress,
	}
	c, _, err := d.Dial((&url.URL{Scheme: "ws", Host: "tunnel.test", Path: "/"}).String(), nil)
	if err := errors.Join(err, <-opened); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.tunnel.Cut(tunnel.ReasonShutdown) })
	deadline := time.Now().Add(patience)
	c.SetReadDeadline(deadline)
	c.SetWriteDeadline(deadline)
	return c, r, served
}

// shakeHands carries the request and the answer across, and leaves what was
// read past them to the tunnel.
func shakeHands(s *tunnel.Spec, inside [2]net.Conn) error {
	client, backend := bufio.NewReader(inside[0]), bufio.NewReader(inside[1])
	req, err := http.ReadRequest(client)
	if err != nil {
		return err
	}
	if err := req.Write(inside[1]); err != nil {
		return err
	}
	res, err := http.ReadResponse(backend, req)
	if err != nil {
		return err
	}
	if err := res.Write(inside[0]); err != nil {
		return err
	}
	s.Client = endpoint(inside[0], client)
	s.Backend = endpoint(inside[1], backend)
	return nil
}

func endpoint(c net.Conn, r *bufio.Reader) tunnel.Endpoint {
	early, _ := r.Peek(r.Buffered())
	return tunnel.Endpoint{Conn: c, Early: early}
}

// serveGorilla upgrades the one request that comes on c.
func serveGorilla(c net.Conn, compress bool, serve func(*websocket.Conn) error) error {
	rw := bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c))
	req, err := http.ReadRequest(rw.Reader)
	if err != nil {
		return err
	}
	up := websocket.Upgrader{EnableCompression: compress}
	ws, err := up.Upgrade(&hijacked{c, rw, http.Header{}}, req, nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	deadline := time.Now().Add(patience)
	ws.SetReadDeadline(deadline)
	ws.SetWriteDeadline(deadline)
	return serve(ws)
}

// hijacked is the little of a server that an Upgrader needs.
type hijacked struct {
	conn   net.Conn
	rw     *bufio.ReadWriter
	header http.Header
}

func (h *hijacked) Header() http.Header         { return h.header }
func (h *hijacked) WriteHeader(int)             {}
func (h *hijacked) Write(b []byte) (int, error) { return h.conn.Write(b) }
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, h.rw, nil
}

// echo is a server that sends back what comes, until there is an error.
func echo(ws *websocket.Conn) error {
	for {
		kind, message, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if err := ws.WriteMessage(kind, message); err != nil {
			return err
		}
	}
}

func gorillaEchoes(t *testing.T, e env, compress bool) {
	c, r, served := e.dial(t, compress, func(s *tunnel.Spec) { s.Limits.Strict = true }, echo)
	defer c.Close()
	sizes := []int{0, 1, 125, 126, 4096, 65535, 65536, 1 << 20}
	for _, n := range sizes {
		message := []byte(strings.Repeat("tunnel", n/6+1)[:n])
		if err := c.WriteMessage(websocket.BinaryMessage, message); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%d bytes came back as %d, %v", n, len(got), err)
		}
	}
	c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "done"), time.Now().Add(patience))
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, 4000) {
		t.Errorf("the client read %v, want a close 4000", err)
	}
	if err := <-served; !websocket.IsCloseError(err, 4000) {
		t.Errorf("the server read %v, want a close 4000", err)
	}
	c.Close()
	s := r.ends(tunnel.ByClient, tunnel.ReasonClosed, 4000, "done")
	if n := int64(len(sizes)); s.Counts.FromClient.Messages != n || s.Counts.FromBackend.Messages != n {
		t.Errorf("counted %+v, want %d messages each way", s.Counts, n)
	}
	if small := s.Counts.FromClient.Bytes < 1<<18; small != compress {
		t.Errorf("%d bytes with compression %v", s.Counts.FromClient.Bytes, compress)
	}
}

func gorillaDrained(t *testing.T, e env) {
	c, r, served := e.dial(t, false, nil, echo)
	defer c.Close()
	r.tunnel.Close(1012, "come back", tunnel.ReasonDrain)
	_, _, err := c.ReadMessage()
	for name, err := range map[string]error{"client": err, "server": <-served} {
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != 1012 || closed.Text != "come back" {
			t.Errorf("the %s read %v, want a close 1012", name, err)
		}
	}
	c.Close()
	r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "come back")
}

func gorillaCloses(t *testing.T, e env) {
	c, r, served := e.dial(t, false, nil, func(ws *websocket.Conn) error {
		return ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
	})
	defer c.Close()
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, 1000) {
		t.Errorf("the client read %v, want a close 1000", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	c.Close()
	r.ends(tunnel.ByBackend, tunnel.ReasonClosed, 1000, "")
}

// gorillaAnswersPings reads until the client has answered three pings, as
// gorilla's default handler does, without the backend seeing one of them.
func gorillaAnswersPings(t *testing.T, e env) {
	c, r, served := e.dial(t, false, func(s *tunnel.Spec) { s.Limits.PingClient, s.Limits.Pong = soon/5, patience },
		func(ws *websocket.Conn) error {
			ws.SetPongHandler(func(string) error { return errors.New("a pong came through") })
			return echo(ws)
		})
	defer c.Close()
	answer, pings := c.PingHandler(), 0
	c.SetPingHandler(func(payload string) error {
		if pings++; pings == 3 {
			return errors.Join(answer(payload), c.WriteMessage(websocket.TextMessage, []byte("enough")))
		}
		return answer(payload)
	})
	if _, got, err := c.ReadMessage(); err != nil || string(got) != "enough" {
		t.Fatalf("read %q, %v", got, err)
	}
	r.tunnel.Close(1001, "", tunnel.ReasonDrain)
	if err := <-served; !websocket.IsCloseError(err, 1001) {
		t.Errorf("the server read %v, want a close 1001", err)
	}
	c.ReadMessage()
	c.Close()
	r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1001, "")
}
