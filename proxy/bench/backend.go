package main

// The backend: an echo that is as cheap as one in Go can be. It answers a
// WebSocket handshake, then takes every client to send frames of one size,
// and answers each with a frame prepared beforehand. Plain HTTP requests get a
// short answer.

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
)

type backend struct {
	ln   net.Listener
	addr string
}

func startBackend() (*backend, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{ln: ln, addr: ln.Addr().String()}
	go b.accept()
	return b, nil
}

func (b *backend) close() { b.ln.Close() }

func (b *backend) accept() {
	for {
		conn, err := b.ln.Accept()
		if err != nil {
			return
		}
		go serve(conn)
	}
}

// serve answers requests until one asks for a WebSocket, and echoes from there.
func serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 2<<10)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		key := r.Header.Get("Sec-WebSocket-Key")
		if key == "" {
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
				return
			}
			continue
		}
		sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		if err == nil {
			echo(conn, in)
		}
		return
	}
}

// echo answers frames of the size that the first one has.
func echo(conn net.Conn, in *bufio.Reader) {
	head, err := in.Peek(2)
	if err != nil {
		return
	}
	header := 2
	switch head[1] & 0x7f {
	case 126:
		header = 4
	case 127:
		header = 10
	}
	head, err = in.Peek(header)
	if err != nil || head[0]&0xf == 8 {
		return
	}
	size := payloadSize(head)
	left := header + 4 + size
	answer := frame(size, false)
	left -= in.Buffered()
	if _, err := in.Discard(in.Buffered()); err != nil {
		return
	}
	request := make([]byte, min(header+4+size, 256<<10))
	for {
		for left > 0 {
			n, err := conn.Read(request[:min(left, len(request))])
			if err != nil {
				return
			}
			left -= n
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
		left += header + 4 + size
	}
}

func payloadSize(head []byte) int {
	switch head[1] & 0x7f {
	case 126:
		return int(binary.BigEndian.Uint16(head[2:]))
	case 127:
		return int(binary.BigEndian.Uint64(head[2:]))
	}
	return int(head[1] & 0x7f)
}

// frame is a whole binary message of that many payload bytes, all zero; masked
// with the key zero, which is as good as any to a proxy.
func frame(size int, masked bool) []byte {
	f := []byte{0x82, 0}
	switch {
	case size > 0xffff:
		f[1] = 127
		f = binary.BigEndian.AppendUint64(f, uint64(size))
	case size > 125:
		f[1] = 126
		f = binary.BigEndian.AppendUint16(f, uint16(size))
	default:
		f[1] = byte(size)
	}
	if masked {
		f[1] |= 0x80
		f = append(f, 0, 0, 0, 0)
	}
	return append(f, make([]byte, size)...)
}
