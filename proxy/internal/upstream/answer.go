package upstream

// Where an HTTP/1.1 answer ends (RFC 9112, section 6.3), read strictly. Of the
// head only what frames the body is looked at; the bytes are the transport's to
// parse. Invariant: what is accepted here, net/http frames the same way.
//
// A bare LF ends a line of the head, as RFC 9112 section 2.2 allows and old
// backends need: the head is written anew for the client, so that nobody else
// has to agree on it. But the first line's end decides for the head: where LF and
// CRLF are mixed, a value that the backend took from elsewhere may have brought a
// line of its own. In chunked framing a bare LF ends nothing.

import (
	"bytes"
	"strconv"
)

const (
	headLines  = 256 // of an answer's head and of its trailer section
	chunkLine  = 256 // bytes of a chunk's size and extensions
	trailBytes = 4 << 10
)

type answerState uint8

const (
	idle      answerState = iota // no answer is due
	atStatus                     // a status line
	atHeader                     // a header line, or the empty one
	atBody                       // left bytes of the body
	atChunk                      // a chunk's size line
	atData                       // left bytes of a chunk
	atDataEnd                    // the CRLF behind a chunk
	atTrailer                    // a trailer line, or the empty one
	untilEOF                     // all that comes
)

// answer follows one connection's answers, in any split of their bytes. One
// goroutine at a time. Its zero value waits for begin.
type answer struct {
	state answerState
	head  bool // a HEAD request: no body, whatever the head says
	asked bool // the request asked for an upgrade: a 101 ends HTTP

	line  []byte // the beginning of a line that is not whole yet
	bytes int    // of the present head or trailer section
	lines int

	status   int
	http10   bool
	bareLF   bool   // ends the head's lines
	login    bool   // it asks for a login of the connection, see Pins
	closes   bool   // the backend closes the connection behind it
	length   string // Content-Length as it stands; "" if none
	chunked  bool
	left     int64 // of the body or chunk
	overhead int64 // chunk framing in excess of the data it carries
}

// begin expects one answer to a request of that method; false if another one
// is not finished.
func (a *answer) begin(method string) bool {
	if a.state != idle {
		return false
	}
	*a = answer{state: atStatus, head: method == "HEAD", line: a.line[:0]}
	return true
}

// follow says how many of the bytes belong to the answer that is due. Fewer
// than given, without an error, means that it ended there.
func (a *answer) follow(p []byte) (int, error) {
	at := 0
	for at < len(p) && a.state != idle {
		n, err := a.step(p[at:])
		if err != nil {
			return at, err
		}
		at += n
	}
	return at, nil
}

// step takes a line, or as much of the body as there is.
func (a *answer) step(p []byte) (int, error) {
	switch a.state {
	case untilEOF:
		return len(p), nil
	case atBody, atData:
		return a.skip(p), nil
	}
	end := bytes.IndexByte(p, '\n') + 1
	if end == 0 {
		a.line = append(a.line, p...)
		return len(p), a.tooLong(len(a.line))
	}
	line := p[:end]
	if len(a.line) > 0 {
		a.line = append(a.line, line...)
		line = a.line
	}
	if err := a.tooLong(len(line)); err != nil {
		return 0, err
	}
	err := a.takeLine(line)
	a.line = a.line[:0]
	return end, err
}

func (a *answer) skip(p []byte) int {
	n := min(int64(len(p)), a.left)
	if a.left -= n; a.left == 0 {
		if a.state == atBody {
			a.state = idle
		} else {
			a.state = atDataEnd
		}
	}
	return int(n)
}

func (a *answer) tooLong(line int) error {
	switch {
	case a.state <= atHeader && a.bytes+line > headBytes:
		return badAnswer("head over %d bytes", headBytes)
	case a.state == atTrailer && a.bytes+line > trailBytes:
		return badAnswer("trailer section over %d bytes", trailBytes)
	case a.state == atChunk && line > chunkLine:
		return badAnswer("chunk size line over %d bytes", chunkLine)
	case a.state == atDataEnd && line > len("\r\n"):
		return badAnswer("chunk longer than its size says")
	}
	return nil
}

// takeLine is given a whole line with its line end.
func (a *answer) takeLine(line []byte) error {
	text, crlf := bytes.CutSuffix(line, []byte("\r\n"))
	if !crlf {
		text = line[:len(line)-1]
	}
	if bytes.IndexByte(text, '\r') >= 0 {
		return badAnswer("carriage return inside the line %.80q", text)
	}
	a.bytes += len(line)
	switch a.state {
	case atStatus:
		a.bareLF = !crlf
		return a.takeStatus(text)
	case atHeader:
		if a.bareLF == crlf {
			return badAnswer("LF and CRLF mixed in the head, at the line %.80q", text)
		}
		return a.takeHeader(text)
	}
	if !crlf {
		return badAnswer("bare line feed in chunked framing")
	}
	switch a.state {
	case atChunk:
		return a.takeChunk(text)
	case atDataEnd:
		a.state = atChunk
		return nil
	}
	return a.takeTrailer(text)
}

func (a *answer) takeStatus(text []byte) error {
	version, rest, _ := bytes.Cut(text, []byte(" "))
	a.http10 = string(version) == "HTTP/1.0"
	if !a.http10 && string(version) != "HTTP/1.1" {
		return badAnswer("status line %.80q: want HTTP/1.1 or HTTP/1.0", text)
	}
	code, _, _ := bytes.Cut(rest, []byte(" "))
	status, ok := decimal(code)
	if !ok || len(code) != 3 || status < 100 {
		return badAnswer("status line %.80q: want a status of three digits", text)
	}
	if status == 101 {
		if err := a.checkSwitch(); err != nil {
			return err
		}
	}
	a.status, a.length, a.chunked, a.state = int(status), "", false, atHeader
	a.login, a.closes = false, a.http10
	return nil
}

// checkSwitch: nobody switches without being asked, and HTTP/1.0 knows no
// upgrades (RFC 9110, section 7.8).
func (a *answer) checkSwitch() error {
	switch {
	case !a.asked:
		return badAnswer("status 101 to a request that asked for no upgrade")
	case a.http10:
		return badAnswer("status 101 in HTTP/1.0")
	}
	return nil
}

func (a *answer) takeHeader(text []byte) error {
	if len(text) == 0 {
		return a.endHead()
	}
	name, value, err := a.field(text)
	if err != nil {
		return err
	}
	switch {
	case a.status < 200: // it ends with its head, whatever it says (RFC 9112, section 6.3)
	case equalFold(name, "content-length"):
		return a.takeLength(value)
	case equalFold(name, "transfer-encoding"):
		return a.takeEncoding(value)
	case asksLogin(name, value):
		a.login = true
	case equalFold(name, "connection") && bytes.Contains(bytes.ToLower(value), []byte("close")):
		a.closes = true
	}
	return nil
}

// field splits a header or trailer line. A folded line (obs-fold) has no name,
// and may be refused by a proxy (RFC 9112, section 5.2).
func (a *answer) field(text []byte) (name, value []byte, err error) {
	if a.lines++; a.lines > headLines {
		return nil, nil, badAnswer("more than %d header lines", headLines)
	}
	name, value, ok := bytes.Cut(text, []byte(":"))
	if !ok || len(name) == 0 || bytes.ContainsFunc(name, notToken) {
		return nil, nil, badAnswer("header line %.80q: want a name and a colon", text)
	}
	return name, bytes.Trim(value, " \t"), nil
}

func (a *answer) takeLength(value []byte) error {
	if _, ok := decimal(value); !ok {
		return badAnswer("content length %.80q: want a decimal number", value)
	}
	if a.length != "" && a.length != string(value) {
		return badAnswer("content lengths %q and %q: want one", a.length, value)
	}
	a.length = string(value)
	return nil
}

func (a *answer) takeEncoding(value []byte) error {
	if a.chunked || !equalFold(value, "chunked") {
		return badAnswer("transfer encoding %.80q: want chunked, once", value)
	}
	a.chunked = true
	return nil
}

// endHead decides how the body ends.
func (a *answer) endHead() error {
	if a.chunked && a.length != "" {
		return badAnswer("content length %q beside a transfer encoding", a.length)
	}
	if a.chunked && a.http10 {
		return badAnswer("transfer encoding in HTTP/1.0")
	}
	switch {
	case a.status == 101: // what follows is the new protocol's
		a.state = untilEOF
	case a.status < 200: // interim: the answer is still to come
		a.state = atStatus
	case a.head || a.status == 204 || a.status == 304:
		a.state = idle
	case a.chunked:
		a.state, a.bytes, a.lines = atChunk, 0, 0
	case a.length != "":
		a.left, _ = decimal([]byte(a.length))
		if a.state = atBody; a.left == 0 {
			a.state = idle
		}
	default:
		a.state = untilEOF
	}
	return nil
}

// takeChunk reads a size. Extensions are skipped, within the room that
// net/http leaves them: 16 bytes a chunk and twice its data, 16 KiB over.
func (a *answer) takeChunk(text []byte) error {
	size, _, _ := bytes.Cut(text, []byte(";"))
	size = bytes.TrimRight(size, " \t")
	if len(size) == 0 || len(size) > 15 || bytes.ContainsFunc(size, notHex) {
		return badAnswer("chunk size %.80q: want hexadecimal digits", text)
	}
	a.left, _ = strconv.ParseInt(string(size), 16, 64)
	if a.state = atData; a.left == 0 {
		a.state, a.bytes, a.lines = atTrailer, 0, 0
	}
	a.overhead = max(a.overhead+int64(len(text))+4-16-2*a.left, 0)
	if a.overhead > 16<<10 {
		return badAnswer("more chunk framing than data")
	}
	return nil
}

func (a *answer) takeTrailer(text []byte) error {
	if len(text) == 0 {
		a.state = idle
		return nil
	}
	_, _, err := a.field(text)
	return err
}

// decimal reads digits and nothing else, below 10^18.
func decimal(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 18 {
		return 0, false
	}
	n := int64(0)
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func equalFold(text []byte, lower string) bool {
	return len(text) == len(lower) && bytes.EqualFold(text, []byte(lower))
}

func notHex(r rune) bool {
	return !('0' <= r && r <= '9' || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F')
}

// notToken is what may not stand in a field's name (RFC 9110, section 5.6.2).
func notToken(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return r >= 0x80 || !bytes.ContainsRune([]byte("!#$%&'*+-.^_`|~"), r)
}
