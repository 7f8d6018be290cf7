// A body in chunks (RFC 9112 section 7), of a request or of a backend's answer, followed
// byte by byte as it passes.

package h1

import (
	"math"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

var (
	errChunkSize      = bad("malformed chunk size")
	errChunkExtension = bad("malformed or oversized chunk extension")
	errChunkEnd       = bad("chunk does not end with CRLF")
	errChunkExcess    = bad("more chunk framing than data")
	errTrailerField   = bad("trailer that frames or routes the message")
	errTrailerSize    = bad("trailers too large")
)

// maxChunkExtensions bounds the bytes of all extensions in a request's body: they
// are not in use, and let a client send bytes that no limit on bodies counts.
// It is less than net/http takes in one line.
const maxChunkExtensions = 2 << 10

// maxSizeLine bounds a size line of a backend, line end included.
const maxSizeLine = 256

// maxChunkExcess is how much more framing than data net/http takes, see endSize.
const maxChunkExcess = 16 << 10

// maxTrailerBytes is what net/http takes: its buffer's size.
const maxTrailerBytes = 4 << 10

// chunkState says what the next byte is part of.
type chunkState uint8

const (
	chunkSize    chunkState = iota // in the digits
	chunkPad                       // in white space behind them
	chunkExt                       // in the extension
	chunkSizeEnd                   // LF behind the line
	chunkData                      // in the data
	chunkDataCR                    // CR behind the data
	chunkDataEnd                   // LF behind that
)

// chunks follows the chunks of one body, up to the line of the last one: the trailers
// behind it are read elsewhere. The zero value is at the start of a request's body.
//
// What an old backend sends is taken as net/http takes it: white space behind a size,
// and any extension in a line that is not too long.
type chunks struct {
	ofBackend bool
	state     chunkState
	digits    int
	size      uint64 // of the data still to come, once its digits are read
	line      int    // bytes of the size line so far
	ext       int    // bytes of extensions so far
	excess    int64  // framing beyond what the data justifies
}

// scan looks at b and returns how many of its bytes belong to the chunks; done
// says that the line of the last chunk is complete.
func (k *chunks) scan(b []byte) (n int, done bool, err error) {
	for n < len(b) {
		if k.state == chunkData {
			n += k.skip(len(b) - n)
			continue
		}
		done, err := k.next(b[n])
		if err != nil {
			return n, false, err
		}
		if n++; done {
			return n, true, nil
		}
	}
	return n, false, nil
}

// skip takes up to n bytes of data.
func (k *chunks) skip(n int) int {
	if k.size > uint64(n) {
		k.size -= uint64(n)
		return n
	}
	n, k.size = int(k.size), 0
	k.state = chunkDataCR
	return n
}

func (k *chunks) next(c byte) (done bool, err error) {
	k.line++
	switch k.state {
	case chunkSize:
		return false, k.sizeByte(c)
	case chunkPad:
		return false, k.behindSize(c)
	case chunkExt:
		return false, k.extByte(c)
	case chunkSizeEnd:
		return k.endSize(c)
	case chunkDataCR:
		k.state = chunkDataEnd
		if c != '\r' {
			return false, errChunkEnd
		}
	case chunkDataEnd:
		k.state, k.digits, k.line = chunkSize, 0, 0
		if c != '\n' {
			return false, errChunkEnd
		}
	}
	return false, nil
}

// sizeByte: hexadecimal digits and nothing else, at most 16, at most an int64.
func (k *chunks) sizeByte(c byte) error {
	v := hexValue(c)
	switch {
	case v < 0 && k.digits > 0:
		return k.behindSize(c)
	case v < 0:
		return errChunkSize
	}
	k.size = k.size<<4 | uint64(v)
	k.digits++
	if k.digits > 16 || k.size > math.MaxInt64 {
		return errChunkSize
	}
	return nil
}

func (k *chunks) behindSize(c byte) error {
	switch {
	case c == ';':
		k.state = chunkExt
	case c == '\r':
		k.state = chunkSizeEnd
	case k.ofBackend && isOWS(c) && k.line < maxSizeLine:
		k.state = chunkPad
	default:
		return errChunkSize
	}
	return nil
}

func (k *chunks) extByte(c byte) error {
	k.ext++
	isControl, tooLong := c < ' ' && c != '\t' || c == 0x7f, k.ext > maxChunkExtensions
	if k.ofBackend {
		isControl, tooLong = c == '\n', k.line >= maxSizeLine
	}
	switch {
	case c == '\r':
		k.state = chunkSizeEnd
	case isControl, tooLong:
		return errChunkExtension
	}
	return nil
}

// endSize is as strict as net/http about the share of the framing: it allows 16 bytes a
// chunk and twice the data.
func (k *chunks) endSize(c byte) (done bool, err error) {
	if c != '\n' {
		return false, errChunkSize
	}
	k.excess += int64(k.line) - 16 - 2*int64(min(k.size, 1<<32))
	if k.excess = max(k.excess, 0); k.excess > maxChunkExcess {
		return false, errChunkExcess
	}
	k.state = chunkData
	return k.size == 0, nil
}

// readAhead is how many bytes may be read at once, so that few belong to what
// follows the body.
func (k *chunks) readAhead() uint64 {
	const framing = 512
	if k.state == chunkData {
		return k.size + framing
	}
	return framing
}

// forbiddenTrailers frame or route a message, or say which client sent it: as
// trailers they would come after they were obeyed (RFC 9110 section 6.5.1).
var forbiddenTrailers = []string{
	"content-length", "transfer-encoding", "trailer", "host", "connection", "upgrade", "expect", "te",
	"keep-alive", "proxy-connection", "content-encoding", "content-type", "content-range",
	"authorization", "proxy-authorization", "cookie", "cache-control",
}

func isTrailerForbidden(name []byte) bool {
	for _, f := range forbiddenTrailers {
		if httpsyntax.EqualFold(name, f) {
			return true
		}
	}
	return false
}

// checkTrailers checks the lines behind the last chunk, the empty one
// included.
func checkTrailers(b []byte, fields []Field) error {
	fields, err := parseFields(b, fields[:0])
	for _, f := range fields {
		if isTrailerForbidden(f.Name) {
			return errTrailerField
		}
	}
	return err
}
