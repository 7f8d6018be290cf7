package proxytest

// Opening handshakes as bytes, valid and not.

import (
	"crypto/sha1"
	"encoding/base64"
	"strings"
)

// SampleKey is the Sec-WebSocket-Key of RFC 6455, section 1.3.
const SampleKey = "dGhlIHNhbXBsZSBub25jZQ=="

// Handshake is a WebSocket request, valid unless a field makes it invalid.
type Handshake struct {
	Method string // GET
	Target string // /
	Proto  string // HTTP/1.1
	Host   string // test.example
	// Change replaces the value of Connection, Upgrade, Sec-WebSocket-Key or
	// Sec-WebSocket-Version; "" removes the line.
	Change map[string]string
	Extra  []string // further lines, without CRLF
	Body   string   // what follows the head, frames too
}

// String is the request as it goes over the wire.
func (h Handshake) String() string {
	lines := []string{
		or(h.Method, "GET") + " " + or(h.Target, "/") + " " + or(h.Proto, "HTTP/1.1"),
		"Host: " + or(h.Host, "test.example"),
	}
	for _, header := range [][2]string{
		{"Connection", "Upgrade"},
		{"Upgrade", "websocket"},
		{"Sec-WebSocket-Key", SampleKey},
		{"Sec-WebSocket-Version", "13"},
	} {
		value, changed := h.Change[header[0]]
		if !changed {
			value = header[1]
		}
		if value != "" {
			lines = append(lines, header[0]+": "+value)
		}
	}
	lines = append(lines, h.Extra...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + h.Body
}

// Accept is the Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2), independent of
// package wsproto.
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Switching is a valid 101 for key, with extra header lines.
func Switching(key string, extra ...string) string {
	lines := append([]string{
		"HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Accept: " + Accept(key),
	}, extra...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// HeaderValue is the first value of a header in a raw head, "" if there is none.
func HeaderValue(head, name string) string {
	for _, line := range strings.Split(head, "\r\n") {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(key, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func or(value, other string) string {
	if value == "" {
		return other
	}
	return value
}
