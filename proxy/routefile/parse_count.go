package routefile

import (
	"bytes"
	"fmt"
)

// How many routes a file has, before it is read: a set has a bound, and a file far
// beyond it must not take gigabytes of nodes to be refused.

// MaxRoutes is the most routes that the files of a set may have together.
const MaxRoutes = 100_000

// tooManyRoutes is said of a file and of a set.
func tooManyRoutes() string {
	return fmt.Sprintf("more than %d routes, from this one on: a set has at most that many", MaxRoutes)
}

// routeCounter counts routes by the look of the text. It follows quotes, brackets and
// block scalars, and no more of YAML: it never counts what is no route in a file
// that is laid out as people and programs do, and may count too few.
type routeCounter struct {
	limit int
	count int

	flow   int  // brackets that are open
	within int  // the flow level that the routes stand at, 0 outside of it
	quote  byte // that is open, 0 for none
	block  bool // below routes:, in block style
	indent int  // of the routes there, 0 before the first
	scalar int  // the indentation that a block scalar stands below, -1 outside of one
}

// routeBeyond returns where the first route beyond limit stands.
func routeBeyond(data []byte, limit int) (line, col int, found bool) {
	c := routeCounter{limit: limit, scalar: -1}
	for line = 1; len(data) > 0; line++ {
		text, rest, _ := bytes.Cut(data, []byte("\n"))
		if col = c.line(bytes.TrimRight(text, "\r")); col > 0 {
			return line, col, true
		}
		data = rest
	}
	return 0, 0, false
}

// line returns the column of the route that is beyond the limit, 0 for none.
func (c *routeCounter) line(text []byte) int {
	body := bytes.TrimLeft(text, " ")
	indent := len(text) - len(body)
	if c.scalar >= 0 {
		if len(body) == 0 || indent > c.scalar {
			return 0
		}
		c.scalar = -1
	}
	if len(body) == 0 || body[0] == '#' && c.quote == 0 {
		return 0
	}
	if c.quote == 0 && c.flow == 0 && c.begins(body, indent) {
		if c.count++; c.count > c.limit {
			return indent + 1
		}
	}
	return c.scan(text, indent)
}

// begins notes a line of block style, and reports whether a route begins there.
func (c *routeCounter) begins(body []byte, indent int) bool {
	if indent == 0 {
		c.block = isRoutes(bytes.TrimRight(cutComment(body), " :")) && bytes.HasSuffix(bytes.TrimRight(cutComment(body), " "), []byte(":"))
		return false
	}
	if !c.block {
		return false
	}
	if c.indent == 0 {
		c.indent = indent
	}
	return indent == c.indent && body[0] != '-' && body[0] != '<'
}

func cutComment(text []byte) []byte {
	before, _, _ := bytes.Cut(text, []byte(" #"))
	return before
}

func isRoutes(key []byte) bool { return string(bytes.Trim(key, `"'`)) == "routes" }

// scan follows quotes and brackets to the end of a line.
func (c *routeCounter) scan(text []byte, indent int) int {
	last := byte(0) // the last byte that is no blank
	for i := 0; i < len(text); i++ {
		b := text[i]
		if c.quote != 0 {
			switch {
			case b == '\\' && c.quote == '"':
				i++
			case b == c.quote && c.quote == '\'' && i+1 < len(text) && text[i+1] == '\'':
				i++
			case b == c.quote:
				c.quote = 0
				last = b
			}
			continue
		}
		starts := last == 0 || bytes.IndexByte([]byte(":,[{-?"), last) >= 0 // of a value
		switch {
		case b == ' ' || b == '\t':
			continue
		case b == '#' && (i == 0 || text[i-1] == ' '):
			return 0
		case (b == '"' || b == '\'') && starts:
			c.quote = b
		case (b == '{' || b == '[') && (starts || c.flow > 0):
			if c.flow++; b == '{' && c.within == 0 && c.opensRoutes(text[:i], indent) {
				c.within = c.flow
				c.count++
			}
		case (b == '}' || b == ']') && c.flow > 0:
			if c.flow == c.within {
				c.within = 0
			}
			c.flow--
		case b == ',' && c.flow > 0 && c.flow == c.within:
			if c.count++; c.count > c.limit {
				return i + 1
			}
		case (b == '|' || b == '>') && starts && last != 0 && c.flow == 0:
			c.scalar = indent
			return 0
		}
		last = b
	}
	return 0
}

// opensRoutes reports whether the value that begins behind before is that of routes.
func (c *routeCounter) opensRoutes(before []byte, indent int) bool {
	key, ok := bytes.CutSuffix(bytes.TrimRight(before, " "), []byte(":"))
	if !ok || c.flow > 2 || c.flow == 1 && indent > 0 {
		return false
	}
	if at := bytes.LastIndexAny(key, "{, "); at >= 0 {
		key = key[at+1:]
	}
	return isRoutes(key)
}
