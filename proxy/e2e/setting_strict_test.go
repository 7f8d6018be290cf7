package e2e

// strict: what breaks RFC 6455 ends the tunnel with 1002. Without it, the same
// bytes pass as they are.

import (
	"fmt"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// violations of RFC 6455 as a client sends them, by the section's rule.
var violations = map[string]string{
	"5.1 not masked":                "\x81\x01a",
	"5.2 RSV1, of no extension":     fromClient(0xc1, "a"),
	"5.2 RSV2":                      fromClient(0xa1, "a"),
	"5.2 RSV3":                      fromClient(0x91, "a"),
	"5.2 opcode 3":                  fromClient(0x83, "a"),
	"5.2 opcode b":                  fromClient(0x8b, "a"),
	"5.2 longer length than needed": "\x81\xfe\x00\x01\x00\x00\x00\x00a",
	"5.2 length of 2^63":            "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	"5.4 a rest of nothing":         fromClient(0x80, "a"),
	"5.4 a message in another":      fromClient(0x01, "a") + fromClient(0x81, "b"),
	"5.5 a ping in pieces":          fromClient(0x09, "a"),
	"5.5 a ping of 126 bytes":       "\x89\xfe\x00\x7e\x00\x00\x00\x00" + fmt.Sprintf("%126d", 7),
	"5.5.1 a Close of one byte":     fromClient(opClose, "a"),
	"7.4.1 a Close with 1005":       fromClient(opClose, "\x03\xed"),
	"7.4.2 a Close with 999":        fromClient(opClose, "\x03\xe7"),
}

func TestViolations(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	p := start(t, web+fill(`
defaults: {keepalive: off, drain: {close_timeout: 1h}}
routes:
  strict: {match: {path: /strict}, to: "$b", strict: true}
  usual:  {match: {path: /usual}, to: "$b"}
`, map[string]string{"b": b.url()}))
	for rule, bytes := range violations {
		t.Run(rule, func(t *testing.T) {
			client, backend := b.open(t, p, "/usual")
			client.Send(bytes + "and more")
			mustRead(t, backend, bytes+"and more")

			client, backend = b.open(t, p, "/strict")
			client.Send(fromClient(0x82, "good") + bytes)
			mustBeTold1002(t, client, backend, fromClient(0x82, "good"))
		})
	}
	t.Run("5.1 masked by a backend", func(t *testing.T) {
		client, backend := b.open(t, p, "/usual")
		backend.Send(fromClient(0x81, "a") + "and more")
		mustRead(t, client, fromClient(0x81, "a")+"and more")

		client, backend = b.open(t, p, "/strict")
		backend.Send(fromBackend(0x82, "good") + fromClient(0x81, "a"))
		mustBeTold1002(t, backend, client, fromBackend(0x82, "good"))
	})
}

// mustBeTold1002: the other end got what was good, perhaps the first part of a
// message that went wrong later, and both ends a Close frame with 1002.
func mustBeTold1002(t *testing.T, culprit, other *proxytest.Raw, good string) {
	t.Helper()
	if f := readClose(t, "culprit", culprit.Reader, false); f.code() != 1002 {
		t.Errorf("the culprit was closed with %v, wanted 1002", f)
	}
	mustRead(t, other, good)
	for {
		f := readFrame(t, other.Reader)
		if f.first == opClose {
			if f.code() != 1002 {
				t.Errorf("the other end was closed with %v, wanted 1002", f)
			}
			return
		}
		if f.first != 0x01 { // the beginning of "a message in another"
			t.Fatalf("the other end got %v", f)
		}
	}
}

// TestStrictTakesWhatIsRight: the odd and legal passes a strict route untouched.
func TestStrictTakesWhatIsRight(t *testing.T) {
	t.Parallel()
	b := newBare(t, "Sec-WebSocket-Extensions: permessage-deflate")
	p := start(t, web+`routes: {all: {to: "`+b.url()+`", strict: true}}`+"\n")
	client, backend := b.open(t, p, "/", "Sec-WebSocket-Extensions: permessage-deflate")
	const long = "\x82\xfe\x01\x2c" // 300 bytes
	for _, bytes := range []string{
		fromClient(0x81, ""),
		fromClient(0x01, "") + fromClient(0x00, "") + fromClient(0x80, ""),
		fromClient(0x01, "a") + fromClient(opPing, "between") + fromClient(0x80, "b"),
		fromClient(0xc1, "compressed") + fromClient(0x41, "in ") + fromClient(0x80, "two"),
		long + "\x00\x00\x00\x00" + fmt.Sprintf("%300d", 1),
		fromClient(opPong, "unasked"),
		fromClient(0x81, "\xff\xfe not UTF-8, and masked for all that a proxy knows"),
		fromClient(opClose, "\x0f\xa1of its own"),
	} {
		client.Send(bytes)
		mustRead(t, backend, bytes)
	}
	backend.Send(fromBackend(opClose, "\x0f\xa1"))
	mustRead(t, client, fromBackend(opClose, "\x0f\xa1"))
	backend.Close()
	client.Close()
	p.waitLog("tunnel closed", fields{"closed_by": "client", "code": 4001, "text": "of its own", "messages_from_client": 7})
}

// TestStrict: what breaks RFC 6455 ends a strict route's tunnel, and passes
// through any other.
func TestStrict(t *testing.T) {
	t.Parallel()
	violation := []byte{0xc1, 0x80, 0, 0, 0, 0} // RSV1, which no extension owns
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  strict: {match: {path: /strict}, to: "$b", strict: true}
  usual:  {match: {path: /usual}, to: "$b"}
`, map[string]string{"b": b.url("ws")}))
	for _, route := range []string{"strict", "usual"} {
		conn := dial(t, p.ws("/"+route))
		if _, err := conn.NetConn().Write(violation); err != nil {
			t.Fatal(err)
		}
		// The proxy or the backend judges it: both call it a protocol error.
		if code, _ := closeCode(t, conn); code != websocket.CloseProtocolError {
			t.Errorf("%s: closed with %d, wanted 1002", route, code)
		}
		conn.Close()
	}
	p.waitLog("tunnel closed", fields{"route": "strict", "closed_by": "proxy", "reason": "protocol", "code": 1002})
	p.waitLog("tunnel closed", fields{"route": "usual", "closed_by": "backend", "code": 1002})
}
