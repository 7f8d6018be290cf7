package h1

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener accepts one end of a net.Pipe, whose deadlines a synctest bubble
// knows.
type pipeListener struct {
	conns chan net.Conn
}

func (l pipeListener) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// inBubble runs a server with the gate and a client of it on a clock that
// moves when everything waits.
func inBubble(t *testing.T, limits Limits, idle time.Duration, test func(c net.Conn, r *bufio.Reader)) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		ln := pipeListener{make(chan net.Conn, 1)}
		ln.conns <- Wrap(server, limits, nil)
		srv := &http.Server{IdleTimeout: idle, ConnContext: NewContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Minute) // a slow handler, on the bubble's clock
			if r.Method == http.MethodPost {
				answerEarly(w, r)
			}
		})}
		done := make(chan struct{})
		go func() { defer close(done); srv.Serve(ln) }()
		test(client, bufio.NewReader(client))
		client.Close()
		close(ln.conns)
		srv.Close()
		<-done
		synctest.Wait()
	})
}

// took checks what passed on the bubble's clock, which is exact.
func took(t *testing.T, what string, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

func expectStatus(t *testing.T, r *bufio.Reader, status int) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != status {
		t.Errorf("status %d, want %d", resp.StatusCode, status)
	}
}

const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// A first head is timed from the start; a client that says nothing at all is
// not answered.
func TestHeadTimeoutOfTheFirst(t *testing.T) {
	for _, sent := range []string{"", "G", "GET / HTTP/1.1\r\nHost"} {
		inBubble(t, withTimeout(10*time.Second), 0, func(c net.Conn, r *bufio.Reader) {
			start := time.Now()
			time.Sleep(3 * time.Second)
			io.WriteString(c, sent)
			if sent != "" {
				expectStatus(t, r, http.StatusRequestTimeout)
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("%v, want an end of file", err)
			}
			took(t, "closed", start, 10*time.Second)
		})
	}
}

// A client that sends a byte now and then does not get longer.
func TestHeadTimeoutOfADribble(t *testing.T) {
	inBubble(t, withTimeout(10*time.Second), 0, func(c net.Conn, r *bufio.Reader) {
		start := time.Now()
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for i := range request {
				if _, err := io.WriteString(c, request[i:i+1]); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		expectStatus(t, r, http.StatusRequestTimeout)
		took(t, "408", start, 10*time.Second)
	})
}

// A later head is timed from its first byte, not from the answer before it, and
// the idle limit does not cut it short. A head that waits while its predecessor
// is being served is not timed.
func TestHeadTimeoutOfALaterOne(t *testing.T) {
	inBubble(t, withTimeout(10*time.Second), 30*time.Second, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, request)
		expectStatus(t, r, http.StatusOK)

		time.Sleep(29 * time.Second)
		io.WriteString(c, request[:5])
		time.Sleep(9 * time.Second) // past the idle limit, within the head's
		io.WriteString(c, request[5:]+request[:5])
		expectStatus(t, r, http.StatusOK)

		start := time.Now()
		expectStatus(t, r, http.StatusRequestTimeout)
		took(t, "408", start, 10*time.Second)
	})
}

// The idle limit is net/http's and silent.
func TestIdleTimeoutStays(t *testing.T) {
	inBubble(t, withTimeout(10*time.Second), 30*time.Second, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, request)
		expectStatus(t, r, http.StatusOK)
		start := time.Now()
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("%v, want an end of file", err)
		}
		took(t, "closed", start, 30*time.Second)
	})
}

func TestHeadTimeoutOff(t *testing.T) {
	inBubble(t, withTimeout(0), 0, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, request[:5])
		time.Sleep(time.Hour)
		io.WriteString(c, request[5:])
		expectStatus(t, r, http.StatusOK)
	})
}

// answerEarly answers without the body, which it gives five seconds more.
func answerEarly(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex()
	w.Header().Set("Content-Length", "5")
	io.WriteString(w, "early")
	_ = control.Flush()
	FromContext(r.Context()).DrainBody(5 * time.Second)
	r.Body.Close() // net/http's own, behind the handler, breaks where the two overlap
}

// A body that nobody wants any more ends in time or takes the connection with it,
// dribbled or stalled, in chunks or counted; what was to come of it is no request.
func TestBodyBehindItsAnswer(t *testing.T) {
	for _, tt := range []struct{ framing, begin, rest string }{
		{"Transfer-Encoding: chunked", "3\r\nabc\r\n", "2\r\nde\r\n0\r\n\r\n"},
		{"Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n", "A: b\r\n\r\n"},
		{"Content-Length: 100", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", strings.Repeat("x", 100-len(request))},
	} {
		post := "POST / HTTP/1.1\r\nHost: a\r\n" + tt.framing + "\r\n\r\n" + tt.begin
		for _, within := range []bool{true, false} {
			inBubble(t, wideLimits, 30*time.Second, func(c net.Conn, r *bufio.Reader) {
				sent := make(chan error, 1)
				go func() { _, err := io.WriteString(c, post); sent <- err }()
				answer, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				body := make([]byte, len("early"))
				if _, err := io.ReadFull(answer.Body, body); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if !within {
					io.Copy(io.Discard, r)
					took(t, tt.framing+": closed", start, 5*time.Second)
					return
				}
				time.Sleep(4 * time.Second)
				io.WriteString(c, tt.rest)
				io.Copy(io.Discard, answer.Body)
				time.Sleep(10 * time.Second) // past the body's time, within the idle limit
				io.WriteString(c, request)
				expectStatus(t, r, http.StatusOK)
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		}
	}
}
