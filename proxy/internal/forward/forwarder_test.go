package forward

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// front is a proxy of one backend for tests: every request takes its target
// from the request line as it stands.
type front struct {
	forwarder Forwarder
	*proxytest.Server
	backend  *upstream.Backend
	policy   Policy
	outcomes chan Outcome
}

func newFront(t testing.TB, scheme, authority string, policy Policy) *front {
	t.Helper()
	f := &front{
		backend: upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: scheme, Authority: authority}),
		policy:  policy, outcomes: make(chan Outcome, 1000),
	}
	f.Server = proxytest.Serve(t, f)
	t.Cleanup(f.backend.Close)
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, query := r.RequestURI, ""
	if at := strings.IndexByte(path, '?'); at >= 0 {
		path, query = path[:at], path[at:]
	}
	var outcome Outcome
	defer func() { f.outcomes <- outcome }()
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	f.forwarder.Forward(w, r, Hop{
		Backend: f.backend, Policy: &f.policy, Path: path, Query: query, ID: "id",
		Client: Client{Addr: peer, Host: r.Host}, Outcome: &outcome,
	})
}

// next is the outcome of the next request that ends.
func (f *front) next(t testing.TB) Outcome {
	t.Helper()
	select {
	case o := <-f.outcomes:
		return o
	case <-time.After(proxytest.Patience):
		t.Fatal("no request has ended")
	}
	return Outcome{}
}

// mirrored sends a raw request through a proxy of a mirror.
func mirrored(t *testing.T, policy Policy, raw, method string) proxytest.Seen {
	t.Helper()
	client := proxytest.Dial(t, newFront(t, "http", proxytest.Mirror(t).Addr, policy).Addr)
	client.Send(raw)
	res, body := client.Response(method)
	var seen proxytest.Seen
	if err := json.Unmarshal([]byte(body), &seen); err != nil || res.StatusCode != 200 {
		t.Fatalf("status %d, %q: %v", res.StatusCode, body, err)
	}
	return seen
}

func TestRequestAsTheBackendSeesIt(t *testing.T) {
	seen := mirrored(t, Policy{}, "PUT /a%2Bb/%7e/x?q=%2B;;%zz& HTTP/1.1\r\nHost: chat.example.com\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Forwarded-For: 1.1.1.1\r\nContent-Length: 3\r\n\r\nabc", "PUT")
	if seen.Target != "/a%2Bb/%7e/x?q=%2B;;%zz&" {
		t.Errorf("target %q, want it untouched", seen.Target)
	}
	if seen.Method != "PUT" || seen.Body != "abc" || seen.Length != 3 || seen.Proto != "HTTP/1.1" {
		t.Errorf("got %+v", seen)
	}
	if seen.Host != "chat.example.com" {
		t.Errorf("host %q, want the client's", seen.Host)
	}
	if got, want := lines(seen.Header), "Content-Length: 3\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Host: chat.example.com\nX-Forwarded-Proto: http\nX-Real-Ip: 127.0.0.1\nX-Request-Id: id"; got != want {
		t.Errorf("header\n%s\nwant\n%s", got, want) // and no User-Agent or Accept-Encoding of Go's
	}
}

func TestTargetsAreWrittenUnchanged(t *testing.T) {
	for _, target := range []string{"//a%2Bb/x", "//a%2F..%2fb//?", "//x/http://[::1]:1/%7e?a?", "/a//%2f?", "/a??", "//"} {
		seen := mirrored(t, Policy{Host: HostClient}, "GET "+target+" HTTP/1.1\r\nHost: h\r\n\r\n", "GET")
		if seen.Target != target || seen.Host != "h" {
			t.Errorf("target %q, host %q, want %s and h", seen.Target, seen.Host, target)
		}
	}
}

func TestUpgradeIsNeverAsked(t *testing.T) {
	for _, headers := range []string{
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: " + proxytest.SampleKey,
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
		"Connection: Upgrade\r\nUpgrade: \xffodd",
	} {
		seen := mirrored(t, Policy{}, "GET / HTTP/1.1\r\nHost: h\r\n"+headers+"\r\n\r\n", "GET")
		for _, name := range []string{"Connection", "Upgrade", "Http2-Settings"} {
			if got := seen.Header.Get(name); got != "" {
				t.Errorf("%q: the backend got %s: %s", headers, name, got)
			}
		}
	}
}

func TestTrailersBothWays(t *testing.T) {
	seen := make(chan http.Header, 1)
	server := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
		w.Header().Set(http.TrailerPrefix+"X-Late", "43")
	}))
	client := proxytest.Dial(t, newFront(t, "http", server.Addr, Policy{}).Addr)
	client.Send("POST / HTTP/1.1\r\nHost: h\r\nTe: trailers\r\nTrailer: X-Check, X-Forwarded-For, Cookie\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"3\r\nabc\r\n0\r\nX-Check: 7\r\nX-Forwarded-For: 1.1.1.1\r\nCookie: a=b\r\n\r\n")
	res, body := client.Response("POST")
	if got := lines(<-seen); got != "X-Check: 7" {
		t.Errorf("the backend got trailers %q, want X-Check alone", got)
	}
	if got := lines(res.Trailer); body != "body" || got != "X-Late: 43\nX-Sum: 42" {
		t.Errorf("the client got %q and trailers %q", body, got)
	}
}

// Nothing waits for more: each event is with the client before the next is written,
// be the length known or not.
func TestStreaming(t *testing.T) {
	for name, head := range map[string]string{
		"event stream": "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
		"chunked":      "Transfer-Encoding: chunked\r\n",
		"until EOF":    "",
		"length":       "Content-Length: 9\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			turn := make(chan bool)
			backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
				proxytest.ReadHead(bufio.NewReader(conn))
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n", head)
				for _, event := range []string{"one", "two", "six"} {
					if !<-turn {
						return
					}
					if strings.Contains(head, "chunked") {
						event = "3\r\n" + event + "\r\n"
					}
					io.WriteString(conn, event)
				}
				if strings.Contains(head, "chunked") {
					io.WriteString(conn, "0\r\n\r\n")
				}
			})
			t.Cleanup(func() { close(turn) })
			res, err := http.Get(newFront(t, "http", backend.Addr, Policy{}).URL) // the head comes first
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			for _, want := range []string{"one", "two", "six"} {
				turn <- true
				got := make([]byte, 3)
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
			}
			if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
				t.Errorf("rest %q, %v", rest, err)
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

// A request's body streams too: the backend has its beginning before the client
// has sent its end.
func TestUploadIsNotBuffered(t *testing.T) {
	first := make(chan string, 1)
	backend := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 3)
		io.ReadFull(r.Body, part)
		first <- string(part)
		rest, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s", rest)
	}))
	client := proxytest.Dial(t, newFront(t, "http", backend.Addr, Policy{}).Addr)
	client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\none")
	if got := <-first; got != "one" {
		t.Errorf("the backend got %q first, want one", got)
	}
	client.Send("two")
	if _, body := client.Response("POST"); body != "two" {
		t.Errorf("got %q, want two", body)
	}
}

// A backend may answer while it still reads, and both go on, whole.
func TestBothWaysAtOnce(t *testing.T) {
	backend := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		control.EnableFullDuplex()
		control.Flush() // the head goes out before a byte is read
		io.Copy(w, r.Body)
	}))
	client := proxytest.Dial(t, newFront(t, "http", backend.Addr, Policy{}).Addr)
	client.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
	res, err := http.ReadResponse(client.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789abcdef", 1<<16)
	go fmt.Fprintf(client.Conn, "%x\r\n%s\r\n0\r\n\r\n", len(long), long)
	if got, err := io.ReadAll(res.Body); string(got) != long || err != nil {
		t.Errorf("%d bytes came back, %v, want the same %d", len(got), err, len(long))
	}
}

// 100 Continue is the backend's to give: without it, the body stays where it is.
func TestExpectContinue(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 100 Continue\r\n\r\n":                                "HTTP/1.1 100 Continue\r\n",
		"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n": "HTTP/1.1 417 Expectation Failed\r\n",
	} {
		backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
			r := bufio.NewReader(conn)
			proxytest.ReadHead(r)
			io.WriteString(conn, answer)
			body := make([]byte, 3)
			if _, err := io.ReadFull(r, body); err == nil {
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%s", body)
			}
		})
		client := proxytest.Dial(t, newFront(t, "http", backend.Addr, Policy{}).Addr)
		client.Send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		line, err := client.Reader.ReadString('\n')
		if line != want || err != nil {
			t.Fatalf("got %q, %v, want %q", line, err, want)
		}
		if !strings.Contains(want, "100") {
			continue
		}
		proxytest.ReadHead(client.Reader)
		client.Send("abc")
		if res, body := client.Response("POST"); res.StatusCode != 200 || body != "abc" {
			t.Errorf("got %d %q, want the body back", res.StatusCode, body)
		}
	}
}

func TestEarlyHints(t *testing.T) {
	backend := proxytest.NewRawBackend(t, proxytest.Answer("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
	client := proxytest.Dial(t, newFront(t, "http", backend.Addr, Policy{}).Addr)
	client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	head, err := proxytest.ReadHead(client.Reader)
	if !strings.HasPrefix(head, "HTTP/1.1 103 ") || proxytest.HeaderValue(head, "Link") != "</a.css>" || err != nil {
		t.Errorf("got %q, %v, want the 103", head, err)
	}
	res, body := client.Response("GET")
	if res.StatusCode != 200 || body != "hi" || res.Header.Get("Link") != "" {
		t.Errorf("got %d %q with Link %q", res.StatusCode, body, res.Header.Get("Link"))
	}
}

// Nothing is added to an answer but what the protocol wants.
func TestAnswerAsTheClientSeesIt(t *testing.T) {
	const date = "Mon, 02 Jan 2006 15:04:05 GMT"
	backend := proxytest.NewRawBackend(t, proxytest.Answer("HTTP/1.1 404 Gone Fishing\r\nDate: "+date+"\r\nConnection: X-Hop, Set-Cookie, Content-Length, Date\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nServer: s\r\nSet-Cookie: a=b\r\nContent-Length: 6\r\n\r\n<html>"))
	policy := Policy{Response: HeaderEdit{Set: []Header{{Name: "Server", Value: "ours"}}}}
	f := newFront(t, "http", backend.Addr, policy)
	client := proxytest.Dial(t, f.Addr)
	client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	res, body := client.Response("GET")
	if got, want := lines(res.Header), "Content-Length: 6\nDate: "+date+"\nServer: ours\nSet-Cookie: a=b"; got != want || body != "<html>" {
		t.Errorf("got\n%s\n%q\nwant\n%s", got, body, want)
	}
	if o := f.next(t); o.Status != 404 || !o.Answered || o.Err != nil {
		t.Errorf("outcome %+v", o)
	}
}

func TestHTTP2Client(t *testing.T) {
	f := &front{
		backend:  upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: "http", Authority: proxytest.Mirror(t).Addr}),
		outcomes: make(chan Outcome, 10),
	}
	t.Cleanup(f.backend.Close)
	server := httptest.NewUnstartedServer(f)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	res, err := server.Client().Post(server.URL+"/a%2Bb?x=%2B", "text/plain", io.NopCloser(strings.NewReader("abc")))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var seen proxytest.Seen
	if err := json.NewDecoder(res.Body).Decode(&seen); err != nil {
		t.Fatal(err)
	}
	if res.ProtoMajor != 2 || seen.Proto != "HTTP/1.1" || seen.Target != "/a%2Bb?x=%2B" || seen.Body != "abc" || seen.Length != -1 {
		t.Errorf("over HTTP/%d the backend saw %+v", res.ProtoMajor, seen)
	}
}

// An answer that is there already goes the same way as any other, and nobody
// is dialled.
func TestAnswerAtHand(t *testing.T) {
	nobody := upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "nobody.invalid"})
	for _, tt := range []struct {
		path string
		want int
	}{{"/chat", 403}, {"not a path", 400}} {
		body := &closing{Reader: strings.NewReader("no")}
		var outcome Outcome
		w := httptest.NewRecorder()
		(&Forwarder{}).Forward(w, httptest.NewRequest("GET", "/", nil), Hop{
			Backend: nobody, Policy: &Policy{Response: HeaderEdit{Remove: []string{"Server"}}}, Path: tt.path, Outcome: &outcome,
			Answer: &http.Response{StatusCode: 403, ContentLength: 2, Body: body, Header: header(t, "Server: s\nConnection: X-Hop\nX-Hop: 1\nX-Mine: 1")},
		})
		if w.Code != tt.want || outcome.Status != tt.want || outcome.Answered != (tt.want == 403) || !body.closed {
			t.Errorf("got %d, outcome %+v, closed %v, want %d", w.Code, outcome, body.closed, tt.want)
		}
		if tt.want == 403 && (w.Body.String() != "no" || lines(w.Header()) != "X-Mine: 1") {
			t.Errorf("got %q with\n%s", w.Body, lines(w.Header()))
		}
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestSchemes(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	leaf := proxytest.NewAuthority(t).Issue([]string{"127.0.0.1"})
	for _, tt := range []struct {
		scheme, authority string
		status            int
	}{
		{"ws", proxytest.Serve(t, hello).Addr, 200},
		{"unix+http", proxytest.ServeUnix(t, hello).Addr, 200},
		{"https", proxytest.ServeTLS(t, leaf, hello).Addr, 502}, // nobody knows its authority
		{"http", proxytest.Refused(t), 502},
	} {
		f := newFront(t, tt.scheme, tt.authority, Policy{})
		client := proxytest.Dial(t, f.Addr)
		client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		res, body := client.Response("GET")
		if res.StatusCode != tt.status || strings.Contains(body, tt.authority) {
			t.Errorf("%s: got %d %q, want %d", tt.scheme, res.StatusCode, body, tt.status)
		}
		var dial *upstream.DialError
		if o := f.next(t); (tt.status == 502) != errors.As(o.Err, &dial) || o.Status != tt.status || o.Answered != (tt.status == 200) {
			t.Errorf("%s: outcome %+v", tt.scheme, o)
		}
	}
}
