package routefile

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tunnelform/tunnelform/internal/printable"
)

// Mistakes: how they are described, sorted, printed and limited.

// Error is one mistake in a routes file.
type Error struct {
	Pos    Pos
	Key    string // dotted path of the key: "routes.chat.match.host"; "" for the file as a whole
	Record string // the record that it is in: `route "chat"`, `pool "rooms"`; "" outside of records
	Other  string // the record that Record conflicts with; "" if none
	Text   string // what is wrong, then what was wanted; one line, lower case, no full stop
}

// Error returns the mistake on one line, all of it printable: `routes.yaml:12:7: route "chat": host "a..b": empty label`.
func (e *Error) Error() string {
	if e.Record == "" {
		return printable.Line(e.Pos.String() + ": " + e.Text)
	}
	return printable.Line(e.Pos.String() + ": " + e.Record + ": " + e.Text)
}

// Errors is every mistake of a file or a set of files, sorted by position, without
// duplicates. An empty Errors means that nothing is wrong; test its length, or use Err
// where an error value is needed.
type Errors []*Error

// Err returns the mistakes as an error, nil when there are none.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Error returns one mistake per line, without a final newline.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Print writes the mistakes for a terminal, each with its source line and a caret below
// the column. sources holds the files' bytes by Pos.File; a mistake in another file is
// written without its line.
func (e Errors) Print(w io.Writer, sources map[string][]byte) error {
	lines := make(map[string][]string, len(sources))
	for file, data := range sources {
		lines[file] = strings.Split(strings.TrimPrefix(string(data), bom), "\n")
	}
	var shown sourceLine
	for _, one := range e {
		text := one.Error() + "\n"
		if of := lines[one.Pos.File]; one.Pos.Line >= 1 && one.Pos.Line <= len(of) {
			shown.show(one.Pos, of[one.Pos.Line-1])
			text += excerpt(shown.runes, one.Pos.Col)
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

// sourceLine caches the last source line: mistakes are sorted, and all of them may be on
// one very long line.
type sourceLine struct {
	file  string
	line  int
	runes []rune
}

func (s *sourceLine) show(at Pos, text string) {
	if s.file == at.File && s.line == at.Line {
		return
	}
	*s = sourceLine{at.File, at.Line, []rune(strings.TrimRight(text, "\r"))}
}

// maxExcerpt bounds, in characters, how much of a source line is shown.
const maxExcerpt = 120

// excerpt returns a source line, indented, with a caret below its col-th character. A
// long line is cut around the caret. Tabs stay tabs, so that the caret is right whatever
// their width.
func excerpt(runes []rune, col int) string {
	at := min(max(col-1, 0), len(runes))
	from := 0
	if len(runes) > maxExcerpt && at > maxExcerpt/2 {
		from = min(at-maxExcerpt/2, len(runes)-maxExcerpt)
	}
	shown := runes[from:min(len(runes), from+maxExcerpt)]
	var b strings.Builder
	b.WriteString("    ")
	for _, r := range shown {
		b.WriteRune(shownRune(r))
	}
	b.WriteString("\n    ")
	for _, r := range runes[from:at] {
		b.WriteRune(blank(r))
	}
	b.WriteString("^\n")
	return b.String()
}

// shownRune keeps the control characters of a hostile file out of the terminal, those too
// that turn the direction of writing. The caret needs one character for one.
func shownRune(r rune) rune {
	if r == '\t' || unicode.IsGraphic(r) {
		return r
	}
	return utf8.RuneError
}

func blank(r rune) rune {
	if r == '\t' {
		return r
	}
	return ' '
}

// Merge merges lists of mistakes: sorted, without duplicates.
func Merge(lists ...Errors) Errors {
	return tidy(slices.Concat(lists...))
}

// maxMistakes bounds how many mistakes are kept: aliases let a small file hold millions.
const maxMistakes = 10000

// tidy sorts mistakes and drops duplicates, as a value behind several aliases is reported by each.
func tidy(errs Errors) Errors {
	slices.SortStableFunc(errs, compareErrors)
	return slices.CompactFunc(errs, func(a, b *Error) bool {
		return a.Pos == b.Pos && a.Text == b.Text
	})
}

func compareErrors(a, b *Error) int {
	return cmp.Or(
		strings.Compare(a.Pos.File, b.Pos.File),
		cmp.Compare(a.Pos.Line, b.Pos.Line),
		cmp.Compare(a.Pos.Col, b.Pos.Col),
		strings.Compare(a.Text, b.Text),
		strings.Compare(a.Key, b.Key),
		strings.Compare(a.Record, b.Record),
	)
}
