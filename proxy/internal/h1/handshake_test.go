package h1

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// source is a connection that gives a text, and then nothing: what may be read
// beyond an answer would be an error here.
type source struct {
	net.Conn
	io.Reader
}

func (r source) Read(p []byte) (int, error) { return r.Reader.Read(p) }

var errBeyond = errors.New("read beyond the answer")

func TestHandshakeReader(t *testing.T) {
	const frames = "HTTP/1.1 101 x\r\nTransfer-Encoding: y\r\n\r\n\x81\x00\n\r"
	for _, tt := range []struct {
		name, text, passes string
		end                error // nil is the answer's own end
		want               string
	}{
		{name: "101", text: "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n\x81\x00" + frames, passes: "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n\x81\x00" + frames, end: errBeyond},
		{name: "after interim", text: "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 101 x\r\n\r\n\x00", passes: "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 101 x\r\n\r\n\x00", end: errBeyond},
		{name: "framed 101", text: "HTTP/1.1 103 x\r\nContent-Length: y\r\n\r\nHTTP/1.1 101 x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n\x00", passes: "HTTP/1.1 103 x\r\nContent-Length: y\r\n\r\nHTTP/1.1 101 x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n\x00", end: errBeyond},
		{name: "403", text: "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", passes: "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"},
		{name: "403 and more", text: "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 101 x\r\n\r\n", passes: "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"},
		{name: "403 and 101", text: "HTTP/1.1 403 No\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", want: "beside"},
		{name: "101 in HTTP/1.0", text: "HTTP/1.0 101 x\r\n\r\n", want: "HTTP/1.0"},
		{name: "garbage", text: "\x81\x05hello\n", want: "status line"},
	} {
		for name, piece := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
		} {
			bytes := io.MultiReader(piece(strings.NewReader(tt.text)), iotest.ErrReader(errBeyond))
			got, err := io.ReadAll(NewHandshakeReader(source{Reader: bytes}, "GET"))
			switch {
			case tt.want != "":
				if !isResponseError(err) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s, %s: got %v, want %q", tt.name, name, err, tt.want)
				}
			case string(got) != tt.passes || !errors.Is(err, tt.end):
				t.Errorf("%s, %s: got %q, %v, want %q, %v", tt.name, name, got, err, tt.passes, tt.end)
			}
		}
	}
}
