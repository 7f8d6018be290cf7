package routefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Edit: records set, dropped and renamed in a file whose every other byte stays.

// Section is a part of the routes file that holds records by name.
type Section string

// The sections of a routes file that an edit can reach.
const (
	InListeners Section = "listeners"
	InPools     Section = "pools"
	InRoutes    Section = "routes"
)

// sectionOrder is in which order sections that a file lacks are added.
var sectionOrder = []Section{InListeners, InPools, InRoutes}

// record is what a mistake calls one record of the section: `route "chat"`.
func (s Section) record(name string) string {
	return fmt.Sprintf("%s %q", strings.TrimSuffix(string(s), "s"), clip(name))
}

// Op is one operation of an edit. Make it with a Section's Set, Drop or Rename.
type Op struct {
	section  Section
	name, to string
	value    *yaml.Node
	kind     opKind
}

type opKind int

const (
	opSet opKind = iota
	opDrop
	opRename
)

// Set makes name's record value, as EncodeRoute, EncodePool, EncodeListener or
// ParseRecord give it. A record that means the same already is left as it is; one
// that differs is changed key by key, comments kept; a new one is added at the
// section's end, the section at the file's. The value is not changed and may be
// shared.
func (s Section) Set(name string, value *yaml.Node) Op {
	return Op{section: s, name: name, value: value}
}

// Drop removes name's record with the comments directly above and below it.
// A name that is not there is no error: nothing changes. The last record of
// a section leaves `routes: {}` behind, which says that it is meant.
func (s Section) Drop(name string) Op {
	return Op{section: s, name: name, kind: opDrop}
}

// Rename gives the record a new name in its old place. It is an error when
// there is no such record or the new name is taken.
func (s Section) Rename(name, to string) Op {
	return Op{section: s, name: name, to: to, kind: opRename}
}

// Editor edits routes files. The zero Editor is ready, and safe for concurrent
// use as long as its fields are not changed.
type Editor struct {
	// Path is the file's name for error messages.
	Path string
	// Reformat brings a file that cannot be spliced as it stands into the
	// canonical layout first (Format), instead of refusing it.
	Reformat bool
}

// Edit applies ops in order, in one pass, with the zero Editor.
func Edit(data []byte, ops ...Op) ([]byte, error) {
	return Editor{}.Edit(data, ops...)
}

// Edit applies ops in order and returns the new file; data is not changed, and
// is returned itself when nothing is to be done.
//
// Bytes are spliced between the places of nodes: whatever the operations do not
// name keeps every byte. The result is parsed again and compared: each record
// that no operation names, and everything outside of their sections, must be the
// same to the last anchor, and each named one must be what was asked for.
// Otherwise the error says "refusing to write".
//
// A layout that cannot be spliced safely is a *LayoutError. The edit does not
// judge what the records mean: that is Check's business.
func (e Editor) Edit(data []byte, ops ...Op) ([]byte, error) {
	out, err := edit(data, ops)
	var layout *LayoutError
	if errors.As(err, &layout) && e.Reformat {
		if formatted, ferr := Format(data); ferr == nil {
			out, err = edit(formatted, ops)
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

// edit applies ops key by key, and record by record if that cannot be proved right.
func edit(data []byte, ops []Op) ([]byte, error) {
	for _, op := range ops {
		if err := op.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", op.section.record(op.name), err)
		}
	}
	l, err := newLayout(data)
	if err != nil {
		return nil, err
	}
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
	if err := s.proveBytes(sections); err != nil {
		return nil, err
	}
	return out, l.prove(out, sections)
}

// maxNested bounds how deep a record that is written may nest.
const maxNested = 100

// check refuses values that cannot be written as they are.
func (op Op) check() error {
	switch {
	case !slices.Contains(sectionOrder, op.section):
		return fmt.Errorf("unknown section %q: wanted listeners, pools or routes", string(op.section))
	case op.name == "" || op.kind == opRename && op.to == "":
		return errors.New("empty name")
	case op.kind == opSet && (op.value == nil || op.value.Kind != yaml.MappingNode):
		return errors.New("the record is no mapping")
	case op.kind == opSet:
		return checkWritable(op.value, 0)
	}
	return nil
}

// checkWritable refuses what a record may not contain: anchors and aliases,
// tags of the writer's own, keys that are no names or stand twice.
func checkWritable(n *yaml.Node, depth int) error {
	switch {
	case depth > maxNested:
		return fmt.Errorf("nests deeper than %d levels", maxNested)
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return errors.New("contains an anchor or an alias: write the value out")
	case n.Kind == yaml.ScalarNode && !slices.Contains(plainTags, n.ShortTag()):
		return fmt.Errorf("contains the tag %q: wanted plain values", n.ShortTag())
	case n.Kind == yaml.ScalarNode && !utf8.ValidString(n.Value):
		return fmt.Errorf("contains %q, which is not UTF-8", n.Value)
	case n.Kind == yaml.MappingNode && len(fields(n)) != len(n.Content)/2:
		return errors.New("contains a key twice, or one that is no name")
	}
	for _, c := range n.Content {
		if err := checkWritable(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// plainTags are the kinds of single values that a record may hold.
var plainTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp"}

// ParseRecord reads one record from YAML, for Section.Set: a mapping, without
// its name.
func ParseRecord(data []byte) (*yaml.Node, error) {
	doc, err := oneDocument(data)
	if err != nil {
		return nil, err
	}
	if doc == nil || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("not a record: wanted a mapping")
	}
	return doc.Content[0], nil
}

// Print writes a record of the section in the canonical layout, as Edit would:
// its name, a colon, and its keys below, in the order of the reference. LF line
// ends, one at the end.
func (s Section) Print(name string, value *yaml.Node) ([]byte, error) {
	if err := s.Set(name, value).check(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.record(name), err)
	}
	p := splicer{step: 2}
	var out []byte
	for _, line := range p.canonical(name, ordered(value, s.key()), 1) {
		out = append(append(out, line...), '\n')
	}
	return out, nil
}

// key is the table's key for one record of the section.
func (s Section) key() *Key { return document.index[string(s)].index["*"] }
