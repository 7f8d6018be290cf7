package main

// WebSocket frames, as much of them as a client and a backend need that send
// zeros: whole unfragmented messages, and answers to pings.

import "encoding/binary"

const (
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// frame is a whole binary message of that many payload bytes, all zero; masked
// with the key zero, which is as good as any to a proxy.
func frame(size int, masked bool) []byte { return message(opBinary, make([]byte, size), masked) }

func message(op byte, payload []byte, masked bool) []byte {
	f := []byte{0x80 | op, 0}
	switch size := len(payload); {
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
	return append(f, payload...)
}

// walker finds the ends of frames in a stream that comes in pieces. The zero
// walker stands before the first frame. One goroutine at a time.
type walker struct {
	head    [14]byte
	have    int // bytes of head
	left    int // of the payload
	inside  bool
	size    int
	control []byte // a control frame's payload so far, unmasked
}

// whole is a frame that has ended. control is valid until the walker's next call.
type whole struct {
	op      byte
	size    int
	control []byte
}

// next takes bytes from b up to the end of a frame. ok says that there was one.
func (w *walker) next(b []byte) (rest []byte, f whole, ok bool) {
	for !w.inside {
		if len(b) == 0 {
			return nil, f, false
		}
		w.head[w.have] = b[0]
		w.have++
		b = b[1:]
		if w.have >= 2 && w.have == headLength(w.head[1]) {
			w.begin()
		}
	}
	n := min(w.left, len(b))
	if w.head[0]&0xf >= opClose {
		w.keep(b[:n])
	}
	w.left -= n
	if w.left > 0 {
		return nil, f, false
	}
	w.inside = false
	w.have = 0
	return b[n:], whole{op: w.head[0] & 0xf, size: w.size, control: w.control}, true
}

func (w *walker) begin() {
	w.inside = true
	w.size = payloadSize(w.head[:w.have])
	w.left = w.size
	w.control = w.control[:0]
}

func (w *walker) keep(b []byte) {
	for _, c := range b {
		if w.head[1]&0x80 != 0 {
			c ^= w.head[w.have-4+len(w.control)%4]
		}
		w.control = append(w.control, c)
	}
}

// headLength is how long a head is whose second byte this is.
func headLength(second byte) int {
	n := 2
	switch second & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&0x80 != 0 {
		n += 4
	}
	return n
}

func payloadSize(head []byte) int {
	switch head[1] & 0x7f {
	case 126:
		return int(binary.BigEndian.Uint16(head[2:]))
	case 127:
		return int(binary.BigEndian.Uint64(head[2:]) &^ (1 << 63)) // which must be 0 (RFC 6455, section 5.2)
	}
	return int(head[1] & 0x7f)
}
