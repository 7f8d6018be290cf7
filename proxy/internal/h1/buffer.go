// Bytes that were read and not yet delivered, in pooled memory: a connection
// that has none holds none.

package h1

import "sync"

const bufferSize = 4 << 10

// buffer is a queue of bytes. The nil buffer is empty.
type buffer struct {
	b    []byte // b[r:w] are the bytes
	r, w int
}

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, bufferSize)} }}

func newBuffer() *buffer { return buffers.Get().(*buffer) }

// release gives an emptied buffer back. Grown ones are left to the collector.
func (b *buffer) release() {
	if len(b.b) == bufferSize {
		b.r, b.w = 0, 0
		buffers.Put(b)
	}
}

func (b *buffer) len() int {
	if b == nil {
		return 0
	}
	return b.w - b.r
}

func (b *buffer) bytes() []byte {
	if b == nil {
		return nil
	}
	return b.b[b.r:b.w]
}

// space returns room for at least one more byte, up to a total of limit: nil
// when that is reached.
func (b *buffer) space(limit int) []byte {
	n := b.len()
	if n >= limit {
		return nil
	}
	if b.w == len(b.b) {
		b.makeRoom()
	}
	return b.b[b.w:min(len(b.b), b.r+limit)]
}

func (b *buffer) makeRoom() {
	old := b.bytes()
	if len(old) > len(b.b)/2 {
		b.b = make([]byte, 2*len(b.b))
	}
	b.r, b.w = 0, copy(b.b, old)
}

func (b *buffer) append(p []byte) {
	for len(p) > 0 {
		n := copy(b.space(b.len()+len(p)), p)
		b.w += n
		p = p[n:]
	}
}
