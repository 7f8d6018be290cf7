package e2e

// How tunnels end: with a Close frame of either side, without one, and with peers that
// never come to an end. The log says which, and the places of all are free again.

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// feed is the script of a WebSocket server that only writes, a frame at every beat,
// and notices that its peer is gone by its own failing write.
func feed(beat time.Duration, frame string) func(net.Conn) {
	return func(conn net.Conn) {
		head, err := proxytest.ReadHead(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, proxytest.Switching(proxytest.HeaderValue(head, "Sec-WebSocket-Key"))); err != nil {
			return
		}
		for err == nil {
			_, err = io.WriteString(conn, frame)
			time.Sleep(beat)
		}
	}
}

// entrance is a way into a proxy whose routes are written behind its listeners.
type entrance struct {
	name, listeners string
	dial            func(t *testing.T, p *proxy) (conn net.Conn, beneath *net.TCPConn)
}

func entrances(t *testing.T) []entrance {
	certificate := proxytest.NewAuthority(t).Issue([]string{"127.0.0.1"})
	plain := func(t *testing.T, p *proxy) *net.TCPConn {
		conn := proxytest.Dial(t, p.address("web")).Conn.(*net.TCPConn)
		conn.SetReadBuffer(8 << 10)
		return conn
	}
	return []entrance{
		{"plain", web, func(t *testing.T, p *proxy) (net.Conn, *net.TCPConn) {
			conn := plain(t, p)
			return conn, conn
		}},
		{"tls", overTLS("", certificate), func(t *testing.T, p *proxy) (net.Conn, *net.TCPConn) {
			beneath := plain(t, p)
			return tls.Client(beneath, &tls.Config{InsecureSkipVerify: true}), beneath
		}},
	}
}

// TestClientGone: a client of a server that only writes goes, in every way. Where a
// route has room for one tunnel, the next client can come.
func TestClientGone(t *testing.T) {
	t.Parallel()
	b := proxytest.NewRawBackend(t, feed(5*time.Millisecond, "\x82\x7e\x02\x58"+string(make([]byte, 600))))
	flood := proxytest.NewRawBackend(t, feed(0, "\x82\x7e\xea\x60"+string(make([]byte, 60000))))
	for _, in := range entrances(t) {
		t.Run(in.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, in.listeners+fill(`
defaults: {limits: {tunnels: 1}, drain: {close_timeout: 300ms}}
routes:
  feed:   {match: {path: /feed}, to: "$feed"}
  flood:  {match: {path: /flood}, to: "$flood"}
  redial: {match: {path: /redial}, to: "$feed", on_backend_loss: redial}
`, map[string]string{"feed": "ws://" + b.Addr, "flood": "ws://" + flood.Addr}))
			for _, route := range []string{"feed", "flood", "redial"} {
				for name, goes := range map[string]func(conn net.Conn, beneath *net.TCPConn){
					"closes":       func(conn net.Conn, _ *net.TCPConn) { conn.Close() },
					"is reset":     func(_ net.Conn, beneath *net.TCPConn) { beneath.SetLinger(0); beneath.Close() },
					"half-closes":  func(conn net.Conn, beneath *net.TCPConn) { halfClose(conn); beneath.Close() },
					"says nothing": func(_ net.Conn, beneath *net.TCPConn) { beneath.Close() },
				} {
					m := p.log.mark()
					conn, beneath := in.dial(t, p)
					raw := proxytest.RawOver(t, conn)
					raw.Send(proxytest.Handshake{Target: "/" + route}.String())
					if res, _ := raw.Response("GET"); res.StatusCode != 101 {
						t.Fatalf("%s: the client before this one %s, and the next is answered %d", route, name, res.StatusCode)
					}
					if _, err := raw.Reader.ReadByte(); err != nil {
						t.Fatal(err)
					}
					goes(conn, beneath)
					p.waitLogAfter(m, "tunnel closed", fields{"route": route, "closed_by": "client", "reason": "lost"})
				}
			}
		})
	}
}

func halfClose(conn net.Conn) { conn.(interface{ CloseWrite() error }).CloseWrite() }

// TestHalfClosedClientReads: one that has half-closed and reads on keeps its tunnel.
func TestHalfClosedClientReads(t *testing.T) {
	t.Parallel()
	b := proxytest.NewRawBackend(t, feed(5*time.Millisecond, fromBackend(0x82, "tick")))
	for _, in := range entrances(t) {
		t.Run(in.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, in.listeners+`routes: {feed: {to: "ws://`+b.Addr+`", keepalive: {ping: 20ms, pong: 500ms}}}`+"\n")
			conn, _ := in.dial(t, p)
			raw := proxytest.RawOver(t, conn)
			raw.Send(proxytest.Handshake{}.String())
			raw.Response("GET")
			raw.CloseWrite()
			for n := 0; n < 200; { // a second, which is many pings
				switch f := readFrame(t, raw.Reader); f.first {
				case 0x82:
					n++
				case opPing: // from before its end was known
				default:
					t.Fatalf("after %d messages the client got %v", n, f)
				}
			}
		})
	}
}

// TestCloseWithoutEnd: a Close frame that is not followed by the end.
func TestCloseWithoutEnd(t *testing.T) {
	t.Parallel()
	silent := newBare(t)
	streams := proxytest.NewRawBackend(t, feed(5*time.Millisecond, fromBackend(0x82, "more")))
	p := start(t, web+fill(`
defaults: {drain: {close_timeout: 200ms}}
routes:
  silent:  {match: {path: /silent}, to: "$silent"}
  streams: {match: {path: /streams}, to: "$streams"}
`, map[string]string{"silent": silent.url(), "streams": "ws://" + streams.Addr}))

	client, _ := silent.open(t, p, "/silent")
	client.Send(fromClient(opClose, "\x03\xe8"))
	go func() { // pongs for ever
		for {
			if _, err := io.WriteString(client.Conn, fromClient(opPong, "")); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	p.waitLog("tunnel closed", fields{"route": "silent", "closed_by": "client", "reason": "closed"})

	reader := connect(t, p)
	reader.Send(proxytest.Handshake{Target: "/streams"}.String())
	reader.Response("GET")
	reader.Send(fromClient(opClose, "\x03\xe8"))
	go io.Copy(io.Discard, reader.Conn)
	p.waitLog("tunnel closed", fields{"route": "streams", "closed_by": "client", "reason": "closed"})
}

// TestWhoClosed: a Close frame of either side's own passes with its code and
// reason, and the log says whose it was.
func TestWhoClosed(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	p := start(t, web+`routes: {r: {to: "`+b.url()+`"}}`+"\n")
	for name, tt := range map[string]struct {
		payload    string
		code       int
		text       string
		byBackend  bool
		end        bool // the connection ends without a Close frame
		reason     string
		clientSees int // the code that a client reads, if any
	}{
		"client, 1000":     {"\x03\xe8", 1000, "", false, false, "closed", 0},
		"client, reason":   {"\x0f\xa0bye", 4000, "bye", false, false, "closed", 0},
		"client, no code":  {"", 1005, "", false, false, "closed", 0},
		"client, gone":     {"", 1006, "", false, true, "lost", 0},
		"backend, 1011":    {"\x03\xf3oops", 1011, "oops", true, false, "closed", 1011},
		"backend, its own": {"\x13\x87", 4999, "", true, false, "closed", 4999},
		"backend, no code": {"", 1005, "", true, false, "closed", 1005},
		"backend, gone":    {"", 1012, "backend lost", true, true, "lost", 1012},
	} {
		t.Run(name, func(t *testing.T) {
			m := p.log.mark()
			client, backend := b.open(t, p, "/")
			from, to, make, answer := client, backend, fromClient, fromBackend
			by := "client"
			if tt.byBackend {
				from, to, make, answer, by = backend, client, fromBackend, fromClient, "backend"
			}
			if tt.end {
				from.Close()
			} else {
				from.Send(make(opClose, tt.payload))
			}
			if tt.end && !tt.byBackend {
				to.Rest() // a backend learns of it by the end of file
			} else {
				f := readClose(t, "other", to.Reader, false)
				if tt.clientSees != 0 && f.code() != tt.clientSees || tt.clientSees == 0 && f.payload != tt.payload {
					t.Errorf("the other side read %v", f)
				}
				to.Send(answer(opClose, f.payload))
			}
			to.Close()
			from.Close()
			closed := p.waitLogAfter(m, "tunnel closed", nil)
			want := fields{"closed_by": by, "code": tt.code, "reason": tt.reason}
			if !want.match(closed) || closed.text("text") != tt.text {
				t.Errorf("logged %v, wanted %v and the text %q", closed, want, tt.text)
			}
		})
	}
}
