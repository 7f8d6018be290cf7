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
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
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

	mu      sync.Mutex // guards all below
	changed sync.Cond  // of reading, written or broken; on mu
	answer  answer
	asked   question
	written bool  // all of the current request is out, or never will be
	failed  error // why not all of it
	broken  error // why nothing more may pass, for ever
	wrote   bool  // part of the current request is out
	reading bool  // there is a Read under way
	readErr error // of the last Read
	taken   bool  // the connection beneath is somebody else's now
}

// question is one request as far as its connection is concerned.
type question struct {
	method string // it says whether the answer has a body
	body   bool
	shared bool // the connection may carry other clients' requests after it
	// claim, if not nil, is given the connection beneath if the answer asks for a
	// login. Only where it is shared.
	claim func(net.Conn)
}

func newGate(conn net.Conn, carried *atomic.Int64) *gate {
	g := &gate{Conn: conn, carried: carried, written: true}
	g.changed.L = &g.mu
	return g
}

var (
	errTaken  = errors.New("the connection has been taken")
	errClosed = fmt.Errorf("connection to the backend: %w", net.ErrClosed)
)

// begin announces a request, before its first byte is written.
func (g *gate) begin(q question) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked, g.wrote, g.written, g.failed = q, false, false, nil
	if g.broken == nil && !g.answer.begin(q.method) {
		g.broken = badAnswer("not finished when the next request began")
	}
}

// end says that nothing more of the request is written.
func (g *gate) end(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.written, g.failed = true, err
	g.changed.Broadcast()
}

func (g *gate) Read(p []byte) (int, error) {
	if err := g.startReading(); err != nil {
		return 0, err // bufio reads again after an error
	}
	n, err := g.Conn.Read(p)
	g.carried.Add(int64(n))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reading, g.readErr = false, err
	g.changed.Broadcast()
	if g.broken != nil {
		if n > 0 {
			g.readErr = errStray
		}
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
	case err == nil && g.answer.state == idle && g.answer.login && g.asked.shared:
		g.leavePoolLocked()
		return passed, io.EOF
	}
	return n, err
}

var errStray = errors.New("bytes that nobody has asked for")

func (g *gate) startReading() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reading = g.broken == nil
	return g.broken
}

// leavePoolLocked ends the use of a shared connection whose answer asks for a
// login: it is the client's who has asked for the answer, or nobody's.
func (g *gate) leavePoolLocked() {
	mayGo := g.asked.claim != nil && !g.answer.closes && g.isWrittenLocked()
	if g.broken != nil {
		return // closed meanwhile
	}
	g.broken = errTaken
	if mayGo {
		g.taken = true
		g.asked.claim(g.Conn)
	}
}

// isWrittenLocked says whether all of the request that was answered is out. The
// answer may be here before its writer has said so.
func (g *gate) isWrittenLocked() bool {
	for !g.written && !g.asked.body && g.broken == nil {
		g.changed.Wait()
	}
	return g.written && g.failed == nil
}

// take takes the connection beneath out of the transport's hands, which finds its
// own closed: nil if something is under way by it, or it has ended.
func (g *gate) take() net.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken != nil || g.answer.state != idle || g.answer.closes || !g.isWrittenLocked() || g.broken != nil {
		return nil
	}
	g.broken, g.taken = errTaken, true
	if g.reading { // the transport watches it
		_ = g.Conn.SetReadDeadline(time.Unix(1, 0))
		for g.reading {
			g.changed.Wait()
		}
		if !errors.Is(g.readErr, os.ErrDeadlineExceeded) {
			g.Conn.Close()
			return nil
		}
	}
	_ = g.Conn.SetReadDeadline(time.Time{})
	return g.Conn
}

// Close closes the connection, unless it was taken.
func (g *gate) Close() error {
	g.mu.Lock()
	if g.broken == nil {
		g.broken = errClosed
	}
	taken := g.taken
	g.changed.Broadcast()
	g.mu.Unlock()
	if taken {
		return nil
	}
	return g.Conn.Close()
}

// Write fails on a broken connection before a byte is out, so that the
// transport may try another one. Once part of a request is out, a failing write
// is not the last word: a backend may refuse a body by answering and closing,
// and its answer (413, 401) is worth more than our broken pipe. The rest of the
// body is then dropped, and the reading side tells how it ended.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	broken, wrote, taken := g.broken, g.wrote, g.taken
	g.wrote = true
	g.mu.Unlock()
	if broken != nil && (!wrote || taken) {
		return 0, broken
	}
	n, err := g.Conn.Write(p)
	g.carried.Add(int64(n))
	if err != nil && wrote {
		return len(p), nil
	}
	return n, err
}
