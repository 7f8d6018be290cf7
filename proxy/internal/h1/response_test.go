package h1

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// responses, each followed by another answer's first bytes. A want of "" is an
// answer that ends where rest begins.
var responses = []struct {
	name, method, text, rest string
	want                     string
}{
	{name: "length", text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", rest: "HTTP"},
	{name: "length 0", text: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", rest: "x"},
	{name: "no reason", text: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", rest: "x"},
	{name: "equal lengths", text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\ncontent-length:3 \r\n\r\nabc", rest: "x"},
	{name: "bare line feeds", text: "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", rest: "x"},
	{name: "chunked", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0 \r\n\r\n", rest: "x"},
	{name: "trailers", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC:\r\n\r\n", rest: "x"},
	{name: "to the end", text: "HTTP/1.1 200 OK\r\n\r\nwhatever\r\nHTTP/1.1 200 OK\r\n\r\n"},
	{name: "to the end, 1.0", text: "HTTP/1.0 200 OK\r\n\r\nwhatever"},
	{name: "HEAD", method: "HEAD", text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", rest: "abc"},
	{name: "HEAD, chunked", method: "HEAD", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", rest: "0"},
	{name: "204", text: "HTTP/1.1 204 No Content\r\n\r\n", rest: "x"},
	{name: "204 with a length", text: "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", rest: "abc"},
	{name: "304 with a length", text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", rest: "abc"},
	{name: "interim", text: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", rest: "x"},

	{name: "bare line feeds in an interim head", text: "HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", rest: "x"},

	{name: "LF among CRLF", text: "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 3\r\n\r\n", want: "mixed"},
	{name: "CRLF among LF", text: "HTTP/1.1 200 OK\nA: b\r\nContent-Length: 3\n\n", want: "mixed"},
	{name: "LF behind the head", text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\n", want: "mixed"},
	{name: "CRLF behind the head", text: "HTTP/1.1 200 OK\nContent-Length: 3\n\r\n", want: "mixed"},
	{name: "LF behind the status line", text: "HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\n", want: "mixed"},
	{name: "mixed interim head", text: "HTTP/1.1 100 Continue\r\n\nHTTP/1.1 200 OK\r\n\r\n", want: "mixed"},
	{name: "101", text: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", want: "101"},
	{name: "no HTTP", text: "SSH-2.0-OpenSSH_9.7\r\n", want: "status line"},
	{name: "HTTP/2", text: "HTTP/2.0 200 OK\r\n\r\n", want: "want HTTP/1.1"},
	{name: "two digits", text: "HTTP/1.1 20 OK\r\n\r\n", want: "three digits"},
	{name: "two spaces", text: "HTTP/1.1  200 OK\r\n\r\n", want: "three digits"},
	{name: "099", text: "HTTP/1.1 099 OK\r\n\r\n", want: "three digits"},
	{name: "lengths differ", text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", want: `"3" and "4"`},
	{name: "list of lengths", text: "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n", want: "decimal"},
	{name: "signed", text: "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n", want: "decimal"},
	{name: "empty length", text: "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", want: "decimal"},
	{name: "2^64+3", text: "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551619\r\n\r\n", want: "decimal"},
	{name: "both", text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", want: "beside"},
	{name: "both, 204", text: "HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", want: "beside"},
	{name: "chunked twice", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", want: "once"},
	{name: "gzip, chunked", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", want: "want chunked"},
	{name: "identity", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", want: "want chunked"},
	{name: "vertical tab", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: \vchunked\r\n\r\n", want: "want chunked"},
	{name: "chunked in 1.0", text: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", want: "HTTP/1.0"},
	{name: "space before the colon", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n", want: "name and a colon"},
	{name: "folded", text: "HTTP/1.1 200 OK\r\nA: b\r\n Content-Length: 3\r\n\r\n", want: "name and a colon"},
	{name: "no name", text: "HTTP/1.1 200 OK\r\n: x\r\n\r\n", want: "name and a colon"},
	{name: "bare CR", text: "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 3\r\n\r\n", want: "carriage return"},
	{name: "CR CR LF", text: "HTTP/1.1 200 OK\r\n\r\r\n", want: "carriage return"},
	{name: "chunk size", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n", want: "chunk size"},
	{name: "huge chunk", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", want: "chunk size"},
	{name: "chunk with LF", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n", want: "chunk size"},
	{name: "long chunk", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", want: "end with CRLF"},
	{name: "long extension", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;" + strings.Repeat("x", 300) + "\r\nabc", want: "extension"},
	{name: "folded trailer", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n", want: "name and a colon"},
	{name: "long trailers", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + strings.Repeat("x", maxTrailerBytes), want: "trailer section"},
	{name: "long head", text: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", MaxResponseHead), want: "head over"},
	{name: "many lines", text: "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxResponseLines+1), want: "header lines"},
	{name: "mostly framing", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("x", 250)+"\r\na\r\n", 80), want: "more chunk framing"},
}

// followed gives text in pieces of that size and says how much of it passed.
func followed(method, text string, piece int) (int, error) {
	var a response
	a.begin(method, nil)
	passed := 0
	for passed < len(text) {
		part := text[passed:min(passed+piece, len(text))]
		n, err := a.follow([]byte(part))
		passed += n
		if err != nil || n < len(part) {
			return passed, err
		}
	}
	return passed, nil
}

func TestResponse(t *testing.T) {
	for _, tt := range responses {
		for _, piece := range []int{1, 2, 7, 1 << 20} {
			passed, err := followed(tt.method, tt.text+tt.rest, piece)
			var bad *ResponseError
			switch {
			case tt.want == "" && (err != nil || passed != len(tt.text)):
				t.Errorf("%s in pieces of %d: %d bytes passed, %v, want %d", tt.name, piece, passed, err, len(tt.text))
			case tt.want != "" && (!errors.As(err, &bad) || !strings.Contains(bad.Reason, tt.want)):
				t.Errorf("%s in pieces of %d: got %v, want %q", tt.name, piece, err, tt.want)
			}
		}
	}
}

func TestResponseIsOneAtATime(t *testing.T) {
	var a response
	if n, err := a.follow([]byte("HTTP")); n != 0 || err != nil {
		t.Errorf("without a request: %d bytes passed, %v, want none", n, err)
	}
	if !a.begin("GET", nil) || a.begin("GET", nil) {
		t.Error("want one request to begin, and a second one not to")
	}
}

// FuzzResponse holds the invariant: what is accepted as an answer, net/http takes
// for the same answer, to the byte, in whatever pieces it comes.
func FuzzResponse(f *testing.F) {
	for _, tt := range responses {
		f.Add(tt.method == "HEAD", tt.text+tt.rest, 5)
	}
	f.Fuzz(func(t *testing.T, head bool, text string, piece int) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		whole, err := followed(method, text, len(text)+1)
		pieces, errPieces := followed(method, text, 1+max(piece, 0)%len(text+"x"))
		if (err == nil) != (errPieces == nil) || err == nil && whole != pieces {
			t.Fatalf("whole: %d, %v; in pieces: %d, %v", whole, err, pieces, errPieces)
		}
		if err != nil || whole == len(text) {
			return // refused, or perhaps not at its end yet
		}
		if end := netHTTPEnd(t, method, text); end != whole {
			t.Fatalf("the answer ends at %d, net/http says %d", whole, end)
		}
	})
}

// netHTTPEnd is where net/http sees the answer's end.
func netHTTPEnd(t *testing.T, method, text string) int {
	source := strings.NewReader(text)
	reader := bufio.NewReader(source)
	for {
		res, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			t.Skip("net/http refuses its text, which is stricter still")
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Skip("net/http refuses its body, which is stricter still")
		}
		if res.StatusCode >= 200 {
			return len(text) - source.Len() - reader.Buffered()
		}
	}
}
