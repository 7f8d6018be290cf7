// Where an answer ends (RFC 9112 section 6.3), read strictly. Of the head only what
// frames the body is looked at; http.Transport parses the bytes. Invariant: what is
// accepted here, net/http frames the same way.
//
// A bare LF ends a line of the head, as RFC 9112 section 2.2 allows and old backends
// need: the head is written anew for the client, so that no other parser has to agree on
// it. But the first line's end decides for the head: where LF and CRLF are mixed, a value
// that the backend took from elsewhere may have brought a line of its own. In chunked
// framing a bare LF ends nothing.

package h1

import (
	"bytes"
	"fmt"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// MaxResponseHead bounds the bytes of an answer's head, interim answers included.
const MaxResponseHead = 64 << 10

const maxResponseLines = 256 // of a head, and of a trailer section

// ResponseError is an answer of a backend whose framing is ambiguous or wrong. The
// connection it came on is not used again.
type ResponseError struct {
	Reason string // what was found, and what was wanted
}

func (e *ResponseError) Error() string { return "answer of the backend: " + e.Reason }

func badResponse(format string, args ...any) error {
	return &ResponseError{Reason: fmt.Sprintf(format, args...)}
}

type responseState uint8

const (
	noResponse responseState = iota // none is due
	inStatusLine
	inHeader  // a header line, or the empty one
	inBody    // left bytes of the body
	inChunked // a body in chunks
	inTrailer // a trailer line, or the empty one
	untilEOF  // all that comes
)

// response follows one connection's answers, in any split of their bytes. One
// goroutine at a time. Its zero value waits for begin.
type response struct {
	state  responseState
	noBody bool // of a HEAD request: no body, whatever the head says
	asked  bool // the request asked for an upgrade: a 101 ends HTTP

	names *spelling.Names // if not nil, how the names of the head are spelled

	line  []byte // the beginning of a line that is not complete yet
	bytes int    // of the present head or trailer section
	lines int

	status  int
	http10  bool
	bareLF  bool // ends the head's lines
	login   bool // it asks for a login of the connection, see AsksLogin
	closes  bool // the backend closes the connection behind it
	length  string
	chunked bool
	left    int64 // of a body with Content-Length
	chunks  chunks
}

// begin expects one answer to a request of that method; false if another one
// is not finished. names may be nil.
func (r *response) begin(method string, names *spelling.Names) bool {
	if r.state != noResponse {
		return false
	}
	*r = response{state: inStatusLine, noBody: method == "HEAD", line: r.line[:0], names: names}
	return true
}

// follow returns how many of the bytes belong to the answer that is due. Fewer
// than given, without an error, means that it ended there.
func (r *response) follow(p []byte) (int, error) {
	at := 0
	for at < len(p) && r.state != noResponse {
		n, err := r.step(p[at:])
		if at += n; err != nil {
			return at, err
		}
	}
	return at, nil
}

// step takes a line, or as much of the body as there is.
func (r *response) step(p []byte) (int, error) {
	switch r.state {
	case untilEOF:
		return len(p), nil
	case inBody:
		n := min(int64(len(p)), r.left)
		if r.left -= n; r.left == 0 {
			r.state = noResponse
		}
		return int(n), nil
	case inChunked:
		n, done, err := r.chunks.scan(p)
		if err != nil {
			return n, badResponse("%v", err)
		}
		if done {
			r.state, r.bytes, r.lines = inTrailer, 0, 0
		}
		return n, nil
	}
	end := bytes.IndexByte(p, '\n') + 1
	if end == 0 {
		r.line = append(r.line, p...)
		return len(p), r.checkSize(len(r.line))
	}
	line := p[:end]
	if len(r.line) > 0 {
		r.line = append(r.line, line...)
		line = r.line
	}
	if err := r.checkSize(len(line)); err != nil {
		return 0, err
	}
	if err := r.takeLine(line); err != nil {
		return 0, err
	}
	r.line = r.line[:0]
	return end, nil
}

func (r *response) checkSize(line int) error {
	most, where := MaxResponseHead, "head"
	if r.state == inTrailer {
		most, where = maxTrailerBytes, "trailer section"
	}
	if r.bytes+line > most {
		return badResponse("%s over %d bytes", where, most)
	}
	return nil
}

// takeLine is given a complete line with its line end.
func (r *response) takeLine(line []byte) error {
	text, crlf := bytes.CutSuffix(line, []byte("\r\n"))
	if !crlf {
		text = line[:len(line)-1]
	}
	if bytes.IndexByte(text, '\r') >= 0 {
		return badResponse("carriage return inside the line %.80q", text)
	}
	r.bytes += len(line)
	switch {
	case r.state == inStatusLine:
		r.bareLF = !crlf
		return r.takeStatus(text)
	case r.state == inTrailer && !crlf:
		return badResponse("bare line feed in the trailer section")
	case r.state == inHeader && r.bareLF == crlf:
		return badResponse("LF and CRLF mixed in the head, at the line %.80q", text)
	case len(text) > 0:
		return r.takeField(text)
	case r.state == inHeader:
		return r.endHead()
	}
	r.state = noResponse
	return nil
}

func (r *response) takeStatus(text []byte) error {
	version, rest, _ := bytes.Cut(text, space)
	r.http10 = string(version) == "HTTP/1.0"
	if !r.http10 && string(version) != "HTTP/1.1" {
		return badResponse("status line %.80q: want HTTP/1.1 or HTTP/1.0", text)
	}
	code, _, _ := bytes.Cut(rest, space)
	status, err := parseLength(code)
	if err != nil || len(code) != 3 || status < 100 {
		return badResponse("status line %.80q: want a status of three digits", text)
	}
	switch { // RFC 9110 section 7.8
	case status == 101 && !r.asked:
		return badResponse("status 101 to a request that asked for no upgrade")
	case status == 101 && r.http10:
		return badResponse("status 101 in HTTP/1.0")
	}
	r.status, r.length, r.chunked, r.state = int(status), "", false, inHeader
	r.login, r.closes = false, r.http10
	if r.names != nil {
		*r.names = nil // of an interim answer
	}
	return nil
}

// takeField looks at a header or trailer line. A folded line (obs-fold) has no name,
// and may be refused by a proxy (RFC 9112 section 5.2).
func (r *response) takeField(text []byte) error {
	if r.lines++; r.lines > maxResponseLines {
		return badResponse("more than %d header lines", maxResponseLines)
	}
	f, err := parseField(text)
	if err == nil && r.state == inHeader && r.names != nil {
		r.names.Note(f.Name)
	}
	switch {
	case err != nil:
		return badResponse("header line %.80q: want a name and a colon", text)
	case r.state == inTrailer, r.status < 200: // an interim answer ends with its head, whatever it says
	case httpsyntax.EqualFold(f.Name, "content-length"):
		return r.takeLength(f.Value)
	case httpsyntax.EqualFold(f.Name, "transfer-encoding"):
		if r.chunked || !httpsyntax.EqualFold(f.Value, "chunked") {
			return badResponse("transfer encoding %.80q: want chunked, once", f.Value)
		}
		r.chunked = true
	case httpsyntax.EqualFold(f.Name, "www-authenticate"):
		r.login = r.login || namesLogin(string(f.Value))
	case httpsyntax.EqualFold(f.Name, "connection") && bytes.Contains(bytes.ToLower(f.Value), []byte("close")):
		r.closes = true
	}
	return nil
}

func (r *response) takeLength(value []byte) (err error) {
	if r.length != "" && r.length != string(value) {
		return badResponse("content length %q and %q: want one", r.length, value)
	}
	if r.left, err = parseLength(value); err != nil {
		return badResponse("content length %.80q: want a decimal number", value)
	}
	r.length = string(value)
	return nil
}

// endHead decides how the body ends.
func (r *response) endHead() error {
	if r.chunked && r.length != "" {
		return badResponse("content length %q beside a transfer encoding", r.length)
	}
	if r.chunked && r.http10 {
		return badResponse("transfer encoding in HTTP/1.0")
	}
	switch {
	case r.status == 101: // what follows is the new protocol's
		r.state = untilEOF
	case r.status < 200: // interim: the answer is still to come
		r.state = inStatusLine
	case r.noBody || r.status == 204 || r.status == 304:
		r.state = noResponse
	case r.chunked:
		r.state, r.chunks = inChunked, chunks{ofBackend: true}
	case r.length == "":
		r.state = untilEOF
	case r.left == 0:
		r.state = noResponse
	default:
		r.state = inBody
	}
	return nil
}
