package e2e

// Bytes behind the 101 are the tunnel's first, in their order, however they come.

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

func TestBytesBehindThe101(t *testing.T) {
	t.Parallel()
	mega := strings.Repeat("0123456789abcdef", 1<<16)
	const frame = "\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00" // one of a megabyte
	b := newWire(t, map[string]script{
		"/packet": repeat(switching() + "\x81\x05first"),
		"/mega":   repeat(switching() + frame + mega),
		"/split":  byteByByte(switching() + "\x81\x05first"),
		"/close":  say(switching() + "\x81\x05first\x88\x02\x03\xe8"),
		"/eof":    say(switching()),
	})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b", keepalive: {ping: "off"}}}
`, map[string]string{"b": b.Addr}))

	for _, tt := range []struct{ path, first string }{
		{"/packet", "\x81\x05first"},
		{"/mega", frame + mega},
		{"/split", "\x81\x05first"},
		{"/close", "\x81\x05first\x88\x02\x03\xe8"},
		{"/eof", ""},
	} {
		t.Run(tt.path, func(t *testing.T) {
			client := connect(t, p)
			if got := ask(t, client, offering(tt.path).String()); got.status != 101 {
				t.Fatalf("%d %q, wanted 101", got.status, got.body)
			}
			got := make([]byte, len(tt.first))
			if n, err := io.ReadFull(client.Reader, got); err != nil || string(got) != tt.first {
				t.Fatalf("%d bytes, %v: %.80q, wanted %.80q", n, err, got[:n], tt.first)
			}
			if tt.path == "/eof" || tt.path == "/close" {
				client.CloseWrite()
				// A backend that left without a Close frame: the proxy says so in one.
				if rest := client.Rest(); rest != "" && (tt.path == "/close" || !strings.HasPrefix(rest, "\x88")) {
					t.Errorf("%.80q behind the end", rest)
				}
				return
			}
			echoBytes(t, client, "\x81\x82\x00\x00\x00\x00me")
		})
	}
}

// byteByByte answers with as many writes as the text has bytes.
func byteByByte(text string) script {
	return func(conn net.Conn, in *bufio.Reader, head string) bool {
		for _, b := range []byte(accepting(text, head)) {
			if _, err := conn.Write([]byte{b}); err != nil {
				return false
			}
		}
		io.Copy(conn, in)
		return false
	}
}
