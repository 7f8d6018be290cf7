package e2e

// What one HTTP/2 client can repeat at no cost is bounded and counted.

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestResets: a connection that does nothing but reset is closed.
func TestResets(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/": stall("")})
	authority := proxytest.NewAuthority(t)
	p := start(t, overTLS("", authority.Issue([]string{"127.0.0.1"}))+`routes: {all: {match: {path_prefix: /}, to: "http://`+b.Addr+`"}}`)
	conn, err := tls.Dial("tcp", p.address("web"), &tls.Config{RootCAs: authority.Pool(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	client := proxytest.RawOver(t, conn)
	io.WriteString(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	writeHTTP2Frame(client, frameSettings, 0, 0, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for stream := 1; stream < 255; stream += 2 {
		block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", fmt.Sprint("/", stream)}} {
			encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		writeHTTP2Frame(client, frameHeaders, flagEndStream|flagEndHeaders, byte(stream), block.Bytes())
		writeHTTP2Frame(client, frameReset, 0, byte(stream), []byte{0, 0, 0, 8})
	}
	client.Rest() // it ends
	p.waitLog("connection closed", fields{"listener": "web"})
	if n := p.countLog("request", fields{"status": 499, "level": "WARN"}); n > 0 {
		t.Errorf("%d warnings about what one client did", n)
	}
}

// TestHeaderLinesOverHTTP2: limits.headers holds there too, and frames are of 16 KiB
// at most.
func TestHeaderLinesOverHTTP2(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	config := &tls.Config{RootCAs: authority.Pool()}
	files := authority.Issue([]string{"127.0.0.1"})
	p := start(t, fmt.Sprintf(`version: 1
listeners: {secure: {address: "127.0.0.1:0", limits: {headers: 10}, tls: {certificates: [{certificate: %q, key: %q}]}}}
routes: {all: {match: {path_prefix: /}, respond: {body: own}}}
`, files.File, files.KeyFile))
	var lines [][2]string
	for i := range 12 {
		if status := askHTTP2(t, p, config, lines); i <= 10 && status != 200 || i > 10 && status != 431 {
			t.Errorf("%d header lines: %d", i, status)
		}
		lines = append(lines, [2]string{fmt.Sprint("x-", i), "y"})
	}
	conn, err := tls.Dial("tcp", p.address("secure"), &tls.Config{RootCAs: authority.Pool(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	setDeadline(t, conn)
	kind, _, settings, err := readHTTP2Frame(conn)
	if err != nil || kind != frameSettings {
		t.Fatalf("frame %d, %v", kind, err)
	}
	const maxFrameSize = 5
	for ; len(settings) >= 6; settings = settings[6:] {
		if settings[1] == maxFrameSize && !bytes.Equal(settings[2:6], []byte{0, 0, 0x40, 0}) {
			t.Errorf("MAX_FRAME_SIZE is % x", settings[2:6])
		}
	}
}
