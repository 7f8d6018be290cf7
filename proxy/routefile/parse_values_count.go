package routefile

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// How many values a file has, before it is decoded: a node takes about a hundred times the
// byte or two that a value may take in the text, so a file within MaxBytes could take
// gigabytes, whatever it means.

// MaxValues is the most values that a routes file may have, keys and lists and mappings
// included: about twenty for each of MaxRoutes.
const MaxValues = 2_000_000

func tooManyValues(limit int) string {
	return fmt.Sprintf("more than %d keys and values, from this one on: a file has at most that many", limit)
}

// valueCounter follows the tokens of YAML as the scanner of yaml.v3 does. It never counts
// less than half of what the decoder makes nodes of: where it does not follow (tags,
// directives, keys that begin with "?"), it counts every character that can begin a value.
type valueCounter struct {
	data  []byte
	limit int
	count int

	at        int
	lineStart int
	flow      int  // brackets that are open
	parent    int  // the column of the last key or dash of this line, -1 before the first
	column    int  // where the token that may be a key begins, -1 for none
	scalar    bool // the last token was a scalar or a closing bracket
	plain     bool // a plain scalar was the last token, and the next line may go on with it
	below     int  // then: the column that the next line must be indented more than
	blind     bool // every character that can begin a value counts
}

// valueBeyond returns where the first value beyond limit stands.
func valueBeyond(data []byte, limit int) (line, col int, found bool) {
	if len(data) <= limit {
		return 0, 0, false
	}
	c := newValueCounter(data, limit)
	for c.at < len(data) {
		start := c.at
		c.token()
		if c.count > limit {
			before := data[:start]
			return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]), true
		}
	}
	return 0, 0, false
}

func newValueCounter(data []byte, limit int) *valueCounter {
	c := &valueCounter{data: data, limit: limit}
	c.beginLine()
	return c
}

// blankAt reports whether a blank, a line's end or the end of the text is at i.
func (c *valueCounter) blankAt(i int) bool {
	return i >= len(c.data) || bytes.IndexByte([]byte(" \t\r\n"), c.data[i]) >= 0
}

// token passes one token, or a blank.
func (c *valueCounter) token() {
	b := c.data[c.at]
	if c.blind {
		if bytes.IndexByte([]byte("\n,[{:?-"), b) >= 0 {
			c.count++
		}
		c.at++
		return
	}
	switch b {
	case '\n':
		c.at++
		c.beginLine()
		return
	case ' ', '\t', '\r':
		c.at++
		return
	case '#':
		c.skipLine()
		c.plain = false
		return
	}
	if c.plain && (c.flow == 0 || bytes.IndexByte([]byte(",?[]{}"), b) < 0) {
		c.passPlain()
		return
	}
	c.plain = false
	if c.column < 0 {
		c.column = c.at - c.lineStart
	}
	switch {
	case b == '[' || b == '{':
		c.count++
		c.flow++
		c.at++
		c.scalar, c.column = false, -1
	case b == ']' || b == '}':
		c.flow = max(c.flow-1, 0)
		c.at++
		c.scalar = true
	case c.flow > 0 && (b == ',' || b == '?'):
		c.at++
		c.scalar, c.column = false, -1
	case b == ':' && (c.flow > 0 || c.blankAt(c.at+1)):
		c.colon()
	case b == '-' && c.blankAt(c.at+1):
		c.count++
		c.parent = c.at - c.lineStart
		c.at++
		c.scalar, c.column = false, -1
	case b == '"' || b == '\'':
		c.count++
		c.quoted(b)
	case b == '&' || b == '*':
		c.name()
	case b == '!' || b == '%' || b == '?' && c.blankAt(c.at+1):
		c.blind = true
	case (b == '|' || b == '>') && c.flow == 0:
		c.count++
		c.block()
	default:
		c.count++
		c.scalar = true
		c.passPlain()
	}
}

// beginLine is at the first character of a line.
func (c *valueCounter) beginLine() {
	c.lineStart, c.parent, c.column, c.scalar = c.at, -1, -1, false
	if c.flow > 0 {
		return
	}
	rest := c.data[c.at:]
	if (bytes.HasPrefix(rest, []byte("---")) || bytes.HasPrefix(rest, []byte("..."))) && c.blankAt(c.at+3) {
		c.at += 3
		c.plain = false
		return
	}
	indent := len(rest) - len(bytes.TrimLeft(rest, " "))
	if c.plain && indent <= c.below && !c.blankAt(c.at+indent) {
		c.plain = false
	}
}

func (c *valueCounter) skipLine() {
	n := bytes.IndexByte(c.data[c.at:], '\n')
	if n < 0 {
		n = len(c.data) - c.at
	}
	c.at += n
}

// colon is the end of a key. A key that is empty counts here.
func (c *valueCounter) colon() {
	if !c.scalar {
		c.count++
	}
	if c.flow == 0 {
		c.parent = c.column
	}
	c.at++
	c.scalar, c.column = false, -1
}

// name passes an anchor or an alias.
func (c *valueCounter) name() {
	alias := c.data[c.at] == '*'
	for c.at++; c.at < len(c.data) && (httpsyntax.IsAlphanumeric(c.data[c.at]) || c.data[c.at] == '_' || c.data[c.at] == '-'); c.at++ {
	}
	if alias {
		c.count++
		c.scalar = true
	}
}

func (c *valueCounter) quoted(quote byte) {
	c.scalar = true
	for c.at++; c.at < len(c.data); c.at++ {
		switch b := c.data[c.at]; {
		case b == '\\' && quote == '"':
			c.at++
			if c.at < len(c.data) && c.data[c.at] == '\n' {
				c.lineStart = c.at + 1
			}
		case b == '\n':
			c.lineStart = c.at + 1
		case b == quote && quote == '\'' && c.at+1 < len(c.data) && c.data[c.at+1] == '\'':
			c.at++
		case b == quote:
			c.at++
			return
		}
	}
}

// passPlain passes what is left of a plain scalar on this line.
func (c *valueCounter) passPlain() {
	for ; c.at < len(c.data) && c.data[c.at] != '\n'; c.at++ {
		switch b := c.data[c.at]; {
		case b == ':' && c.blankAt(c.at+1):
			c.plain = false
			return
		case b == '#' && c.at > 0 && c.blankAt(c.at-1):
			c.plain = false
			return
		case c.flow > 0 && bytes.IndexByte([]byte(",?[]{}"), b) >= 0:
			c.plain = false
			return
		}
	}
	if !c.plain { // it began on this line
		if c.plain, c.below = true, c.parent; c.flow == 0 && c.parent < 0 {
			c.startsLine()
		}
	}
}

// startsLine is for a plain scalar that begins a line and is no key: what it belongs to
// stands above, and so it is not known which lines go on with it.
func (c *valueCounter) startsLine() { c.blind = true }

// block passes a block scalar: the lines below that are indented more than its parent.
func (c *valueCounter) block() {
	if c.parent < 0 {
		c.blind = true
		return
	}
	parent := c.parent
	c.skipLine()
	for c.at < len(c.data) {
		line := c.data[c.at+1:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		text := bytes.TrimLeft(line, " ")
		if indent := len(line) - len(text); len(bytes.TrimRight(text, "\r")) > 0 && indent <= parent {
			break
		}
		c.at += 1 + len(line)
	}
	c.scalar = true
}
