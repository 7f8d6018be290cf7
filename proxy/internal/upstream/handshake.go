package upstream

// Reading the answer to a request for an upgrade, as strictly as any other.

import "io"

// NewHandshakeReader reads the answer to one request for an upgrade that was, or
// will be, written to conn. It fails at an answer whose framing is ambiguous,
// with an *AnswerError, and ends with io.EOF where an ordinary answer ends. Behind
// the head of a 101 everything passes. conn stays the caller's; once the 101 is
// verified and what was buffered of the reader is taken, conn may be read directly.
func NewHandshakeReader(conn io.Reader, method string) io.Reader {
	return &handshakeReader{conn: conn, answer: answer{state: atStatus, head: method == "HEAD", asked: true}}
}

// handshakeReader belongs to one goroutine.
type handshakeReader struct {
	conn   io.Reader
	answer answer
	err    error
}

func (r *handshakeReader) Read(p []byte) (int, error) {
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
		r.err = io.EOF
	default:
		r.err = err
	}
	return passed, r.err
}
