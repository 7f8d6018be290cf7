// The strict parser of a request head (RFC 9112 sections 2 to 6). It is a pure
// function over bytes, so that any reader of heads can use it.

package h1

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// Violation is a rule that a request broke: the answer's status and one fixed
// line of text, which never quotes the client. Violations are shared values.
type Violation struct {
	Status int
	Reason string
}

func (v *Violation) Error() string { return v.Reason }

func bad(reason string) *Violation { return &Violation{http.StatusBadRequest, reason} }

// ErrIncomplete is what [ParseHead] returns while the end of a head has not
// come and nothing before it is wrong.
var ErrIncomplete = errors.New("incomplete request head")

var (
	errBareLF         = bad("line ends with a bare LF")
	errBareCR         = bad("CR without LF")
	errControl        = bad("control character in the request head")
	errEmptyLine      = bad("empty line where a request line was expected")
	errRequestLine    = bad("malformed request line")
	errMethod         = bad("method is not a token")
	errVersion        = bad("malformed HTTP version")
	errFold           = bad("folded header line")
	errNoColon        = bad("header line without a colon")
	errSpaceColon     = bad("space before a header's colon")
	errName           = bad("header name is not a token")
	errNoHost         = bad("missing Host")
	errTwoHosts       = bad("more than one Host")
	errTwoLengths     = bad("more than one Content-Length")
	errLength         = bad("Content-Length is not a decimal number")
	errTwoCodings     = bad("more than one Transfer-Encoding")
	errCoding         = bad("Transfer-Encoding other than chunked")
	errCoding10       = bad("Transfer-Encoding in HTTP/1.0")
	errLengthCoding   = bad("both Content-Length and Transfer-Encoding")
	errTrailerNames   = bad("Trailer names a header that frames the message")
	errConnect        = &Violation{http.StatusMethodNotAllowed, "CONNECT is not served"}
	errUnknownVersion = &Violation{http.StatusHTTPVersionNotSupported, "HTTP version other than 1.0 and 1.1"}
	errHeadSize       = &Violation{http.StatusRequestHeaderFieldsTooLarge, "request head too large"}
	errHeadFields     = &Violation{http.StatusRequestHeaderFieldsTooLarge, "too many header lines"}
)

// Field is one header line. Both are parts of the buffer that was parsed.
type Field struct {
	Name  []byte // a token, as spelt
	Value []byte // without the white space around it; may be empty
}

// Chunked is [Head.Length] of a body in chunks.
const Chunked = -1

// Head is a request head. Its slices are parts of the buffer that was parsed.
type Head struct {
	Method []byte
	Target []byte // as it came: /path?query, http://host/path, or *
	Minor  int    // HTTP/1.Minor: 0 or 1
	Host   []byte // an absolute-form target's authority, or Host; nil only in HTTP/1.0
	Fields []Field
	Length int64 // of the body: Content-Length, 0 without, or Chunked
	// Upgrade says that bytes behind the request may not be HTTP: it has an
	// Upgrade header, or a Sec-WebSocket-Key (some clients' Upgrade is lost on
	// its way, and a route may not require it).
	Upgrade bool
}

// Get returns the value of the first field of that name, in any case.
func (h *Head) Get(name string) (value []byte, ok bool) {
	for _, f := range h.Fields {
		if httpsyntax.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return nil, false
}

// ParseHead parses the request head at the beginning of buf, which is n
// bytes long: what is behind it is not looked at. It returns [ErrIncomplete] when more
// bytes are needed, and a [*Violation] as soon as the bytes that are there cannot
// become an acceptable head. fields is used for Head.Fields and grown where
// needed: nothing else is allocated.
func ParseHead(buf []byte, fields []Field, limits Limits) (h Head, n int, err error) {
	var s headScan
	n, err = s.scan(buf, limits.HeadBytes, limits.Fields)
	if err != nil {
		return Head{}, 0, err
	}
	h, err = parseHead(buf[:n], fields)
	if err != nil {
		return Head{}, 0, err
	}
	return h, n, nil
}

// headScan finds the end of a head in bytes that come bit by bit, and looks at
// every byte once. It knows lines and forbidden bytes, no fields.
type headScan struct {
	pos   int // bytes seen so far; never between CR and LF
	line  int // where the current line begins
	lines int // lines that are complete; 1 from the start for trailers, which have no request line
}

// scan continues with buf, which begins with the bytes of the call before. It
// returns the head's length, or ErrIncomplete. CR must come before LF, and LF
// behind CR: a lone one is a line end to some readers and not to others
// (RFC 9112 section 2.2).
func (s *headScan) scan(buf []byte, maxBytes, maxFields int) (int, error) {
	b := buf[:min(len(buf), maxBytes)]
	for {
		pos := s.pos // in a register: this loop sees every byte
		for pos < len(b) && textBytes[b[pos]] {
			pos++
		}
		s.pos = pos
		switch {
		case s.pos == len(b) || b[s.pos] == '\r' && s.pos+1 == len(b):
			if len(buf) > maxBytes {
				return 0, errHeadSize
			}
			return 0, ErrIncomplete
		case b[s.pos] == '\n':
			return 0, errBareLF
		case b[s.pos] != '\r':
			return 0, errControl
		case b[s.pos+1] != '\n':
			return 0, errBareCR
		}
		line := b[s.line:s.pos]
		s.pos += len("\r\n")
		s.line = s.pos
		if end, err := s.endLine(line, maxFields); end || err != nil {
			return s.pos, err
		}
	}
}

// endLine looks at a complete line. A request line is judged at once: a client
// that speaks something else may be waiting for an answer to it.
func (s *headScan) endLine(line []byte, maxFields int) (end bool, err error) {
	first := s.lines == 0
	s.lines++
	switch {
	case first && len(line) == 0:
		return false, errEmptyLine
	case first:
		_, err := parseRequestLine(line)
		return false, err
	case len(line) == 0:
		return true, nil
	case s.lines > maxFields+1:
		return false, errHeadFields
	}
	return false, nil
}

// textBytes are what a line may have: everything but control characters, HTAB
// excepted. Bytes beyond ASCII are obs-text (RFC 9110 section 5.5), for values
// only.
var textBytes = func() (set [256]bool) {
	for c := range set {
		set[c] = c >= ' ' && c != 0x7f || c == '\t'
	}
	return set
}()

// parseHead parses a head whose end and bytes were scanned.
func parseHead(b []byte, fields []Field) (Head, error) {
	line, rest := cutLine(b)
	h, err := parseRequestLine(line)
	if err != nil {
		return h, err
	}
	h.Fields, err = parseFields(rest, fields[:0])
	if err != nil {
		return h, err
	}
	if err := h.readFields(); err != nil {
		return h, err
	}
	return h, h.checkHost()
}

// cutLine cuts at the first CRLF, which is there.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	return b[:i-1], b[i+1:]
}

// parseFields parses lines up to the empty one. Each is
// name ":" OWS value OWS (RFC 9112 section 5).
func parseFields(b []byte, fields []Field) ([]Field, error) {
	for line, rest := cutLine(b); len(line) > 0; line, rest = cutLine(rest) {
		f, err := parseField(line)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func parseField(line []byte) (Field, error) {
	if isOWS(line[0]) {
		return Field{}, errFold
	}
	name, value, ok := bytes.Cut(line, colon)
	switch {
	case !ok:
		return Field{}, errNoColon
	case len(name) > 0 && isOWS(name[len(name)-1]):
		return Field{}, errSpaceColon
	case !httpsyntax.IsToken(name):
		return Field{}, errName
	}
	return Field{name, trimOWS(value)}, nil
}

var colon = []byte(":")

// trimOWS trims optional white space (RFC 9110 section 5.6.3).
func trimOWS(b []byte) []byte {
	for len(b) > 0 && isOWS(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isOWS(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isOWS(c byte) bool { return c == ' ' || c == '\t' }

// framing collects the fields that say where a request goes and ends.
type framing struct {
	hosts, lengths, codings int
	length                  int64
}

// readFields finds Host and the body's length. Two of a kind are refused even
// where they agree: the next reader may take the other.
func (h *Head) readFields() error {
	var fr framing
	for _, f := range h.Fields {
		if err := h.readField(f, &fr); err != nil {
			return err
		}
	}
	switch {
	case fr.hosts > 1:
		return errTwoHosts
	case fr.lengths > 0 && fr.codings > 0:
		return errLengthCoding
	case fr.lengths > 1:
		return errTwoLengths
	case fr.codings > 1:
		return errTwoCodings
	case fr.codings > 0 && h.Minor == 0:
		return errCoding10
	}
	h.Length = fr.length
	return nil
}

func (h *Head) readField(f Field, fr *framing) (err error) {
	switch {
	case httpsyntax.EqualFold(f.Name, "host"):
		fr.hosts++
		if h.Host = f.Value; len(h.Host) == 0 {
			return errEmptyHost
		}
	case httpsyntax.EqualFold(f.Name, "content-length"):
		fr.lengths++
		fr.length, err = parseLength(f.Value)
	case httpsyntax.EqualFold(f.Name, "transfer-encoding"):
		fr.codings++
		fr.length = Chunked
		if !httpsyntax.EqualFold(f.Value, "chunked") {
			return errCoding
		}
	case httpsyntax.EqualFold(f.Name, "trailer"):
		return checkTrailerNames(f.Value)
	case httpsyntax.EqualFold(f.Name, "upgrade"), httpsyntax.EqualFold(f.Name, "sec-websocket-key"):
		h.Upgrade = true
	}
	return err
}

// parseLength reads digits only: no sign, no list, nothing beyond an int64.
func parseLength(b []byte) (int64, error) {
	if len(b) == 0 || len(b) > 19 {
		return 0, errLength
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errLength
		}
		// 19 digits may overflow once, in the last step, to a negative number.
		if n = n*10 + int64(c-'0'); n < 0 {
			return 0, errLength
		}
	}
	return n, nil
}

// checkTrailerNames: a trailer that would frame the message is refused where
// it is announced (RFC 9110 section 6.5.1).
func checkTrailerNames(list []byte) error {
	for more := true; more; {
		var name []byte
		name, list, more = bytes.Cut(list, comma)
		if isTrailerForbidden(trimOWS(name)) {
			return errTrailerNames
		}
	}
	return nil
}

var comma = []byte(",")

// checkHost: every request says where it goes, HTTP/1.0 perhaps not. An empty
// Host, which RFC 9110 section 7.2 allows where the target has no authority,
// is refused: nothing could be chosen by it.
func (h *Head) checkHost() error {
	if h.Host == nil {
		if h.Minor > 0 {
			return errNoHost
		}
	} else if err := checkAuthority(h.Host); err != nil {
		return err
	}
	return checkAuthorityForm(h.Target, &h.Host)
}
