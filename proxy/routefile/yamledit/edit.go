package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Edit: records set, dropped and renamed in a document whose other bytes stay.

// MaxBytes is the largest document that is read.
const MaxBytes = 16 << 20

// Schema is what the editor is told about the documents that it edits. The zero
// Schema edits none, as it has no sections. Read-only once it is in use, and
// then safe for concurrent use.
type Schema struct {
	// Sections are the keys at the top whose values hold records by name, in
	// the order in which missing sections are added. A section's name is the
	// plural of what its records are called in messages.
	Sections []string
	// Optional are the sections that a document need not have. An edit that drops
	// the last record of one removes it.
	Optional []string
	// Version is the first key of a new document, with its value.
	Version Pair
	// Keys orders the keys of the canonical layout; nil keeps the written order.
	Keys Keys
	// KeepSpelling returns want, the new value of a section's record, with the
	// spelling of old wherever both mean the same, such as 60s and 1m. Nil
	// compares what YAML alone knows of meanings.
	KeepSpelling func(section string, old, want *Node) *Node
	// Formatter is the command that calls Format, for messages.
	Formatter string
}

// Keys is what the canonical layout knows of the keys of a mapping.
type Keys interface {
	// Rank orders keys; those of equal rank keep their written order.
	Rank(name string) int
	// Below returns the keys of the mapping at a key, nil if it is unknown. The
	// items of a list are at "[]".
	Below(name string) Keys
}

// recordName is what a message calls a record: `route "chat"`.
func recordName(section, name string) string {
	return fmt.Sprintf("%s %q", strings.TrimSuffix(section, "s"), Clip(name))
}

// Op is one operation of an edit, made by Set, Drop or Rename.
type Op struct {
	section  string
	name, to string
	value    *Node
	kind     opKind
}

type opKind int

const (
	opSet opKind = iota
	opDrop
	opRename
)

// Set makes value the record called name. A record that means the same already
// is left as it is; one that differs is changed key by key, and keeps its
// comments; a new one is added at the section's end, the section at the
// document's. value is not changed and may be shared.
func Set(section, name string, value *Node) Op {
	return Op{section: section, name: name, value: value}
}

// Drop removes a record with the comments directly above and below it. A name
// that is not there is no error. The last record of a section leaves
// `section: {}` behind; an optional section goes with it, unless it has comments
// of its own.
func Drop(section, name string) Op {
	return Op{section: section, name: name, kind: opDrop}
}

// Rename gives a record a new name in its old place. It is an error when there
// is no such record or the new name is taken.
func Rename(section, name, to string) Op {
	return Op{section: section, name: name, to: to, kind: opRename}
}

// Editor edits documents of one schema. Safe for concurrent use as long as its
// fields are not changed.
type Editor struct {
	Schema *Schema
	// Path is the file's name in errors.
	Path string
	// Reformat brings a document whose layout cannot be edited into the
	// canonical layout first (Schema.Format), instead of refusing it.
	Reformat bool
}

// Edit applies ops in order and returns the new document; data is not changed,
// and is returned itself when there is nothing to do. A layout that cannot be
// edited safely is a *LayoutError; a result that the proof rejects is an error
// that says "refusing to write".
func (e Editor) Edit(data []byte, ops ...Op) ([]byte, error) {
	out, err := e.Schema.edit(data, ops)
	var layout *LayoutError
	if errors.As(err, &layout) && e.Reformat {
		if formatted, ferr := e.Schema.Format(data); ferr == nil {
			out, err = e.Schema.edit(formatted, ops)
		}
	}
	switch {
	case err == nil:
		return out, nil
	case errors.As(err, &layout):
		layout.Pos.File = e.Path
		return nil, layout
	case e.Path != "":
		return nil, fmt.Errorf("%s: %w", e.Path, err)
	}
	return nil, err
}

// edit applies ops key by key, and record by record if that result is not proved right.
func (s *Schema) edit(data []byte, ops []Op) ([]byte, error) {
	for _, op := range ops {
		if err := s.check(op); err != nil {
			return nil, fmt.Errorf("%s: %w", recordName(op.section, op.name), err)
		}
	}
	l, err := s.newLayout(data)
	if err != nil {
		return nil, err
	}
	out, err := l.edit(ops, false)
	if errors.Is(err, errUnproved) {
		out, err = l.edit(ops, true)
	}
	if errors.Is(err, errUnproved) && len(data) > 0 && !l.endsInBreak() {
		if ended, endedErr := s.editUnended(l, ops); endedErr == nil {
			return ended, nil
		}
	}
	return out, err
}

// editUnended edits a document without a final line break as if it had one: additions and
// removals at its end would overlap, as both move the break before them.
func (s *Schema) editUnended(unended *layout, ops []Op) ([]byte, error) {
	l, err := s.newLayout(append(bytes.Clone(unended.data), unended.eol...))
	if err != nil {
		return nil, err
	}
	budget := maxVisited
	if !identical(unended.root, l.root, &budget) { // such as a block scalar that keeps its last break
		return nil, errUnproved
	}
	l.unended = true
	out, err := l.edit(ops, false)
	if errors.Is(err, errUnproved) {
		out, err = l.edit(ops, true)
	}
	return out, err
}

// edit applies ops once. whole replaces changed records as a whole.
func (l *layout) edit(ops []Op, whole bool) ([]byte, error) {
	s := &splicer{layout: l, step: l.indentStep(), whole: whole}
	sections, err := l.sections(ops)
	if err != nil {
		return nil, err
	}
	for _, sec := range sections {
		if err := s.applySection(sec); err != nil {
			return nil, inSections(err, sections)
		}
	}
	s.removeSections(sections)
	s.addSections(sections)
	if err := s.checkAnchors(); err != nil {
		return nil, inSections(err, sections)
	}
	if len(s.hunks) == 0 {
		return l.data, nil
	}
	out, ok := s.splice()
	if !ok {
		return nil, fmt.Errorf("%w: two changes overlap", errUnproved)
	}
	if l.unended {
		out = bytes.TrimSuffix(out, []byte(l.eol))
	}
	if err := s.proveBytes(sections); err != nil {
		return nil, err
	}
	return out, l.prove(out, sections)
}

// maxNested bounds how deep a record that is written may nest.
const maxNested = 100

// check refuses operations that name nothing, and values that cannot be written
// as they are.
func (s *Schema) check(op Op) error {
	switch {
	case !slices.Contains(s.Sections, op.section):
		return fmt.Errorf("unknown section %q: wanted %s", op.section, oneOf(s.Sections))
	case op.name == "" || op.kind == opRename && op.to == "":
		return errors.New("empty name")
	case op.kind == opSet && (op.value == nil || op.value.Kind != MappingNode):
		return errors.New("the record is not a mapping")
	case op.kind == opSet:
		return checkWritable(op.value, 0)
	}
	return nil
}

// oneOf writes "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// checkWritable refuses what a record may not contain: anchors and aliases,
// custom tags, keys that are not texts or are repeated.
func checkWritable(n *Node, depth int) error {
	switch {
	case depth > maxNested:
		return fmt.Errorf("nests deeper than %d levels", maxNested)
	case n.Kind == AliasNode || n.Anchor != "":
		return errors.New("contains an anchor or an alias: write the value out")
	case n.Kind == ScalarNode && !slices.Contains(writableTags, n.ShortTag()):
		return fmt.Errorf("contains the tag %q: wanted plain values", n.ShortTag())
	case n.Kind == ScalarNode && !utf8.ValidString(n.Value):
		return fmt.Errorf("contains %q, which is not UTF-8", n.Value)
	case n.Kind == MappingNode && len(Fields(n)) != len(n.Content)/2:
		return errors.New("contains a repeated key, or one that is not a text")
	}
	for _, c := range n.Content {
		if err := checkWritable(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// writableTags are the types of single values that a record may hold.
var writableTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp"}
