package yamledit

import (
	"bytes"
	"io"
	"strings"
)

// The escape \/. JSON has it, and encoders such as PHP's write every slash so. YAML 1.2 took
// it over, which makes JSON a part of YAML; yaml.v3 reads YAML 1.1 and refuses it.
//
// So yaml.v3 is given another character for the backslash of each \/, and the texts that it
// returns are put right. One character takes the place of one, so that the line and column
// of every node stay those of the file.

// slashMark stands for that backslash. It is a noncharacter, which no text has (Unicode,
// section 23.7); checkBytes refuses it.
const slashMark = "\U0010ffff"

// slashReader reads r with slashMark for the backslash of each \/.
type slashReader struct {
	r      io.Reader
	buf    [4096]byte
	out    []byte // read and not returned yet
	held   bool   // a backslash was read, and what it escapes was not
	marked bool   // a slashMark was returned
	err    error
}

func (s *slashReader) Read(p []byte) (int, error) {
	for len(s.out) == 0 && s.err == nil {
		s.fill()
	}
	if len(s.out) == 0 {
		return 0, s.err
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

func (s *slashReader) fill() {
	n, err := s.r.Read(s.buf[:])
	s.err = err
	in := s.buf[:n]
	if !s.held && bytes.IndexByte(in, '\\') < 0 {
		s.out = in
	} else {
		s.out = s.mark(in)
	}
	if err != nil && s.held {
		s.out, s.held = append(s.out, '\\'), false
	}
}

// mark returns in, and before it the backslash that is held, with the marks.
func (s *slashReader) mark(in []byte) []byte {
	out := make([]byte, 0, len(in)+len(slashMark))
	for _, b := range in {
		switch {
		case !s.held && b == '\\':
			s.held = true
			continue
		case s.held && b == '/':
			out = append(out, slashMark...)
			s.marked = true
		case s.held:
			out = append(out, '\\')
		}
		out, s.held = append(out, b), false
	}
	return out
}

// unmark puts the texts of n and below it right: in double quotes \/ is a slash, anywhere
// else these are two characters.
func unmark(n *Node) {
	was := `\`
	if n.Style&DoubleQuotedStyle != 0 {
		was = ""
	}
	n.Value = strings.ReplaceAll(n.Value, slashMark+"/", was+"/")
	for _, text := range []*string{&n.Tag, &n.Anchor, &n.HeadComment, &n.LineComment, &n.FootComment} {
		*text = strings.ReplaceAll(*text, slashMark+"/", `\/`)
	}
	for _, c := range n.Content {
		unmark(c)
	}
}
