package routefile

import (
	"iter"
	"strings"
)

// What a key of the routes file is. The table of all keys stands in table.go;
// the parser (walk.go), the schema and the reference are driven by it.

// Kind says what stands at a key.
type Kind string

const (
	KindMapping    Kind = "mapping"          // a mapping with the keys below it
	KindNamed      Kind = "mapping of names" // names of the writer's choice, each with what stands at its "*" below
	KindList       Kind = "list of mappings" // each with the keys below "[]"
	KindText       Kind = "text"
	KindValue      Kind = "value" // a text that may be written as a number, true or false without quotes
	KindSwitch     Kind = "true or false"
	KindWhole      Kind = "whole number"
	KindCount      Kind = "count"             // a whole number, or off
	KindRate       Kind = "rate"              // a number that may have a fraction, or off
	KindDuration   Kind = "duration"          // 30s, 500ms, 1h30m; off and 0 where the meaning allows it
	KindSize       Kind = "size"              // 4096, 64KiB, 10MB; off and 0 where the meaning allows it
	KindTexts      Kind = "list of texts"     // one text is a list of one
	KindNetworks   Kind = "list of networks"  // CIDRs and bare addresses; one is a list of one
	KindValues     Kind = "mapping of values" // names of the writer's choice to one value each
	KindValueLists Kind = "mapping of lists"  // names of the writer's choice to a value or a list of them
)

// Key is one key of the routes file, as the parser, the schema, the reference
// and the Terraform provider know it. Read-only; safe for concurrent use.
type Key struct {
	Name     string // as written; "*" stands for a name of the writer's choice, "[]" for a list's item
	Path     string // dotted from the top: "routes.*.match.host"
	Kind     Kind
	Meaning  string   // one or two plain sentences
	Default  string   // YAML of the built-in default; "" when there is none
	Example  string   // YAML that may stand at the key
	Enum     []string // the only values of a text, or of each in a list; nil is any
	Pattern  string   // RE2 that a text fits, for the schema; "" is any
	Required bool     // its mapping is wrong without it
	Reserved bool     // known, but refused as not supported yet
	Min, Max int      // bounds of a whole number or count; both 0: none
	Zero     bool     // "off" (and 0) may be written
	Filled   bool     // a list may not be empty
	Short    []Short  // other forms that may stand at the key

	// Of the keys below a mapping:
	ExactlyOne []string // one of these must stand, and one only
	AtMostOne  []string // several of these may not stand
	Together   []string // with one of these, all of them must stand

	inside func(dst any) any                                     // where in dst the key's own destination is; nil: dst itself
	open   func(dst any) any                                     // KindMapping: the part of dst that its keys fill
	each   func(p *parser, dst any, name string, key node) any   // KindNamed, KindList: one entry of dst, for its keys to fill
	set    func(p *parser, k *Key, n node, dst any)              // all other kinds
	short  func(p *parser, k *Key, n node, dst any) (taken bool) // a short form, if n is one
	after  func(p *parser, k *Key, n node, dst any)              // KindMapping, KindNamed: checks across its keys

	// Of the way back, from records to YAML:
	get      func(src any) any                    // KindMapping: what open opens, without changing src; nil: not there
	optional bool                                 // KindMapping: an empty one means something
	all      func(src any) iter.Seq2[string, any] // KindNamed, KindList: the entries of src
	write    func(src any) node                   // all other kinds, and mappings in their short form; nil: not there

	keys  []*Key
	index map[string]*Key
}

// Short is a form other than its kind that may stand at a key: `keepalive: off`.
type Short struct {
	Kind    Kind
	Enum    []string // KindText: the only values
	Meaning string
}

// Keys returns every key in the order of the reference: a key, then those below it.
func Keys() []Key {
	var all []Key
	walkKeys(&document, func(k *Key) {
		if k.Path != "" {
			all = append(all, *k)
		}
	})
	return all
}

// child returns the key for name below k, nil if there is none.
func (k *Key) child(name string) *Key {
	if k == nil {
		return nil
	}
	if one := k.index["*"]; one != nil {
		return one
	}
	return k.index[name]
}

// walkKeys visits k and everything below it.
func walkKeys(k *Key, visit func(*Key)) {
	visit(k)
	for _, below := range k.keys {
		walkKeys(below, visit)
	}
}

// names lists the keys that may be written below k.
func (k *Key) names() []string {
	var names []string
	for _, below := range k.keys {
		if !below.Reserved {
			names = append(names, below.Name)
		}
	}
	return names
}

// top says whether k stands at the top of the file.
func (k *Key) top() bool { return !strings.Contains(k.Path, ".") }

// setting says whether k is one of the keys that may stand in the defaults and in a route.
func (k *Key) setting() bool {
	return k.inside != nil || strings.HasPrefix(k.Path, "defaults.") && strings.Count(k.Path, ".") == 1
}

// under says whether k stands below the key at the top.
func (k *Key) under(top string) bool { return strings.HasPrefix(k.Path, top+".") }

// finish fills what follows from a key's place in the table: paths and indexes.
func (k *Key) finish(path string) {
	k.Path = path
	k.index = make(map[string]*Key, len(k.keys))
	for _, below := range k.keys {
		k.index[below.Name] = below
		below.finish(join(path, below.Name))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// under makes copies of keys that fill a *U usable where a *T stands: settings
// are the same keys in the defaults and in a route.
func under[T, U any](keys []*Key, part func(*T) *U) []*Key {
	lifted := copies(keys)
	for _, k := range lifted {
		k.inside = func(dst any) any { return part(dst.(*T)) }
	}
	return lifted
}

// copies makes keys that may have another place in the table.
func copies(keys []*Key) []*Key {
	out := make([]*Key, len(keys))
	for i, k := range keys {
		c := *k
		c.keys = copies(k.keys)
		out[i] = &c
	}
	return out
}
