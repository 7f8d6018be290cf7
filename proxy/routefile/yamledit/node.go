package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Nodes: the only file of the program that imports yaml.v3. The parsing of
// routes files uses the names below, so that a successor of yaml.v3 is chosen here.

// Node is one value of a parsed YAML document, with its line and column.
type Node = yaml.Node

// Kind tells mappings, lists, single values and aliases apart.
type Kind = yaml.Kind

// The kinds of a Node.
const (
	MappingNode  = yaml.MappingNode
	SequenceNode = yaml.SequenceNode
	ScalarNode   = yaml.ScalarNode
	AliasNode    = yaml.AliasNode
)

// The styles of a Node, as bits of its Style.
const (
	TaggedStyle       = yaml.TaggedStyle
	DoubleQuotedStyle = yaml.DoubleQuotedStyle
	SingleQuotedStyle = yaml.SingleQuotedStyle
	LiteralStyle      = yaml.LiteralStyle
	FoldedStyle       = yaml.FoldedStyle
	FlowStyle         = yaml.FlowStyle
)

// ByteOrderMark is what some editors write in front of UTF-8. The parser of a
// document is given the bytes behind it.
const ByteOrderMark = "\ufeff"

var byteOrderMark = []byte(ByteOrderMark)

// Unmarshal decodes YAML into v, a pointer, as yaml.v3 does.
func Unmarshal(data []byte, v any) error { return yaml.Unmarshal(data, v) }

// Decode reads the first document of r and the first node of the second one,
// nil if there is none. An empty input has a first document without content.
// yaml.v3 reports some of its own bugs by a panic, which becomes an error.
func Decode(r io.Reader) (first, second *Node, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("yaml: cannot be read: %v", v)
		}
	}()
	slashes := &slashReader{r: r}
	dec := yaml.NewDecoder(slashes)
	var a, b Node
	if err := dec.Decode(&a); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch err := dec.Decode(&b); {
	case errors.Is(err, io.EOF):
		first, second = &a, nil
	case err != nil:
		return nil, nil, err
	default:
		first, second = &a, &b
	}
	if slashes.marked {
		unmark(&a)
		unmark(&b)
	}
	return first, second, nil
}

// ParseRecord reads one record from YAML: a mapping, without its name.
func ParseRecord(data []byte) (*Node, error) {
	doc, err := parseDocument(data)
	if err != nil {
		return nil, err
	}
	if doc == nil || doc.Content[0].Kind != MappingNode {
		return nil, errors.New("not a record: wanted a mapping")
	}
	return doc.Content[0], nil
}

// parseDocument parses data as one document; nil if there is none.
func parseDocument(data []byte) (*Node, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("the file has %d bytes, wanted at most %d", len(data), MaxBytes)
	}
	doc, second, err := Decode(bytes.NewReader(bytes.TrimPrefix(data, byteOrderMark)))
	if err != nil {
		return nil, fmt.Errorf("not readable as yaml: %s", bytes.TrimPrefix([]byte(err.Error()), []byte("yaml: ")))
	}
	if second != nil {
		return nil, &LayoutError{
			Pos:  Pos{Line: max(second.Line, 1), Col: max(second.Column, 1)},
			Text: "a second document begins here: wanted one document in a file",
		}
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc, nil
}

// TextNode makes a text, printed with quotes where it needs them.
func TextNode(s string) *Node { return &Node{Kind: ScalarNode, Tag: "!!str", Value: s} }

// WordNode makes what YAML reads the word as: a number, true or false, a text.
func WordNode(s string) *Node { return &Node{Kind: ScalarNode, Value: s} }

// ListNode makes a list of items.
func ListNode(items ...*Node) *Node {
	return &Node{Kind: SequenceNode, Tag: "!!seq", Content: items}
}

// Mapping collects the keys and values of a mapping.
type Mapping []*Node

// Add appends a key with its value.
func (m *Mapping) Add(name string, value *Node) { *m = append(*m, TextNode(name), value) }

// Node returns the mapping as a node.
func (m Mapping) Node() *Node { return &Node{Kind: MappingNode, Tag: "!!map", Content: m} }

// IsNull reports whether n is null, written or not.
func IsNull(n *Node) bool { return n.Kind == ScalarNode && n.ShortTag() == "!!null" }

// IsMerge reports whether the key n is `<<`.
func IsMerge(n *Node) bool { return n.Kind == ScalarNode && n.Tag == "!!merge" }

// Deref returns the node that an alias refers to, any other node itself.
func Deref(n *Node) *Node {
	if n != nil && n.Kind == AliasNode {
		return n.Alias
	}
	return n
}

// Pair is a key and its value.
type Pair struct{ Key, Value *Node }

// Pairs returns the keys and values of a mapping in order, merge keys included.
func Pairs(n *Node) []Pair {
	var list []Pair
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		list = append(list, Pair{n.Content[i], n.Content[i+1]})
	}
	return list
}

// Fields returns the values of a mapping by key, including those that merge keys
// add. Of two equal keys the first counts.
func Fields(n *Node) map[string]*Node {
	all := make(map[string]*Node, len(n.Content)/2)
	collectFields(n, all, 0)
	return all
}

func collectFields(n *Node, all map[string]*Node, depth int) {
	n = Deref(n)
	if depth > maxCompared {
		return
	}
	if n.Kind == SequenceNode {
		for _, base := range n.Content {
			collectFields(base, all, depth+1)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := Deref(n.Content[i])
		if key.Kind == ScalarNode && !IsMerge(key) && all[key.Value] == nil {
			all[key.Value] = n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if IsMerge(Deref(n.Content[i])) {
			collectFields(n.Content[i+1], all, depth+1)
		}
	}
}

// maxClip is how many bytes of a value Clip keeps.
const maxClip = 80

// Clip shortens a value that a message repeats.
func Clip(s string) string {
	if len(s) <= maxClip {
		return s
	}
	end := maxClip
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}
