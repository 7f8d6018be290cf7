package echo

// The WebSocket echo: every data frame goes back as it came, fragments too, in constant
// memory; a Ping gets a Pong, a Close a Close.

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

var errProtocol = errors.New("frame breaks RFC 6455")

// serveEcho serves one connection and closes it.
func serveEcho(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReaderSize(conn, 4<<10), bufio.NewWriterSize(conn, 4<<10)
	r, err := http.ReadRequest(in)
	if err != nil || answerHandshake(out, r) != nil {
		return
	}
	err = echoFrames(in, out)
	if errors.Is(err, errProtocol) {
		_, _ = out.Write(wsproto.AppendClose(nil, wsproto.CloseProtocolError, "", nil))
	}
	_ = out.Flush()
}

// answerHandshake accepts the first subprotocol that the client offers, and no extension.
func answerHandshake(out *bufio.Writer, r *http.Request) error {
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
	b.WriteString("Sec-WebSocket-Accept: " + wsproto.AcceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n")
	if offered := wsproto.ListTokens(r.Header, "Sec-WebSocket-Protocol"); len(offered) > 0 {
		b.WriteString("Sec-WebSocket-Protocol: " + offered[0] + "\r\n")
	}
	b.WriteString("\r\n")
	_, err := out.WriteString(b.String())
	return errors.Join(err, out.Flush())
}

// frame is one frame's header (RFC 6455, section 5.2).
type frame struct {
	first  byte // FIN, RSV and opcode as they came
	length uint64
	key    [4]byte
}

func (f frame) opcode() byte    { return f.first & 0x0f }
func (f frame) isControl() bool { return f.opcode()&0x8 != 0 }

// echoFrames ends with nil after a Close was answered.
func echoFrames(in *bufio.Reader, out *bufio.Writer) error {
	for {
		if in.Buffered() == 0 { // the peer may wait for its echo before it sends more
			if err := out.Flush(); err != nil {
				return err
			}
		}
		f, err := readFrame(in)
		if err != nil {
			return err
		}
		if f.isControl() {
			done, err := answerControl(f, in, out)
			if done || err != nil {
				return err
			}
			continue
		}
		if err := echoData(f, in, out); err != nil {
			return err
		}
	}
}

func readFrame(in *bufio.Reader) (f frame, err error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:2]); err != nil {
		return f, err
	}
	f.first, f.length = head[0], uint64(head[1]&0x7f)
	if head[1]&0x80 == 0 || f.first&0x70 != 0 { // unmasked, or of an extension that was not negotiated
		return f, errProtocol
	}
	switch f.length {
	case 126:
		_, err = io.ReadFull(in, head[:2])
		f.length = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		_, err = io.ReadFull(in, head[:8])
		f.length = binary.BigEndian.Uint64(head[:])
	}
	if err != nil {
		return f, err
	}
	if f.isControl() && f.length > 125 || f.length>>63 != 0 {
		return f, errProtocol
	}
	_, err = io.ReadFull(in, f.key[:])
	return f, err
}

func answerControl(f frame, in *bufio.Reader, out *bufio.Writer) (done bool, err error) {
	payload := make([]byte, f.length)
	if _, err := io.ReadFull(in, payload); err != nil {
		return false, err
	}
	unmask(payload, f.key, 0)
	switch wsproto.Opcode(f.opcode()) {
	case wsproto.OpClose:
		_, err = out.Write(wsproto.AppendFrame(nil, wsproto.OpClose, payload, nil))
		return true, err
	case wsproto.OpPing:
		_, err = out.Write(wsproto.AppendFrame(nil, wsproto.OpPong, payload, nil))
	}
	return false, err
}

// echoData sends the frame back unmasked, as a server must (section 5.1).
func echoData(f frame, in *bufio.Reader, out *bufio.Writer) error {
	if err := writeHeader(out, f); err != nil {
		return err
	}
	var buf [2 << 10]byte
	for done := uint64(0); done < f.length; {
		n, err := in.Read(buf[:min(uint64(len(buf)), f.length-done)])
		unmask(buf[:n], f.key, int(done%4))
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		if done += uint64(n); err != nil {
			return err
		}
	}
	return nil
}

func writeHeader(out *bufio.Writer, f frame) error {
	header := []byte{f.first, byte(f.length)}
	switch {
	case f.length > 0xffff:
		header[1] = 127
		header = binary.BigEndian.AppendUint64(header, f.length)
	case f.length > 125:
		header[1] = 126
		header = binary.BigEndian.AppendUint16(header, uint16(f.length))
	}
	_, err := out.Write(header)
	return err
}

func unmask(p []byte, key [4]byte, at int) {
	for i := range p {
		p[i] ^= key[(at+i)%4]
	}
}
