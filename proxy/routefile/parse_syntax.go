package routefile

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Syntax errors: yaml.v3 reports them in terms of its scanner, without a column, and often
// on the line where the surrounding mapping began. Here each gets the line that must be
// changed, and a text that says how.

// syntax reports the error that Decode returned for data.
func (p *parser) syntax(data []byte, err error) {
	line, problem := splitProblem(err)
	switch {
	case strings.HasPrefix(problem, "unknown anchor"):
		line = lineOf(data, "*"+quotedWord(problem))
	case inParser[problem]:
		line = lineNoticed(data, problem)
	case opensBefore[problem]:
		line++ // counted from 0 by the parser, from 1 by the scanner
	}
	line = lastWritten(data, line)
	if at, hint := inText(problem, data[len(firstLines(data, line-1)):]); hint != "" {
		at += len(firstLines(data, line-1))
		before := data[:at]
		line = 1 + bytes.Count(before, []byte("\n"))
		p.noteAt(line, 1+utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]), "not YAML: "+hint)
		return
	}
	text := lineText(data, line)
	indent := len(text) - len(strings.TrimLeft(text, " "))
	p.noteAt(max(line, 1), indent+1, "not YAML: "+explain(problem, text[indent:]))
}

// inText finds a problem that is in the text of a value; data begins with the line that has
// it. hint is "" for other problems.
func inText(problem string, data []byte) (at int, hint string) {
	switch {
	case problem == "did not find expected alphabetic or numeric character":
		return unquotedStar(data, "")
	case strings.HasPrefix(problem, "unknown anchor"):
		return unquotedStar(data, quotedWord(problem))
	case problem == "found unknown escape character":
		at, escape := badEscape(data)
		return at, fmt.Sprintf("%s in double quotes is no escape: write a text that has backslashes in single quotes", escape)
	case problem == "did not find expected hexdecimal number":
		return bytes.IndexByte(data, '\\'), `\x, \u or \U without its hexadecimal digits: write a text that has backslashes in single quotes`
	case problem == "found invalid Unicode character escape code":
		if i := surrogate.FindIndex(data); i != nil {
			return i[0], fmt.Sprintf("%s is half of a character, which YAML does not know: write the character itself", data[i[0]:i[1]])
		}
	}
	return 0, ""
}

// starred matches what YAML may take for an alias or an anchor.
var starred = regexp.MustCompile(`(?:^|[\s,\[{])([*&][^\s,\[\]{}"']*)`)

// anchorName is what an alias or an anchor may be called.
var anchorName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// unquotedStar finds the alias of an unknown anchor or, with an empty name, what cannot be
// an alias or an anchor.
func unquotedStar(data []byte, name string) (at int, hint string) {
	for _, m := range starred.FindAllSubmatchIndex(data, -1) {
		switch word := string(data[m[2]:m[3]]); {
		case name != "" && word == "*"+name:
			return m[2], fmt.Sprintf("%s refers to an unknown anchor: put a text that begins with \"*\" in quotes", yamledit.Clip(word))
		case name == "" && !anchorName.MatchString(word[1:]):
			return m[2], fmt.Sprintf("%s begins with %q, which YAML reserves: put it in quotes, %q", yamledit.Clip(word), word[:1], yamledit.Clip(word))
		}
	}
	return 0, ""
}

// surrogate is how JSON escapes half of a character beyond U+FFFF.
var surrogate = regexp.MustCompile(`\\u[dD][89a-fA-F][0-9a-fA-F]{2}`)

// badEscape finds the first backslash that begins no escape of double quotes (YAML 1.2, 5.7).
func badEscape(data []byte) (at int, escape string) {
	for i := 0; i+1 < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if r, n := utf8.DecodeRune(data[i+1:]); !strings.ContainsRune("0abt\tnvfre \"/\\N_LPxuU\r\n'", r) {
			return i, string(data[i : i+1+n])
		}
		i++
	}
	return 0, "a backslash"
}

// inParser are the problems that yaml.v3 reports where the surrounding block begins, far
// from the line that does not fit into it.
var inParser = map[string]bool{
	"did not find expected key":              true,
	"did not find expected '-' indicator":    true,
	"did not find expected <document start>": true,
	"exceeded max depth of 10000":            true,
	"found incompatible YAML document":       true,
	"found undefined tag handle":             true,
}

// opensBefore are the problems that yaml.v3 reports where a bracket was opened, but one line too early.
var opensBefore = map[string]bool{
	"did not find expected ',' or '}'":     true,
	"did not find expected ',' or ']'":     true,
	"did not find expected node content":   true,
	"found duplicate %YAML directive":      true,
	"found duplicate %TAG directive":       true,
	"did not find expected <stream-start>": true,
}

// splitProblem splits "yaml: line 3: problem"; without a line it is 0.
func splitProblem(err error) (line int, problem string) {
	problem = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := problemLine.FindStringSubmatch(problem); m != nil {
		line, _ = strconv.Atoi(m[1])
		problem = m[2]
	}
	return line, problem
}

var problemLine = regexp.MustCompile(`^line ([0-9]+): (?s:(.*))$`)

// quotedWord returns the text between the first two single quotes of s.
func quotedWord(s string) string {
	parts := strings.SplitN(s, "'", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

// lineOf returns the first line with word, 1 if there is none.
func lineOf(data []byte, word string) int {
	at := bytes.Index(data, []byte(word))
	return 1 + bytes.Count(data[:max(at, 0)], []byte("\n"))
}

// lastWritten returns the last line up to line that is not blank, 1 if all are: nobody looks
// for a mistake after the end of the text.
func lastWritten(data []byte, line int) int {
	if line <= 1 {
		return line
	}
	return 1 + bytes.Count(bytes.TrimRightFunc(firstLines(data, line), unicode.IsSpace), []byte("\n"))
}

func lineText(data []byte, line int) string {
	if line < 1 {
		return ""
	}
	text, _, _ := bytes.Cut(data[len(firstLines(data, line-1)):], []byte("\n"))
	return strings.TrimRight(string(text), "\r")
}

// maxRetried limits the files that are decoded repeatedly to find a better line.
const maxRetried = 1 << 20

// lineNoticed returns the first line that makes a problem appear: the last that yaml.v3 had
// to read, or one before it that suffices (blank lines and comments between them do not
// matter). Every try decodes the file again, so it searches by halves.
func lineNoticed(data []byte, problem string) int {
	r := &drip{data: data}
	yamledit.Decode(r)
	line := 1 + bytes.Count(data[:r.at], []byte("\n"))
	if len(data) > maxRetried || line == 1 || !fails(firstLines(data, line-1), problem) {
		return line
	}
	return 1 + sort.Search(line-2, func(i int) bool { return fails(firstLines(data, i+1), problem) })
}

// drip returns one byte per Read, so that at tells how far its reader got.
type drip struct {
	data []byte
	at   int
}

func (d *drip) Read(b []byte) (int, error) {
	if d.at == len(d.data) || len(b) == 0 {
		return 0, io.EOF
	}
	b[0] = d.data[d.at]
	d.at++
	return 1, nil
}

func fails(data []byte, problem string) bool {
	_, _, err := yamledit.Decode(bytes.NewReader(data))
	if err == nil {
		return false
	}
	_, same := splitProblem(err)
	return same == problem
}

func firstLines(data []byte, n int) []byte {
	at := 0
	for ; n > 0; n-- {
		next := bytes.IndexByte(data[at:], '\n')
		if next < 0 {
			return data
		}
		at += next + 1
	}
	return data[:at]
}

// explain describes a problem for a reader of the file; text is the line from its first character on.
func explain(problem, text string) string {
	switch problem {
	case "did not find expected key", "did not find expected '-' indicator":
		return "this line does not fit the indentation above it, or there is an extra bracket or quote"
	case "did not find expected <document start>":
		return "this line does not belong to the document that begins above it: is its indentation right?"
	case "did not find expected ',' or '}'":
		return `a "{" here is not closed, or a "," is missing (put text with braces in quotes)`
	case "did not find expected ',' or ']'":
		return `a "[" here is not closed, or a "," is missing (put text with brackets in quotes)`
	case "did not find expected node content":
		if strings.Contains(text, "[:") {
			return "a value is missing here (put text with brackets in quotes)"
		}
		return "a value is missing here"
	case "mapping values are not allowed in this context":
		return `an extra ":", or wrong indentation (put text with ": " in quotes)`
	case "could not find expected ':'":
		return `a key without ":"`
	case "found unexpected end of stream":
		return "a quote here is not closed"
	case "did not find expected whitespace or line break":
		return `a "!" begins a tag in YAML: put text that begins with one in quotes`
	case "found character that cannot start any token":
		return badStart(text)
	case "exceeded max depth of 10000":
		return fmt.Sprintf("nests deeper than %d levels", maxDepth)
	}
	return yamledit.Clip(problem)
}

func badStart(text string) string {
	if strings.HasPrefix(text, "\t") {
		return "a tab in the indentation, wanted spaces"
	}
	return "a value here begins with a character that YAML reserves: put it in quotes"
}
