package routefile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// From bytes to nodes: everything that is wrong with a file as YAML is reported here, before
// the walk reads its keys.

// MaxBytes is the largest routes file that is read.
const MaxBytes = yamledit.MaxBytes

// bom is the byte order mark.
const bom = yamledit.ByteOrderMark

// load returns the document's mapping; nil if there is none, which it reports.
func (p *parser) load(data []byte) node {
	if !p.readable(data) {
		return nil
	}
	data = bytes.TrimPrefix(data, []byte(bom))
	doc, second, err := yamledit.Decode(&cancelReader{p.ctx, bytes.NewReader(data)})
	if err != nil {
		p.syntax(data, err)
		return nil
	}
	if second != nil {
		p.note(second, "a second document begins here, wanted one document in a file")
	}
	return p.top(doc)
}

// readable reports what can be seen in the bytes: a file that is too large, characters
// that no file may have, a merge conflict.
func (p *parser) readable(data []byte) bool {
	if len(data) > MaxBytes {
		p.noteAt(1, 1, fmt.Sprintf("the file has %d bytes, wanted at most %s", len(data), FormatSize(MaxBytes)))
		return false
	}
	if !p.plainText(data) {
		return false
	}
	data = bytes.TrimPrefix(data, []byte(bom))
	if line, col, found := routeBeyond(data, MaxRoutes); found {
		p.noteAt(line, col, tooManyRoutes())
		return false
	}
	if line, col, found := valueBeyond(data, MaxValues); found {
		p.noteAt(line, col, tooManyValues(MaxValues))
		return false
	}
	if line, end, found := mergeConflict(data); found {
		p.noteAt(line, 1, fmt.Sprintf("a merge conflict, to line %d: keep what is right of it, and remove its markers", end))
		return false
	}
	return true
}

// mergeConflict finds the first conflict that a merge left in the file, as git and other
// programs mark it. In a file that says "=======" alone it is YAML's to complain.
func mergeConflict(data []byte) (line, end int, found bool) {
	n := 0
	for text := range bytes.Lines(data) {
		n++
		switch {
		case line == 0 && bytes.HasPrefix(text, []byte("<<<<<<< ")):
			line = n
		case line > 0 && bytes.HasPrefix(text, []byte(">>>>>>> ")):
			return line, n, true
		}
	}
	return 0, 0, false
}

// cancelReader ends with ctx, so that a large file is not read for nobody.
type cancelReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelReader) Read(b []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(b)
}

// plainText refuses characters that no editor shows as part of a line: they would make
// positions wrong, and are never intended.
func (p *parser) plainText(data []byte) bool {
	line, col := 1, 1
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if text := badCharacter(r, n, data[i:]); text != "" && !(i == 0 && r == '\ufeff') {
			p.noteAt(line, col, text)
			return false
		}
		switch {
		case r == '\n':
			line, col = line+1, 1
		case r != '\ufeff':
			col++
		}
		i += n
	}
	return true
}

// badCharacter describes what is wrong with the first character of data, "" for nothing.
func badCharacter(r rune, n int, data []byte) string {
	switch {
	case r == utf8.RuneError && n == 1:
		return fmt.Sprintf("byte %#02x is not UTF-8", data[0])
	case r == '\r' && (len(data) < 2 || data[1] != '\n'):
		return "a carriage return without a line feed"
	case r < ' ' && r != '\n' && r != '\t' && r != '\r', r >= 0x7f && r < 0xa0,
		r == '\u2028', r == '\u2029', r == '\ufeff', r&0xfffe == 0xfffe: // the last are noncharacters
		return fmt.Sprintf("the character %U is not allowed in a routes file", r)
	}
	return ""
}

// top returns the mapping of the document.
func (p *parser) top(doc node) node {
	if doc == nil || len(doc.Content) == 0 || yamledit.IsNull(doc.Content[0]) {
		p.noteAt(1, 1, "the file is empty, wanted version: 1 and routes")
		return nil
	}
	n := doc.Content[0]
	if n.Kind != yamledit.MappingNode {
		p.note(n, fmt.Sprintf("the document %s, wanted a mapping that begins with version: 1", describe(n)))
		return nil
	}
	p.inspect(n, 1)
	p.path, p.record = nil, ""
	if p.stopped {
		return nil
	}
	return n
}

// inspect checks every node as written, aliases not followed: depth, tags, and keys that
// are not texts or are repeated.
func (p *parser) inspect(n node, depth int) {
	if depth > maxDepth {
		p.note(n, fmt.Sprintf("nests deeper than %d levels", maxDepth))
		p.stopped = true
	}
	if p.stopped {
		return
	}
	p.checkTag(n)
	if n.Kind == yamledit.MappingNode {
		p.checkKeys(n)
	}
	for i, child := range n.Content {
		if n.Kind == yamledit.MappingNode && i%2 == 1 {
			p.enterKey(n.Content[i-1].Value, depth)
		}
		p.inspect(child, depth+1)
	}
	p.path = p.path[:min(len(p.path), depth-1)]
}

// recordsIn names the records of the sections that hold some.
var recordsIn = map[string]string{"listeners": "listener", "pools": "pool", "routes": "route"}

// enterKey keeps the path and the record of what inspect checks.
func (p *parser) enterKey(key string, depth int) {
	p.path = append(p.path[:min(len(p.path), depth-1)], yamledit.Clip(key))
	if depth <= 2 {
		p.record = ""
	}
	if what := recordsIn[p.path[0]]; depth == 2 && what != "" {
		p.record = recordOf(what, key)
	}
}

// coreTags are those of YAML's own types; a routes file needs no others.
var coreTags = map[string]bool{
	"": true, "!": true, "!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true,
	"!!map": true, "!!seq": true, "!!merge": true,
}

func (p *parser) checkTag(n node) {
	if isCustomTag(n) {
		p.note(n, fmt.Sprintf("unknown tag %q: remove it, or put a text that begins with \"!\" in quotes", yamledit.Clip(n.Tag)))
	}
}

func isCustomTag(n node) bool { return n.Style&yamledit.TaggedStyle != 0 && !coreTags[n.Tag] }

// checkKeys reports the repeated keys of one mapping, with both places.
func (p *parser) checkKeys(n node) {
	first := make(map[string]node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yamledit.AliasNode {
			key = key.Alias
		}
		if key.Kind != yamledit.ScalarNode {
			p.note(key, fmt.Sprintf("a key %s, wanted a text", describe(key)))
			continue
		}
		if before, twice := first[key.Value]; twice {
			p.note(n.Content[i], fmt.Sprintf("the key %q is repeated, first at %s", yamledit.Clip(key.Value), p.file.pos(before)))
			continue
		}
		first[key.Value] = n.Content[i]
	}
}

// noteAt reports a mistake where there is no node.
func (p *parser) noteAt(line, col int, text string) {
	p.errs = append(p.errs, &Error{Pos: Pos{File: p.file.Path, Line: line, Col: col}, Text: text})
}
