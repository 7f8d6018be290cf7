package routefile

import (
	"slices"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Edit and Format: package yamledit, told of the sections and keys of a routes file.

// Section is a part of the routes file that holds records by name.
type Section string

// The sections of a routes file that an edit can reach.
const (
	InListeners Section = "listeners"
	InPools     Section = "pools"
	InRoutes    Section = "routes"
)

// sections in the order in which an edit adds those that a file lacks.
var sections = []Section{InListeners, InPools, InRoutes}

// schema is what yamledit knows of routes files.
var schema = &yamledit.Schema{
	Sections:     []string{string(InListeners), string(InPools), string(InRoutes)},
	Optional:     []string{string(InListeners), string(InPools)},
	Version:      yamledit.Pair{Key: yamledit.TextNode("version"), Value: yamledit.WordNode("1")},
	Keys:         keyOrder{&document},
	KeepSpelling: func(section string, old, want node) node { return keepSpelling(Section(section), old, want) },
	Formatter:    "tunnelform fmt",
}

// keyOrder is the order of the table: that of the reference.
type keyOrder struct{ *Key }

func (k keyOrder) Rank(name string) int {
	if k.index["*"] != nil && len(k.keys) == 1 {
		return 0
	}
	if i := slices.IndexFunc(k.keys, func(one *Key) bool { return one.Name == name }); i >= 0 {
		return i
	}
	return len(k.keys)
}

func (k keyOrder) Below(name string) yamledit.Keys {
	if below := k.child(name); below != nil {
		return keyOrder{below}
	}
	return nil
}

type (
	// Op is one operation of an edit. Make it with a Section's Set, Drop or Rename.
	Op = yamledit.Op
	// LayoutError is a place in a routes file that cannot be edited without
	// changing what the edit does not name.
	LayoutError = yamledit.LayoutError
)

// Set makes value the record called name; see yamledit.Set. value is what
// FromPlain returns.
func (s Section) Set(name string, value node) Op { return yamledit.Set(string(s), name, value) }

// Drop removes a record with its comments; see yamledit.Drop.
func (s Section) Drop(name string) Op { return yamledit.Drop(string(s), name) }

// Rename gives a record a new name in its old place; see yamledit.Rename.
func (s Section) Rename(name, to string) Op { return yamledit.Rename(string(s), name, to) }

// Editor edits routes files. The zero Editor is ready, and safe for concurrent
// use as long as its fields are not changed.
type Editor struct {
	Path     string // the file's name in errors
	Reformat bool   // formats a file whose layout cannot be edited first, instead of refusing it
}

// Edit applies ops in order and returns the new file; see yamledit.Editor.Edit.
// It does not judge what the records mean: that is Check's business.
func (e Editor) Edit(data []byte, ops ...Op) ([]byte, error) {
	return yamledit.Editor{Schema: schema, Path: e.Path, Reformat: e.Reformat}.Edit(data, ops...)
}

// Format returns data in the canonical layout, its keys in the order of the
// reference; see yamledit.Schema.Format.
func Format(data []byte) ([]byte, error) { return schema.Format(data) }

// Print returns a record of the section in the canonical layout, as Edit writes it.
func (s Section) Print(name string, value node) ([]byte, error) {
	return schema.Record(string(s), name, value)
}

// record is what a mistake calls one record of the section: `route "chat"`.
func (s Section) record(name string) string { return recordOf(s.singular(), name) }

func (s Section) singular() string { return string(s[:len(s)-1]) }

// key is the table's key for one record of the section.
func (s Section) key() *Key { return document.index[string(s)].index["*"] }
