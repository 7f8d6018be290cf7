package h1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// scripted is a client whose bytes come in given pieces. Its deadlines do
// nothing, and what is written to it is kept.
type scripted struct {
	rest    []byte
	piece   func() int // how many bytes the next Read brings at most
	written bytes.Buffer
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(len(s.rest), max(1, s.piece()))])
	s.rest = s.rest[n:]
	return n, nil
}

func (s *scripted) Write(p []byte) (int, error)      { return s.written.Write(p) }
func (s *scripted) Close() error                     { return nil }
func (s *scripted) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// pieces makes Reads that bring n bytes each; with 0 everything at once.
func pieces(n int) func() int {
	if n == 0 {
		n = 1 << 30
	}
	return func() int { return n }
}

// message is one request as a reader of HTTP understood it.
type message struct {
	Method, Target, Host string
	Minor                int
	Header               http.Header
	Body                 string
	Trailer              http.Header
}

// reading is all that was understood of a connection, and how it ended.
type reading struct {
	messages []message
	upgrade  bool   // the last message asks for an upgrade:
	behind   string // and this came behind it
	refused  error  // a Violation, or nil
}

// throughGate lets net/http read the bytes that the gate passes on.
func throughGate(t *testing.T, data []byte, piece func() int) reading {
	return throughGateAfter(t, data, piece, func(*Conn) {})
}

// throughGateAfter does so once before has had the gate.
func throughGateAfter(t *testing.T, data []byte, piece func() int, before func(*Conn)) reading {
	client := &scripted{rest: data, piece: piece}
	var told []string
	g := Wrap(client, testLimits, func(_ int, reason string) string { told = append(told, reason); return "" }).(*Conn)
	before(g)
	r := bufio.NewReader(g)
	var got reading
	for {
		m, err := readMessage(r)
		if err != nil {
			got.refused = checkEnd(t, g, err)
			break
		}
		got.messages = append(got.messages, m)
		if g.currentState() == holding {
			got.upgrade = true
			break
		}
	}
	if v, _ := got.refused.(*Violation); v != nil && (len(told) != 1 || told[0] != v.Reason) || v == nil && len(told) > 0 {
		t.Errorf("told of %q, ended with %v", told, got.refused)
	}
	if got.upgrade {
		if n := r.Buffered(); n > 0 {
			t.Errorf("%d bytes behind an upgrade request went to net/http", n)
		}
		_, early, _ := g.Detach()
		got.behind = string(early) + string(client.rest)
	}
	return got
}

// readMessage reads one request as net/http does.
func readMessage(r *bufio.Reader) (message, error) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return message{}, err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return message{}, err
	}
	trailer := req.Trailer
	for name, values := range trailer {
		if values == nil {
			delete(trailer, name) // announced and not sent
		}
	}
	if len(trailer) == 0 {
		trailer = nil
	}
	return message{req.Method, req.RequestURI, req.Host, req.ProtoMinor, req.Header, string(body), trailer}, nil
}

// checkEnd sorts out why no more messages came: only the gate refuses, and
// otherwise the client has ended.
func checkEnd(t *testing.T, g *Conn, err error) error {
	if v := g.Violation(); v != nil {
		return v
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("net/http refuses what the gate let through: %v", err)
	}
	return nil
}

// byOracle reads the whole of data with ParseHead and the plainest decoder of
// bodies there can be: no state, no pieces.
func byOracle(data []byte) reading {
	var got reading
	for {
		data = skipBlank(data)
		h, n, err := ParseHead(data, nil, testLimits)
		if err != nil {
			return got
		}
		body, trailer, used, ok := decodeBody(h, data[n:])
		if !ok {
			return got
		}
		data = data[n+used:]
		got.messages = append(got.messages, message{
			string(h.Method), string(h.Target), string(h.Host), h.Minor, headerOf(h), body, trailer,
		})
		if h.Upgrade {
			got.upgrade, got.behind = true, string(data)
			return got
		}
	}
}

func skipBlank(data []byte) []byte {
	for range maxBlank {
		data = bytes.TrimPrefix(data, []byte("\r\n"))
	}
	return data
}

// headerOf is the header that net/http makes of a head's fields.
func headerOf(h Head) http.Header {
	header := http.Header{}
	for _, f := range h.Fields {
		header.Add(string(f.Name), string(f.Value))
	}
	header.Del("Host")
	header.Del("Transfer-Encoding")
	if h.Length == Chunked {
		header.Del("Trailer")
	}
	if pragma := header["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && header["Cache-Control"] == nil {
		header.Set("Cache-Control", "no-cache") // net/http adds that
	}
	return header
}

func decodeBody(h Head, data []byte) (body string, trailer http.Header, used int, ok bool) {
	if h.Length != Chunked {
		if h.Length > int64(len(data)) {
			return "", nil, 0, false
		}
		return string(data[:h.Length]), nil, int(h.Length), true
	}
	rest := string(data)
	for {
		line, after, found := strings.Cut(rest, "\r\n")
		size, ext, _ := strings.Cut(line, ";")
		n, err := strconv.ParseInt(size, 16, 64)
		if !found || err != nil || len(size) > 16 || strings.Trim(size, "0123456789abcdefABCDEF") != "" || hasControl(ext) {
			return "", nil, 0, false
		}
		if n == 0 {
			trailer, rest, ok = decodeTrailers(after)
			return body, trailer, len(data) - len(rest), ok
		}
		if int64(len(after)) < n+2 || after[n:n+2] != "\r\n" {
			return "", nil, 0, false
		}
		body, rest = body+after[:n], after[n+2:]
	}
}

func decodeTrailers(data string) (http.Header, string, bool) {
	var trailer http.Header
	for {
		line, rest, found := strings.Cut(data, "\r\n")
		if !found || line == "" {
			return trailer, rest, found
		}
		name, value, colon := strings.Cut(line, ":")
		if !colon || !httpsyntax.IsToken([]byte(name)) || hasControl(value) || isTrailerForbidden([]byte(name)) {
			return nil, "", false
		}
		if trailer == nil {
			trailer = http.Header{}
		}
		trailer.Add(name, strings.Trim(value, " \t"))
		data = rest
	}
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

var seeds = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\nGET http://b/ HTTP/1.0\r\n\r\n",
	"\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nPragma: no-cache\r\n\r\n\r\n",
	"POST /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /a%2fb?c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;x=\"y z\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX:  y \r\nZ:\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://A:81/x HTTP/1.1\r\nhost: a:81\r\nX: \xe9\t \r\nx: 2\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\nUpgrade: h2c\r\n\r\n\x81\x02hi",
	"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nbehind",
}

// FuzzGate: what the gate lets through, net/http reads as the parser does, in
// whatever pieces the bytes come; and everything that is wrong is the gate's to
// find.
func FuzzGate(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), 0)
		f.Add([]byte(s), 1)
		f.Add([]byte(s), 7)
	}
	for _, tt := range hostile {
		f.Add([]byte(tt.head), 0)
	}
	for _, tt := range badBodies {
		f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+tt.body+request), 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size < 0 || len(data) > 64<<10 {
			return
		}
		got := throughGate(t, data, pieces(size))
		compare(t, got, byOracle(data))
		whole := throughGate(t, data, pieces(0))
		if !reflect.DeepEqual(got, whole) {
			t.Errorf("in pieces of %d:\n%+v\nat once:\n%+v", size, got, whole)
		}
	})
}

// compare: limits on sizes inside bodies are not the oracle's, so that it may
// have read on where the gate refused.
func compare(t *testing.T, got, want reading) {
	t.Helper()
	switch got.refused {
	case errChunkExtension, errTrailerSize, errHeadFields:
		want.messages = want.messages[:min(len(want.messages), len(got.messages))]
		if len(want.messages) == 0 {
			want.messages = nil
		}
		want.upgrade, want.behind = false, ""
	}
	want.refused = got.refused
	if !reflect.DeepEqual(got, want) {
		t.Errorf("through the gate:\n%+v\nparsed:\n%+v", got, want)
	}
}

// Every place where a packet may end.
func TestGateSplitAnywhere(t *testing.T) {
	for _, s := range seeds {
		want := throughGate(t, []byte(s), pieces(0))
		compare(t, want, byOracle([]byte(s)))
		for i := range len(s) {
			first := true
			split := func() int {
				if first {
					first = false
					return i
				}
				return len(s)
			}
			if got := throughGate(t, []byte(s), split); !reflect.DeepEqual(got, want) {
				t.Errorf("%q split at %d:\n%+v\nwhole:\n%+v", s, i, got, want)
			}
		}
	}
}

// Sizes around net/http's buffer, where it reads single bytes, too.
func TestGateAroundBufferSizes(t *testing.T) {
	limits := testLimits
	defer func() { testLimits = limits }()
	testLimits = wideLimits
	for n := 4096 - 100; n <= 4096+100; n++ {
		fill := strings.Repeat("x", n)
		data := fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"+
			"GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n"+
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"+
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nX: %s\r\n\r\n"+
			request, fill, fill, n, fill, n, fill, strings.Repeat("y", min(n, maxTrailerBytes-len("X: \r\n\r\n"))))
		for _, size := range []int{0, 4095} {
			got := throughGate(t, []byte(data), pieces(size))
			compare(t, got, byOracle([]byte(data)))
			if len(got.messages) != 5 {
				t.Fatalf("%d messages of 5 with %d bytes in pieces of %d", len(got.messages), n, size)
			}
		}
	}
}

// FuzzParseHead: no panic; a head that ends is found at its end; a longer
// buffer changes nothing; a head found with fewer bytes is the same.
func FuzzParseHead(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	for _, tt := range hostile {
		f.Add([]byte(tt.head))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, n, err := ParseHead(data, nil, testLimits)
		var v *Violation
		if err != nil {
			if err != ErrIncomplete && (!errors.As(err, &v) || http.StatusText(v.Status) == "") {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if !bytes.HasSuffix(data[:n], []byte("\r\n\r\n")) {
			t.Errorf("the head %q does not end with an empty line", data[:n])
		}
		again, m, err := ParseHead(append(data[:n:n], "POST"...), nil, testLimits)
		if err != nil || m != n || printHead(again) != printHead(h) {
			t.Errorf("%s, %d\n%s, %d, %v", printHead(h), n, printHead(again), m, err)
		}
		if _, _, err := ParseHead(data[:n-1], nil, testLimits); err != ErrIncomplete {
			t.Errorf("without its last byte: %v", err)
		}
	})
}

// FuzzTarget: the two versions of HTTP and net/http read one path and one query out of
// a target.
func FuzzTarget(f *testing.F) {
	for _, target := range []string{"/", "/a?b", "/a?", "/a??b", "http://h/a", "https://h?b", "http://h", "*", "//h/a", "/a%2Fb//%2e%2e?%2f", "/http://h/a?http://b", "/a;b=c", "/%"} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		head := "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n"
		_, refused := parseRequestLine([]byte("GET " + target + " HTTP/1.1"))
		two := &http.Request{Method: "GET", RequestURI: target, Host: "h", ProtoMajor: 2}
		if strings.HasPrefix(target, "/") && (CheckHTTP2(two) == nil) != (refused == nil) {
			t.Errorf("%q: HTTP/2 says %v, HTTP/1.1 %v", target, CheckHTTP2(two), refused)
		}
		if refused != nil || checkAuthorityForm([]byte(target), new([]byte)) != nil {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			t.Fatalf("%q: net/http refuses it: %v", target, err)
		}
		first, _, err := NewRequest(head)
		if err != nil || first.RequestURI != theirs.RequestURI || *first.URL != *theirs.URL {
			t.Errorf("%q: the first request is of %v, net/http's of %v (%v)", target, first.URL, theirs.URL, err)
		}
		path, query := CutTarget(theirs.RequestURI)
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded != theirs.URL.Path && !(path == "/" && theirs.URL.Path == "") {
			t.Errorf("%q: path %q, net/http's is %q (%v)", target, path, theirs.URL.Path, err)
		}
		if strings.TrimPrefix(query, "?") != theirs.URL.RawQuery || query == "?" && !theirs.URL.ForceQuery || query == "" && theirs.URL.ForceQuery {
			t.Errorf("%q: query %q, net/http's is %q", target, query, theirs.URL.RawQuery)
		}
	})
}
