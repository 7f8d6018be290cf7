// Package printable keeps names from outside from doing more than being read: those of
// files and routes, hosts, header values. A terminal obeys the escape sequences in a text,
// and a bidirectional control (U+202E) shows the letters around it in another order.
//
// Every character that is not printable is written as JSON and Go escape it, \u001b, which
// leaves a JSON document what it was: in one such characters are within strings. A byte that
// is not UTF-8 becomes \xff. Line feeds and tabs stay, except in Line.
package printable

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns s with its characters printable. Line feeds and tabs stay.
func Text(s string) string {
	if isPlain(s) {
		return s
	}
	return string(appendText(nil, []byte(s), true))
}

// Line is Text for what is to stay on one line.
func Line(s string) string {
	if isPlain(s) {
		for i := range len(s) {
			if s[i] == '\n' {
				return string(appendText(nil, []byte(s), false))
			}
		}
		return s
	}
	return string(appendText(nil, []byte(s), false))
}

// Bytes is Text for the bytes of a text or a JSON document: data itself if nothing changes.
func Bytes(data []byte) []byte {
	if isPlain(data) {
		return data
	}
	return appendText(nil, data, true)
}

// isPlain reports whether s is printable ASCII, line feeds and tabs, as nearly everything is.
func isPlain[T string | []byte](s T) bool {
	for i := range len(s) {
		if b := s[i]; (b < ' ' || b > '~') && b != '\n' && b != '\t' {
			return false
		}
	}
	return true
}

func appendText(dst, src []byte, lines bool) []byte {
	for len(src) > 0 {
		r, n := utf8.DecodeRune(src)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = fmt.Appendf(dst, `\x%02x`, src[0])
		case r == '\n' && lines, r == '\t', strconv.IsPrint(r):
			dst = append(dst, src[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		src = src[n:]
	}
	return dst
}

// Writer writes what it is given to another writer, as Text. Safe for concurrent use if the
// other one is.
type Writer struct {
	to io.Writer

	mu   sync.Mutex
	rest []byte // guarded by mu; the beginning of a character whose end has not come yet
}

// NewWriter returns a Writer to another one.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to} }

// Write returns the error of the other writer; then nothing of data counts as written.
func (w *Writer) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := data
	if len(w.rest) > 0 {
		text = append(w.rest, data...)
	}
	if !isPlain(text) {
		whole := len(text) - unfinished(text)
		w.rest = append([]byte(nil), text[whole:]...)
		text = appendText(nil, text[:whole], true)
	}
	if _, err := w.to.Write(text); err != nil {
		return 0, err
	}
	return len(data), nil
}

// unfinished returns the number of bytes at the end of text that begin a character.
func unfinished(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}
