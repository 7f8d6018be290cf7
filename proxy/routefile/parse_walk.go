package routefile

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// The walk: it reads the nodes of a document by the table of keys and fills the records.
// It reports every mistake and goes on.

// node is a YAML node. Where a function takes one, aliases are followed already.
type node = *yamledit.Node

const (
	// maxDepth limits the nesting of values, aliases followed.
	maxDepth = 100
	// maxAliased limits the nodes that are read through aliases and merge keys in one file,
	// so that an alias bomb costs less than a second. Ten thousand routes that merge a base
	// of ten keys are far below. Every 64 bytes of a text count as one node.
	maxAliased = 1_000_000
)

// parser walks one file. Not for concurrent use.
type parser struct {
	ctx        context.Context // nil lasts for ever
	file       *File
	errs       []*Error
	record     string   // `route "chat"`, for mistakes
	within     int      // number of path's elements that lead to the record
	path       []string // keys from the top to the current value
	aliasNodes int      // nodes read through aliases
	aliasDepth int      // number of aliases that lead to the current value
	depth      int
	stopped    bool // a limit is exceeded: nothing more is read
	shared     settingsPool
	tooMany    bool // there are more mistakes than are kept
}

// fail reports a mistake at n. text follows the key's name: `is a list, wanted a text`.
func (p *parser) fail(n node, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if name := p.name(); name != "" {
		text = name + " " + text
	}
	p.note(n, text)
}

// bad reports that the scalar n is wrong: `host "a..b": empty label`.
func (p *parser) bad(n node, format string, args ...any) {
	p.note(n, fmt.Sprintf("%s %q: %s", p.name(), yamledit.Clip(n.Value), fmt.Sprintf(format, args...)))
}

// note reports a mistake at n with its whole text.
func (p *parser) note(n node, text string) {
	if len(p.errs) >= maxMistakes {
		p.stopped, p.tooMany = true, true
		return
	}
	p.errs = append(p.errs, &Error{
		Pos: p.file.pos(n), Key: strings.Join(p.path, "."), Record: p.record, Text: printable.Line(text),
	})
}

// name returns the current key as a path inside its record. A route's conditions go
// without "match.", as their names are clear enough.
func (p *parser) name() string {
	path := p.path[min(p.within, len(p.path)):]
	if p.within > 0 && len(path) > 1 && path[0] == "match" {
		path = path[1:]
	}
	return strings.Join(path, ".")
}

// begin starts a record of a section.
func (p *parser) begin(what, name string, key node) Record {
	p.record = recordOf(what, name)
	p.within = len(p.path)
	p.checkName(what, name, key)
	return Record{Name: name, Pos: p.file.pos(key)}
}

func (p *parser) checkName(what, name string, key node) {
	if err := checkName(name); err != nil {
		p.note(key, fmt.Sprintf("name %q of a %s: %v", yamledit.Clip(name), what, err))
	}
}

// value reads n as the value of k into dst.
func (p *parser) value(k *Key, n node, dst any) {
	n, leave := p.enter(n)
	if n == nil {
		return
	}
	defer leave()
	if k.inside != nil {
		dst = k.inside(dst)
	}
	switch {
	case k.short != nil && k.short(p, k, n, dst):
	case yamledit.IsNull(n):
		p.null(k, n)
	case k.Kind == KindMapping:
		p.mapping(k, n, k.open(dst))
	case k.Kind == KindNamed:
		p.named(k, n, dst)
	case k.Kind == KindList:
		p.list(k, n, dst)
	default:
		k.set(p, k, n, dst)
	}
}

// enter follows an alias and counts depth and nodes. It returns nil when a limit is exceeded.
func (p *parser) enter(n node) (node, func()) {
	if p.stopped {
		return nil, nil
	}
	alias := n.Kind == yamledit.AliasNode
	if alias {
		n = n.Alias
		p.aliasDepth++
	}
	p.depth++
	leave := func() {
		p.depth--
		if alias {
			p.aliasDepth--
		}
	}
	if p.aliasDepth > 0 {
		p.aliasNodes += 1 + len(n.Value)/64
	}
	if p.aliasNodes > maxAliased || p.depth > maxDepth {
		p.overrun(n)
		leave()
		return nil, nil
	}
	return n, leave
}

func (p *parser) overrun(n node) {
	p.stopped = true
	if p.depth > maxDepth {
		p.fail(n, "nests deeper than %d levels (does an alias contain itself?)", maxDepth)
		return
	}
	p.note(n, fmt.Sprintf("aliases expand to more than %d values", maxAliased))
}

// null reads a key without a value. The sections at the top may be empty; anywhere else it
// is more likely an unfinished file.
func (p *parser) null(k *Key, n node) {
	if k.Kind == KindNamed && len(p.path) == 1 {
		return
	}
	p.fail(n, "has no value: wanted %s", k.wantedForms())
}

// mapping reads n's keys into dst.
func (p *parser) mapping(k *Key, n node, dst any) {
	if !p.wantKind(k, n, yamledit.MappingNode) {
		return
	}
	p.entries(n, func(key, value node) {
		p.inKey(key.Value, func() { p.entry(k, key, value, dst) })
	})
	p.together(k, n)
	if k.after != nil {
		k.after(p, k, n, dst)
	}
}

// together checks which of k's keys are in n together.
func (p *parser) together(k *Key, n node) {
	for _, below := range k.keys {
		if below.Required && keyOf(n, below.Name) == nil {
			p.fail(n, "is missing the key %s", below.wanted())
		}
	}
	if found := present(n, k.ExactlyOne); len(k.ExactlyOne) > 0 && len(found) != 1 {
		p.fail(clashing(n, found), "needs exactly one of %s, has %s", oneOf(k.ExactlyOne), allOf(found))
	}
	if found := present(n, k.AtMostOne); len(found) > 1 {
		p.fail(clashing(n, found), "can have only one of %s, has %s", oneOf(k.AtMostOne), allOf(found))
	}
	if found := present(n, k.Together); len(found) > 0 && len(found) < len(k.Together) {
		p.fail(keyOf(n, found[0]), "needs %s together, has only %s", allOf(k.Together), allOf(found))
	}
}

// wanted returns the key's name, with its value if only one is allowed.
func (k *Key) wanted() string {
	if len(k.Enum) == 1 {
		return k.Name + ": write " + k.Name + ": " + k.Enum[0]
	}
	return k.Name
}

// present returns those of the keys that are in n.
func present(n node, keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return keyOf(n, key) == nil })
}

// clashing returns the second of the keys found, where a reader notices the conflict, or n itself.
func clashing(n node, found []string) node {
	if len(found) > 1 {
		return keyOf(n, found[1])
	}
	return n
}

func allOf(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " and ")
}

// entry reads one key of a mapping.
func (p *parser) entry(k *Key, key, value node, dst any) {
	below, ok := k.index[key.Value]
	switch {
	case !ok && k.each != nil:
		p.value(k.index["*"], value, k.each(p, dst, key.Value, key))
	case !ok:
		p.note(key, fmt.Sprintf("unknown key %q%s", yamledit.Clip(key.Value), k.insteadOfKey(key.Value)))
	case below.Reserved:
		p.note(key, fmt.Sprintf("%q is not supported yet", key.Value))
	default:
		p.value(below, value, dst)
	}
}

// namesOfTo are what others call the key to of a route and a redirect. One of them is a
// key elsewhere, keepalive.backend, and is not meant.
var namesOfTo = []string{"backend", "backends", "destination", "proxy_pass", "service", "target", "upstream", "url"}

// insteadOfKey says which key was meant by a name that k does not have: the same below a
// key of k, the nearest one, or any of them.
func (k *Key) insteadOfKey(name string) string {
	if k.index["to"] != nil && slices.Contains(namesOfTo, name) {
		return `, did you mean "to"?`
	}
	for _, below := range k.keys {
		item := below.index["[]"]
		if below.Kind == KindMapping && below.index[name] != nil || item != nil && item.index[name] != nil {
			return fmt.Sprintf(": it belongs in %s", below.Name)
		}
	}
	if near := didYouMean(name, k.names()); near != "" {
		return near
	}
	return ": wanted " + oneOf(k.names())
}

// inKey runs f with key added to the path.
func (p *parser) inKey(key string, f func()) {
	p.path = append(p.path, yamledit.Clip(key))
	f()
	p.path = p.path[:len(p.path)-1]
}

// named reads a mapping of names: the keys of each entry are those below the "*" of k.
func (p *parser) named(k *Key, n node, dst any) {
	if !p.wantKind(k, n, yamledit.MappingNode) {
		return
	}
	one := k.index["*"]
	p.entries(n, func(key, value node) {
		p.inKey(key.Value, func() {
			p.one(k, one, key, value, dst)
		})
	})
	if k.after != nil {
		k.after(p, k, n, dst)
	}
}

// one reads one entry of a mapping of names. Mistakes inside make its record invalid, so
// that Check does not judge what was only half read.
func (p *parser) one(k, below *Key, key, value node, dst any) {
	if p.ctx != nil && p.ctx.Err() != nil {
		p.stopped = true
		return
	}
	record, within, before := p.record, p.within, len(p.errs)
	entry := k.each(p, dst, key.Value, key)
	p.value(below, value, entry)
	if r, ok := entry.(recorder); ok && len(p.errs) > before {
		r.markInvalid()
	}
	if r, ok := entry.(*Route); ok {
		r.Settings = p.shared.intern(r.Settings)
	}
	p.record, p.within = record, within
}

// recorder is implemented by every record through its embedded Record.
type recorder interface {
	markInvalid()
}

// list reads a list of mappings: the keys of each are those below the "[]" of k.
func (p *parser) list(k *Key, n node, dst any) {
	if n.Kind == yamledit.MappingNode { // one mapping is a list of one
		p.value(k.index["[]"], n, k.each(p, dst, "", n))
		return
	}
	if !p.wantList(k, n) {
		return
	}
	for _, item := range n.Content {
		p.value(k.index["[]"], item, k.each(p, dst, "", item))
	}
}

// entries yields a mapping's keys and values, those of its merge keys last and only if it
// does not have them itself. Repeated keys were reported when the file was loaded; the
// first counts.
func (p *parser) entries(n node, yield func(key, value node)) {
	seen := make(map[string]bool, len(n.Content)/2)
	p.eachEntry(n, seen, yield)
}

func (p *parser) eachEntry(n node, seen map[string]bool, yield func(key, value node)) {
	if p.aliasDepth > 0 {
		p.aliasNodes += len(n.Content) / 2
	}
	var merges []node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yamledit.AliasNode {
			key = key.Alias
		}
		switch {
		case yamledit.IsMerge(key):
			merges = append(merges, value)
		case key.Kind == yamledit.ScalarNode && !seen[key.Value] && !p.stopped:
			seen[key.Value] = true
			yield(key, value)
		}
	}
	for _, m := range merges {
		p.merge(m, seen, yield)
	}
}

// merge yields what `<<: *base` or `<<: [*a, *b]` adds; earlier bases win.
func (p *parser) merge(n node, seen map[string]bool, yield func(key, value node)) {
	n, leave := p.enter(n)
	if n == nil {
		return
	}
	defer leave()
	switch {
	case n.Kind == yamledit.MappingNode:
		p.eachEntry(n, seen, yield)
	case n.Kind == yamledit.SequenceNode:
		for _, base := range n.Content {
			p.merge(base, seen, yield)
		}
	default:
		p.note(n, fmt.Sprintf("<< %s, wanted a mapping or a list of mappings", describe(n)))
	}
}

// wantKind reports a mistake and returns false if n is not of the kind of k.
func (p *parser) wantKind(k *Key, n node, kind yamledit.Kind) bool {
	if n.Kind == kind {
		return true
	}
	p.fail(n, "%s, wanted %s%s", describe(n), k.wantedForms(), k.insteadOfKind(n))
	return false
}

// insteadOfKind shows the value of k where n is of another kind: with n's text, where that
// can only be one of its keys.
func (k *Key) insteadOfKind(n node) string {
	main := k.mainKey()
	switch {
	case k.Kind == KindNamed && k.Example != "":
		return ", such as " + k.Example
	case main != "" && n.Kind == yamledit.ScalarNode && !yamledit.IsNull(n):
		return fmt.Sprintf(": write {%s: %q}", main, yamledit.Clip(n.Value))
	}
	return ""
}

// mainKey is the text that k's mapping cannot do without, "" if there is not one alone.
func (k *Key) mainKey() string {
	main := ""
	for _, below := range k.keys {
		if below.Kind != KindText || !below.Required && !(len(k.ExactlyOne) > 0 && k.ExactlyOne[0] == below.Name) {
			continue
		}
		if main != "" {
			return ""
		}
		main = below.Name
	}
	return main
}

// wantedForms describes the values of k: "off or a mapping".
func (k *Key) wantedForms() string {
	text := "a " + string(k.Kind)
	for _, s := range k.Short {
		if s.Enum != nil {
			text = oneOf(s.Enum) + " or " + text
			continue
		}
		text = "a " + string(s.Kind) + " or " + text
	}
	return text
}

// describe names a node's kind in YAML's terms.
func describe(n node) string {
	switch {
	case n.Kind == yamledit.MappingNode:
		return "is a mapping"
	case n.Kind == yamledit.SequenceNode:
		return "is a list"
	case yamledit.IsNull(n):
		return "has no value"
	case n.ShortTag() == "!!bool":
		return "is true or false"
	case n.ShortTag() == "!!int", n.ShortTag() == "!!float":
		return "is a number"
	case n.ShortTag() == "!!timestamp":
		return "is a date"
	}
	return "is a text"
}

// pos returns the position of n in f.
func (f *File) pos(n node) Pos {
	if n == nil {
		return Pos{File: f.Path}
	}
	if n.Line > f.lines {
		return f.end // yaml.v3 reports what is missing at the end on a line of its own
	}
	return Pos{File: f.Path, Line: n.Line, Col: n.Column}
}

// measure finds the end of the file's text.
func (f *File) measure() {
	text := bytes.TrimPrefix(f.data, []byte(bom))
	f.lines = 1 + bytes.Count(text, []byte("\n"))
	last := text[bytes.LastIndexByte(text, '\n')+1:]
	f.end = Pos{File: f.Path, Line: f.lines, Col: 1 + utf8.RuneCount(last)}
}

// sortedNames returns a map's keys in order: no result may depend on a map's own order.
func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
