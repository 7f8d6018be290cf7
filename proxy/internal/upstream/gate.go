package upstream

// The strict reader beneath http.Transport. The transport lets pass what other
// parsers read differently (Transfer-Encoding beside Content-Length, a space
// before the colon, bytes behind an answer's end that the next request on the
// connection may take for its own answer), and its caller cannot see that it
// did. The gate follows each answer's framing and passes the same bytes on,
// never one beyond the answer.
//
// What it cannot see are bytes that a backend sends after its answer but that
// arrive only when the next request is under way: they are read as an answer.

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// AnswerError is an answer of a backend whose framing is ambiguous or wrong.
// The connection it came on is not used again.
type AnswerError struct {
	Reason string // what was found, and what was wanted
}

func (e *AnswerError) Error() string { return "answer of the backend: " + e.Reason }

func badAnswer(format string, args ...any) error {
	return &AnswerError{Reason: fmt.Sprintf(format, args...)}
}

// gate is one connection to a backend. The transport reads and writes it from
// two goroutines and closes it.
type gate struct {
	net.Conn
	carried *atomic.Int64 // bytes both ways, of many connections

	mu     sync.Mutex // guards all below
	answer answer
	broken error // why nothing more may pass, for ever
	wrote  bool  // part of the current request is out
}

func newGate(conn net.Conn, carried *atomic.Int64) *gate { return &gate{Conn: conn, carried: carried} }

// begin announces a request, before its first byte is written: its method says
// whether the answer has a body.
func (g *gate) begin(method string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrote = false
	if g.broken == nil && !g.answer.begin(method) {
		g.broken = badAnswer("not finished when the next request began")
	}
}

func (g *gate) Read(p []byte) (int, error) {
	if err := g.failed(); err != nil {
		return 0, err // bufio reads again after an error
	}
	n, err := g.Conn.Read(p)
	g.carried.Add(int64(n))
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken != nil {
		return 0, g.broken
	}
	passed, bad := g.answer.follow(p[:n])
	switch {
	case bad != nil:
		g.broken = bad
		return passed, bad
	case passed < n:
		// The answer is whole and right, what follows it is not. With an end of
		// file beside its last bytes the transport delivers the answer and does
		// not keep the connection.
		g.broken = badAnswer("%d bytes behind its end", n-passed)
		return passed, io.EOF
	}
	return n, err
}

func (g *gate) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}

// Write fails on a broken connection before a byte is out, so that the
// transport may try another one. Once part of a request is out, a failing write
// is not the last word: a backend may refuse a body by answering and closing,
// and its answer (413, 401) is worth more than our broken pipe. The rest of the
// body is then dropped, and the reading side tells how it ended.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	broken, wrote := g.broken, g.wrote
	g.wrote = true
	g.mu.Unlock()
	if broken != nil && !wrote {
		return 0, broken
	}
	n, err := g.Conn.Write(p)
	g.carried.Add(int64(n))
	if err != nil && wrote {
		return len(p), nil
	}
	return n, err
}
