package forward

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// What a backend may do wrong before its answer's head is whole, and the
// client's connection stays usable after all of it.
func TestBackendTrouble(t *testing.T) {
	for _, tt := range []struct{ name, answer string }{
		{"closes at once", ""},
		{"garbage", "garbage\r\n\r\n"},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-"},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"101 without a word", "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
		{"length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"},
		{"unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
		{"long head", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 70<<10) + "\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			backend := proxytest.NewRawBackend(t, proxytest.AnswerOnce(tt.answer))
			f := newFront(t, "http", backend.Addr, Policy{})
			client := proxytest.Dial(t, f.Addr)
			for range 2 {
				client.Send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				if res, body := client.Response("GET"); res.StatusCode != 502 || strings.Contains(body, backend.Addr) {
					t.Errorf("got %d %q, want a plain 502", res.StatusCode, body)
				}
				if o := f.next(t); o.Status != 502 || o.Err == nil || o.Answered {
					t.Errorf("outcome %+v", o)
				}
			}
		})
	}
}

// An answer of known length that breaks off before anything of it is out is a 502. The head
// of one of unknown length goes out at once, so that one is cut: see TestTruncatedAnswer.
func TestShortTruncatedAnswer(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 10\r\n\r\nabc"
	f := newFront(t, "http", proxytest.NewRawBackend(t, proxytest.AnswerOnce(answer)).Addr, Policy{})
	f.forwarder.flushDelay = proxytest.Patience // the end comes first, however busy the machine is
	client := proxytest.Dial(t, f.Addr)
	for range 2 { // the connection stays
		client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if res, _ := client.Response("GET"); res.StatusCode != 502 || res.Header["X-A"] != nil {
			t.Errorf("%d %v, want a 502", res.StatusCode, res.Header)
		}
		if o := f.next(t); o.Err == nil || errors.Is(o.Err, ErrClientGone) || o.Answered || o.Status != 502 {
			t.Errorf("outcome %+v, want the backend's fault", o)
		}
	}
}

// An answer that breaks off midway cannot be taken for a whole one.
func TestTruncatedAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"length":    "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("x", 9999),
		"chunked":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"bad chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
	} {
		f := newFront(t, "http", proxytest.NewRawBackend(t, proxytest.AnswerOnce(answer)).Addr, Policy{})
		res, err := http.Get(f.URL)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: the client took a part for the whole", name)
		}
		if o := f.next(t); o.Err == nil || errors.Is(o.Err, ErrClientGone) || !o.Answered || o.Status != 200 {
			t.Errorf("%s: outcome %+v, want the backend's fault", name, o)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestResponseTimeout(t *testing.T) {
	silent := proxytest.NewRawBackend(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	f := newFront(t, "http", silent.Addr, Policy{ResponseTimeout: 50 * time.Millisecond})
	for _, raw := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
	} {
		client := proxytest.Dial(t, f.Addr)
		client.Send(raw)
		if res, _ := client.Response("GET"); res.StatusCode != 504 {
			t.Errorf("got %d, want 504", res.StatusCode)
		}
		var timeout *ResponseTimeoutError
		if o := f.next(t); o.Status != 504 || !errors.As(o.Err, &timeout) {
			t.Errorf("outcome %+v", o)
		}
	}
}

func TestConnectTimeout(t *testing.T) {
	silent := proxytest.NewRawBackend(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	f := newFront(t, "https", silent.Addr, Policy{ConnectTimeout: 50 * time.Millisecond})
	client := proxytest.Dial(t, f.Addr)
	client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if res, _ := client.Response("GET"); res.StatusCode != 504 {
		t.Errorf("got %d, want 504", res.StatusCode)
	}
	if o := f.next(t); o.Status != 504 {
		t.Errorf("outcome %+v", o)
	}
}

// The timeout is the backend's: a client may take hours over its body, and the
// backend's time begins anew with each part it is given.
func TestTimeoutCountsSilenceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		client, body := io.Pipe()
		x := &exchange{
			in:    &http.Request{Body: client},
			hop:   Hop{Policy: &Policy{}},
			clock: newSilence(time.Second, cancel),
		}
		time.Sleep(time.Hour) // the dial
		x.clock.start()
		time.Sleep(900 * time.Millisecond)
		go func() {
			time.Sleep(time.Hour)
			body.Write([]byte("part"))
		}()
		if _, err := newRequestBody(x).Read(make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(900 * time.Millisecond)
		if ctx.Err() != nil {
			t.Fatal("a slow client was counted as a silent backend")
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		var timeout *ResponseTimeoutError
		if !errors.As(context.Cause(ctx), &timeout) {
			t.Errorf("got %v, want the timeout", context.Cause(ctx))
		}
	})
}

func TestSilenceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := newSilence(time.Second, cancel)
		s.start()
		s.end()
		s.start() // as a body that is read late does
		var off *silence = newSilence(0, cancel)
		off.start()
		off.stop()
		off.end()
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Error("the clock ran on after its end")
		}
	})
}

func TestBodyLimit(t *testing.T) {
	f := newFront(t, "http", proxytest.Mirror(t).Addr, Policy{BodyBytes: 4})
	for raw, want := range map[string]int{
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd":                                      200,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde":                                     413,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n":                  413,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n":           200,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n": 413,
	} {
		client := proxytest.Dial(t, f.Addr)
		client.Send(raw)
		if res, _ := client.Response("POST"); res.StatusCode != want {
			t.Errorf("%q: got %d, want %d", raw, res.StatusCode, want)
		}
		var large *BodyTooLargeError
		if o := f.next(t); o.Status != want || errors.As(o.Err, &large) != (want == 413) {
			t.Errorf("%q: outcome %+v", raw, o)
		}
	}
}

func TestClientGoesWhileWaiting(t *testing.T) {
	arrived := make(chan struct{})
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		proxytest.ReadHead(bufio.NewReader(conn))
		close(arrived)
		io.Copy(io.Discard, conn)
	})
	f := newFront(t, "http", backend.Addr, Policy{})
	client := proxytest.Dial(t, f.Addr)
	client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-arrived
	client.Close()
	if o := f.next(t); o.Status != StatusClientGone || !errors.Is(o.Err, ErrClientGone) || o.Answered {
		t.Errorf("outcome %+v, want 499", o)
	}
}

func TestClientBreaksOffItsBody(t *testing.T) {
	f := newFront(t, "http", proxytest.Mirror(t).Addr, Policy{})
	for _, raw := range []string{
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		client := proxytest.Dial(t, f.Addr)
		client.Send(raw)
		client.CloseWrite()
		if o := f.next(t); o.Status != StatusClientGone || !errors.Is(o.Err, ErrClientGone) {
			t.Errorf("%q: outcome %+v, want 499", raw, o)
		}
		client.Rest()
	}
}

func TestClientGoesWhileAnswered(t *testing.T) {
	backend := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	f := newFront(t, "http", backend.Addr, Policy{})
	client := proxytest.Dial(t, f.Addr)
	client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	client.Reader.ReadString('\n')
	client.Close()
	if o := f.next(t); o.Status != 200 || !o.Answered || !errors.Is(o.Err, ErrClientGone) {
		t.Errorf("outcome %+v, want 200 and the client gone", o)
	}
}

func TestRefusedRequests(t *testing.T) {
	backend := upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: "http", Authority: "nobody.invalid"})
	for _, tt := range []struct {
		method, path, query string
		want                int
	}{
		{"CONNECT", "/", "", 405},
		{"GET", "", "", 400},
		{"GET", "*", "", 400},
		{"GET", "http://h/", "", 400},
		{"GET", "/a b", "", 400},
		{"GET", "/", "?x HTTP/1.1\r\nA: b", 400},
		{"GET", "/\x7f", "", 400},
	} {
		var got int
		f := Forwarder{Fail: func(_ http.ResponseWriter, _ *http.Request, status int, _ error) { got = status }}
		r, _ := http.NewRequest(tt.method, "http://h/", nil)
		f.Forward(nil, r, Hop{Backend: backend, Policy: &Policy{}, Path: tt.path, Query: tt.query})
		if got != tt.want {
			t.Errorf("%s %q ? %q: got %d, want %d", tt.method, tt.path, tt.query, got, tt.want)
		}
	}
}

func TestUnasked101IsRefusedHereToo(t *testing.T) {
	x := &exchange{hop: Hop{Policy: &Policy{}, Outcome: new(Outcome)}}
	if err := x.modify(&http.Response{StatusCode: 101}); err == nil {
		t.Error("want an error")
	}
}

func TestStatus(t *testing.T) {
	dial := func(err error) error {
		return fmt.Errorf("try: %w", &upstream.DialError{Stage: upstream.StageConnect, Err: err})
	}
	for _, tt := range []struct {
		err  error
		want int
	}{
		{errors.New("anything"), 502},
		{dial(errors.New("refused")), 502},
		{dial(context.DeadlineExceeded), 504},
		{dial(&net.OpError{Op: "dial", Err: context.DeadlineExceeded}), 504},
		{context.Canceled, 499},
		{&ResponseTimeoutError{}, 504},
		{context.DeadlineExceeded, 504},
		{&BodyTooLargeError{Limit: 1}, 413},
		{&BadRequestError{}, 400},
		{&MethodError{}, 405},
		{&h1.ResponseError{}, 502},
		{fmt.Errorf("%w: %w", ErrClientGone, io.ErrUnexpectedEOF), 499},
	} {
		if got := Status(tt.err); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.err, got, tt.want)
		}
	}
}
