// A body in chunks (RFC 9112 section 7), followed byte by byte as it passes.

package h1

import "math"

var (
	errChunkSize      = bad("malformed chunk size")
	errChunkExtension = bad("malformed or oversized chunk extension")
	errChunkEnd       = bad("chunk does not end with CRLF")
	errTrailerField   = bad("trailer that frames or routes the message")
	errTrailerSize    = bad("trailers too large")
)

// maxChunkExtensions bounds the bytes of all extensions in one body: nobody
// uses them, and they let a client send bytes that no limit on bodies counts.
// It is less than net/http takes in one line.
const maxChunkExtensions = 2 << 10

// maxTrailerBytes is what net/http takes: its buffer's size.
const maxTrailerBytes = 4 << 10

// chunkState is where the next byte stands.
type chunkState uint8

const (
	chunkSize    chunkState = iota // in the digits
	chunkExt                       // in the extension
	chunkSizeEnd                   // LF behind them
	chunkData                      // in the data
	chunkDataCR                    // CR behind the data
	chunkDataEnd                   // LF behind that
)

// chunks follows the chunks of one body, up to the line of the last one: the
// trailers behind it are not its affair. The zero value stands at the start.
type chunks struct {
	state  chunkState
	digits int
	size   uint64 // of the data still to come, once its digits are read
	ext    int    // bytes of extensions so far
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
	switch k.state {
	case chunkSize:
		return false, k.sizeByte(c)
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
		k.state, k.digits = chunkSize, 0
		if c != '\n' {
			return false, errChunkEnd
		}
	}
	return false, nil
}

// sizeByte: hexadecimal digits and nothing else, at most 16, at most an int64;
// no white space, not even before an extension.
func (k *chunks) sizeByte(c byte) error {
	if v := hexValue(c); v >= 0 {
		k.size = k.size<<4 | uint64(v)
		k.digits++
		if k.digits > 16 || k.size > math.MaxInt64 {
			return errChunkSize
		}
		return nil
	}
	switch {
	case k.digits == 0:
		return errChunkSize
	case c == ';':
		k.state = chunkExt
	case c == '\r':
		k.state = chunkSizeEnd
	default:
		return errChunkSize
	}
	return nil
}

func (k *chunks) extByte(c byte) error {
	k.ext++
	switch {
	case c == '\r':
		k.state = chunkSizeEnd
	case k.ext > maxChunkExtensions || c < ' ' && c != '\t' || c == 0x7f:
		return errChunkExtension
	}
	return nil
}

func (k *chunks) endSize(c byte) (done bool, err error) {
	if c != '\n' {
		return false, errChunkSize
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

// forbiddenTrailers frame or route a message, or say who sent it: as trailers
// they would come after they were obeyed (RFC 9110 section 6.5.1).
var forbiddenTrailers = []string{
	"content-length", "transfer-encoding", "trailer", "host", "connection", "upgrade", "expect", "te",
	"keep-alive", "proxy-connection", "content-encoding", "content-type", "content-range",
	"authorization", "proxy-authorization", "cookie", "cache-control",
}

func isTrailerForbidden(name []byte) bool {
	for _, f := range forbiddenTrailers {
		if foldEqual(name, f) {
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
