package upstream

// Reading the answer to a request for an upgrade, as strictly as any other.

import "io"

// NewHandshakeReader reads the answer to one request for an upgrade that was, or
// will be, written to conn. It fails at an answer whose framing is ambiguous,
// with an *AnswerError, and ends with io.EOF where an ordinary answer ends. Behind
// the head of a 101 everything passes. conn stays the caller's; once the 101 is
// verified and what was buffered of the reader is taken, conn may be read directly.
func NewHandshakeReader(conn io.Reader, method string) *HandshakeReader {
	return &HandshakeReader{conn: conn, answer: answer{state: atStatus, head: method == "HEAD", asked: true}}
}

// HandshakeReader belongs to one goroutine.
type HandshakeReader struct {
	conn   io.Reader
	answer answer
	err    error
	extra  bool // bytes came behind the answer
}

// Reusable says that an answer other than a 101 was read to its end, that nothing
// came behind it and that the backend keeps the connection open for another request.
func (r *HandshakeReader) Reusable() bool {
	return r.answer.state == idle && !r.answer.closes && (r.err == nil || r.err == io.EOF) && !r.extra
}

// Read reads the answer's bytes.
func (r *HandshakeReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.answer.state == idle {
		return 0, io.EOF
	}
	n, err := r.conn.Read(p)
	passed, bad := r.answer.follow(p[:n])
	switch {
	case bad != nil:
		r.err = bad
	case passed < n: // bytes behind an ordinary answer: it is whole, they are nobody's
		r.err, r.extra = io.EOF, true
	default:
		r.err = err
	}
	return passed, r.err
}
