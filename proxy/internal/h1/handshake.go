// Reading the answer to a request for an upgrade, as strictly as any other.

package h1

import (
	"io"

	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// NewHandshakeReader reads the answer to one request for an upgrade that was, or
// will be, written to conn. It fails at an answer whose framing is ambiguous,
// with a *ResponseError, and ends with io.EOF where an ordinary answer ends. Behind
// the head of a 101 everything passes. The caller closes conn; once the 101 is
// verified and what was buffered of the reader is taken, conn may be read directly.
func NewHandshakeReader(conn io.Reader, method string) *HandshakeReader {
	r := &HandshakeReader{conn: conn}
	r.response = response{state: inStatusLine, noBody: method == "HEAD", asked: true, names: &r.names}
	return r
}

// HandshakeReader belongs to one goroutine.
type HandshakeReader struct {
	conn     io.Reader
	response response
	names    spelling.Names
	err      error
	extra    bool // bytes came behind the answer
}

// Reusable reports that an answer other than a 101 was read to its end, that nothing
// came behind it and that the backend keeps the connection open for another request.
func (r *HandshakeReader) Reusable() bool {
	return r.response.state == noResponse && !r.response.closes && (r.err == nil || r.err == io.EOF) && !r.extra
}

// Names is how the names of the answer's header are spelled, once all of the header
// was read.
func (r *HandshakeReader) Names() spelling.Names { return r.names }

// Read reads the answer's bytes.
func (r *HandshakeReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.response.state == noResponse {
		return 0, io.EOF
	}
	n, err := r.conn.Read(p)
	passed, bad := r.response.follow(p[:n])
	switch {
	case bad != nil:
		r.err = bad
	case passed < n: // bytes behind an ordinary answer, which is complete
		r.err, r.extra = io.EOF, true
	default:
		r.err = err
	}
	return passed, r.err
}
