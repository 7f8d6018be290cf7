package routefile

import (
	"iter"
	"strings"
)

// Key: what the program knows about a key of the routes file. The table of all keys
// begins in table.go; it drives the parser (parse_walk.go), the encoder, the schema and
// the reference.

// Kind is the kind of a key's value.
type Kind string

const (
	KindMapping    Kind = "mapping"          // a mapping with the keys below it
	KindNamed      Kind = "mapping of names" // names that the writer chooses, each with the value described by "*" below
	KindList       Kind = "list of mappings" // each with the keys below "[]"; one mapping is a list of one
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
	KindValues     Kind = "mapping of values" // names that the writer chooses, each with one value
	KindValueLists Kind = "mapping of lists"  // names that the writer chooses, each with a value or a list of them
)

// Key is one key of the routes file, for the parser, the schema, the reference and the
// Terraform provider. Read-only; safe for concurrent use.
type Key struct {
	Name     string // as written; "*" for names that the writer chooses, "[]" for items of a list
	Path     string // dotted from the top: "routes.*.match.host"
	Kind     Kind
	Meaning  string   // one or two plain sentences
	Default  string   // YAML of the built-in default; "" when there is none
	Example  string   // YAML of a possible value
	Enum     []string // the only values of a text, or of each in a list; nil is any
	Pattern  string   // RE2 that a text fits, for the schema; "" is any
	Required bool     // a mistake if missing
	Reserved bool     // known, but refused as not supported yet
	Min, Max int      // bounds of a whole number or count; both 0: none
	Zero     bool     // "off" and 0 are allowed
	Filled   bool     // an empty list is a mistake
	Numbers  bool     // KindTexts: one may be written as a number
	Files    bool     // KindValues, KindValueLists: a value may be {file: PATH}
	Short    []Short  // other forms of the value

	// Of the keys below a mapping:
	ExactlyOne []string // exactly one of these is required
	AtMostOne  []string // at most one of these is allowed
	Together   []string // all of these are required if one is present

	inside func(dst any) any                                     // the destination of the key within dst, made if need be; nil: dst itself
	open   func(dst any) any                                     // KindMapping: the part of dst that its keys fill
	each   func(p *parser, dst any, name string, key node) any   // KindNamed, KindList, KindMapping with "*": one entry of dst, for its keys to fill
	set    func(p *parser, k *Key, n node, dst any)              // all other kinds
	short  func(p *parser, k *Key, n node, dst any) (taken bool) // a short form, if n is one
	after  func(p *parser, k *Key, n node, dst any)              // KindMapping, KindNamed: checks across its keys

	// For the encoder:
	within   func(src any) any                    // what inside makes, without changing src; nil: missing
	get      func(src any) any                    // KindMapping: what open opens, without changing src; nil: missing
	optional bool                                 // KindMapping: an empty one means something
	all      func(src any) iter.Seq2[string, any] // KindNamed, KindList: the entries of src
	none     func(src any) node                   // KindList: what is written for no entries; nil: an empty list
	write    func(src any) node                   // all other kinds, and the short form of mappings; nil: missing

	keys  []*Key
	index map[string]*Key
}

// Short is another form of a key's value: `keepalive: off`.
type Short struct {
	Kind    Kind
	Enum    []string // KindText: the only values
	Meaning string
}

// Keys returns every key in the order of the reference, each before those below it.
func Keys() []Key {
	var all []Key
	walkKeys(&document, func(k *Key) {
		if k.Path != "" {
			all = append(all, *k)
		}
	})
	return all
}

// child returns the key called name below k, nil if there is none.
func (k *Key) child(name string) *Key {
	if k == nil {
		return nil
	}
	if below := k.index[name]; below != nil {
		return below
	}
	return k.index["*"]
}

// walkKeys visits k and everything below it.
func walkKeys(k *Key, visit func(*Key)) {
	visit(k)
	for _, below := range k.keys {
		walkKeys(below, visit)
	}
}

// names returns the names of the supported keys below k.
func (k *Key) names() []string {
	var names []string
	for _, below := range k.keys {
		if !below.Reserved {
			names = append(names, below.Name)
		}
	}
	return names
}

// top reports whether k is at the top of the file.
func (k *Key) top() bool { return !strings.Contains(k.Path, ".") }

// setting reports whether k is allowed both in the defaults and in a route.
func (k *Key) setting() bool {
	return k.inside != nil || strings.HasPrefix(k.Path, "defaults.") && strings.Count(k.Path, ".") == 1
}

// under reports whether k is below the key called top.
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

// underOptional adapts keys that fill a *U to a *T with a part that is nil where none of
// them is written: settings are the same keys in the defaults and in a route.
func underOptional[T, U any](keys []*Key, part func(*T) **U) []*Key {
	lifted := copies(keys)
	as := optional(part)
	for _, k := range lifted {
		k.inside, k.within = as.open, as.get
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
