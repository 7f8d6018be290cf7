package e2e

// Bodies and what frames them, both ways: raw bytes in, exact bytes out.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// site starts a proxy with one plain route to a backend.
func site(t *testing.T, address string) *proxy {
	t.Helper()
	return start(t, web+`routes: {all: {match: {path_prefix: /}, to: "http://`+address+`"}}`)
}

func TestRequestBodies(t *testing.T) {
	t.Parallel()
	p := site(t, proxytest.Mirror(t).Addr)
	big := strings.Repeat("0123456789", 30_000)
	for name, tt := range map[string]struct {
		text     string
		body     string
		length   int64 // as the backend sees it, -1 for chunked
		trailers http.Header
	}{
		"no body":          {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "", 0, nil},
		"length":           {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello", 5, nil},
		"leading zeros":    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nhello", "hello", 5, nil},
		"length 0":         {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "", 0, nil},
		"GET with one":     {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello", 5, nil},
		"DELETE with one":  {"DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello", 5, nil},
		"odd method":       {"PROPFIND / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello", 5, nil},
		"chunked":          {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", -1, nil},
		"Chunked":          {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", -1, nil},
		"empty chunked":    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", -1, nil},
		"chunk extensions": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", "hello", -1, nil},
		"large chunks":     {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%X\r\n%s\r\n", len(big), big) + "0\r\n\r\n", big, -1, nil},
		"trailers":         {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Cookie\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\nX-Other: 1\r\n\r\n", "", 400, nil},
		"a trailer": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\nX-Undeclared: 1\r\n\r\n", "hello", -1,
			http.Header{"X-Sum": {"42"}}},
		"a dangerous trailer": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Forwarded-For\r\n\r\n5\r\nhello\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n", "hello", -1, nil},
		"an undeclared one":   {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n", "hello", -1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			client := connect(t, p)
			client.Send(tt.text)
			answer, body := client.Response("POST")
			if tt.length == 400 {
				if answer.StatusCode != 400 {
					t.Errorf("%d %q, wanted 400", answer.StatusCode, body)
				}
				return
			}
			seen := decodeSeen(t, reply{answer.StatusCode, answer.Header, body})
			if seen.Body != tt.body || seen.Length != tt.length {
				t.Errorf("the backend got %.80q of length %d, wanted %.80q and %d", seen.Body, seen.Length, tt.body, tt.length)
			}
			if fmt.Sprint(seen.Trailer) != fmt.Sprint(tt.trailers) {
				t.Errorf("the backend got trailers %v, wanted %v", seen.Trailer, tt.trailers)
			}
			if got := ask(t, client, request("GET /next HTTP/1.1", "Host: a")); decodeSeen(t, got).Target != "/next" {
				t.Errorf("the next request: %q", got.body)
			}
		})
	}
}

// TestAnswersExactly is what a client's socket reads, the Date and the backend's
// choice of framing apart.
func TestAnswersExactly(t *testing.T) {
	t.Parallel()
	const date = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
	b := newWire(t, map[string]script{
		"/length":   keep("HTTP/1.1 200 OK\r\n" + date + "Content-Length: 5\r\n\r\nhello"),
		"/chunked":  keep("HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
		"/eof":      say("HTTP/1.1 200 OK\r\n" + date + "\r\nhello"),
		"/204":      keep("HTTP/1.1 204 No Content\r\n" + date + "\r\n"),
		"/304":      keep("HTTP/1.1 304 Not Modified\r\n" + date + "Content-Length: 5\r\nETag: \"x\"\r\n\r\n"),
		"/head":     keep("HTTP/1.1 200 OK\r\n" + date + "Content-Length: 5\r\n\r\n"),
		"/headless": keep("HTTP/1.1 200 OK\r\n" + date + "\r\n"),
		"/trailers": keep("HTTP/1.1 200 OK\r\n" + date + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"),
		"/hints":    keep("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\n\r\nok"),
		"/reason":   keep("HTTP/1.1 299 Our Own\r\n" + date + "Content-Length: 0\r\n\r\n"),
		"/bare":     keep("HTTP/1.1 200 OK\n" + strings.TrimSuffix(date, "\r\n") + "\nContent-Length: 2\n\nok"),
		"/encoded":  keep("HTTP/1.1 200 OK\r\n" + date + "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x00"),
		"/cookies":  keep("HTTP/1.1 200 OK\r\n" + date + "Set-Cookie: a=b\r\nSet-Cookie: c=d; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"),
	})
	p := site(t, b.Addr)

	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + date + "\r\nhello"},
		{"GET", "/chunked", "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"GET", "/eof", "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"GET", "/204", "HTTP/1.1 204 No Content\r\n" + date + "\r\n"},
		{"GET", "/304", "HTTP/1.1 304 Not Modified\r\n" + date + "ETag: \"x\"\r\n\r\n"},
		{"HEAD", "/head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + date + "\r\n"},
		{"HEAD", "/headless", "HTTP/1.1 200 OK\r\n" + date + "\r\n"},
		{"GET", "/trailers", "HTTP/1.1 200 OK\r\n" + date + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"},
		{"GET", "/hints", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + date + "\r\nok"},
		{"GET", "/reason", "HTTP/1.1 299 status code 299\r\nContent-Length: 0\r\n" + date + "\r\n"},
		{"GET", "/bare", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + date + "\r\nok"},
		{"GET", "/encoded", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n" + date + "\r\n\x1f\x8b\x00"},
		{"GET", "/cookies", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + date + "Set-Cookie: a=b\r\nSet-Cookie: c=d; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"},
	} {
		client := connect(t, p)
		// The second request's answer ends the first's.
		client.Send(request(tt.method+" "+tt.path+" HTTP/1.1", "Host: a") + request("GET /own%2F HTTP/1.1", "Host: a", "Connection: close"))
		got, _, found := strings.Cut(client.Rest(), "HTTP/1.1 400 ")
		if got != tt.want || !found {
			t.Errorf("%s %s: the client got\n%q, wanted\n%q", tt.method, tt.path, got, tt.want)
		}
	}
}

// TestPipelined requests are answered in order, each from its own route.
func TestPipelined(t *testing.T) {
	t.Parallel()
	p := start(t, web+fill(`
routes:
  mirror: {match: {path_prefix: /mirror}, to: "http://$mirror"}
  own:    {match: {path_prefix: /own}, respond: {body: own}}
`, map[string]string{"mirror": proxytest.Mirror(t).Addr}))
	client := connect(t, p)
	const n = 50
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "POST /mirror/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i)
		text.WriteString("GET /own HTTP/1.1\r\nHost: a\r\n\r\n\r\n") // an empty line too many
		fmt.Fprintf(&text, "POST /mirror/c%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", i)
	}
	client.Send(text.String())
	for i := range n {
		for _, want := range []string{fmt.Sprintf("/mirror/%d", i), "", fmt.Sprintf("/mirror/c%d", i)} {
			answer, body := client.Response("POST")
			if want == "" {
				if body != "own" {
					t.Fatalf("%d: %d %q, wanted our own answer", i, answer.StatusCode, body)
				}
				continue
			}
			if seen := decodeSeen(t, reply{answer.StatusCode, answer.Header, body}); seen.Target != want || seen.Body != "abc" {
				t.Fatalf("%d: the backend got %s %q, wanted %s", i, seen.Target, seen.Body, want)
			}
		}
	}
}

// TestExpectContinue: the client's body waits for the backend's 100, and is
// never sent when the backend refuses first.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	refused := make(chan string, 1)
	b := newWire(t, map[string]script{
		"/take": func(conn net.Conn, in *bufio.Reader, _ string) bool {
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
			body := make([]byte, 5)
			io.ReadFull(in, body)
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%s", body)
			return true
		},
		"/refuse": func(conn net.Conn, in *bufio.Reader, _ string) bool {
			io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
			rest, _ := io.ReadAll(in)
			refused <- string(rest)
			return false
		},
	})
	p := site(t, b.Addr)
	head := func(path string) string {
		return request("POST "+path+" HTTP/1.1", "Host: a", "Content-Length: 5", "Expect: 100-continue")
	}

	client := connect(t, p)
	client.Send(head("/take"))
	if line, err := client.Reader.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v, wanted a 100", line, err)
	}
	client.Reader.ReadString('\n')
	client.Send("hello")
	if answer, body := client.Response("POST"); answer.StatusCode != 200 || body != "hello" {
		t.Errorf("%d %q, wanted the body back", answer.StatusCode, body)
	}

	client = connect(t, p)
	client.Send(head("/refuse"))
	if got, err := client.Reader.Peek(12); string(got) != "HTTP/1.1 413" {
		t.Errorf("%q, %v, wanted the backend's 413 and no 100", got, err)
	}
	client.Close()
	if rest := arrives(t, refused); rest != "" {
		t.Errorf("the backend got %q behind its refusal", rest)
	}
}
