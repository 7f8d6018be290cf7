package routefile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Records and whole files as plain values, for code that knows the keys from the table
// and not from Go types: the Terraform provider, and the admin API.

// Plain is a record in plain values, spelled as they were written:
//
//	mapping, mapping of names     map[string]any
//	list of mappings              []any
//	lists of texts and networks   []any of string
//	mapping of values             map[string]any of string, or of {"file": PATH}
//	mapping of lists              map[string]any of []any of the same
//	true or false                 bool
//	whole number                  int64
//	everything else               string: "30s", "64KiB", "off", "2"
//
// Short forms are written out: `keepalive: off` is {ping: off}, a condition that is a
// single value is {value: ...}. Keys that are not written are missing.
type Plain = map[string]any

// ConditionValue is the key of a condition's value in a Plain; the file has the value
// itself.
const ConditionValue = "value"

// Plain returns a record of the file, nil if it is missing. Values of the wrong kind are
// left out, as Parse has reported them.
func (f *File) Plain(s Section, name string) Plain {
	n := f.recordNode(s, name)
	if n == nil || yamledit.Deref(n).Kind != yamledit.MappingNode {
		return nil
	}
	return s.plain(n)
}

// Document returns the whole file in plain values; see Plain. Values of the wrong kind
// are left out, as Parse has reported them.
func (f *File) Document() Plain {
	root := f.root()
	if root == nil {
		return Plain{}
	}
	budget := maxAliased
	p, _ := plainOf(&document, root, &budget).(Plain)
	return p
}

// recordNode returns a record's value, nil if it is missing.
func (f *File) recordNode(s Section, name string) node {
	if !f.has(s, name) {
		return nil
	}
	return f.nodes().record(s, name)
}

func (f *File) has(s Section, name string) bool {
	switch s {
	case InRoutes:
		return f.Routes[name] != nil
	case InPools:
		return f.Pools[name] != nil
	case InListeners:
		return f.Listeners[name] != nil
	}
	return false
}

// Fingerprint returns the hash of a record's meaning, "" if the record is missing. See
// Section.Fingerprint.
func (f *File) Fingerprint(s Section, name string) string {
	p := f.Plain(s, name)
	if p == nil {
		return ""
	}
	return s.Fingerprint(p)
}

// Fingerprint returns the hash, sha256 in hex, of a record's meaning. Layout, comments,
// the order of keys and the spelling of values (60s, 1m) do not change it, nor do the
// record's name, the file's defaults and its directory.
func (s Section) Fingerprint(p Plain) string {
	n := s.FromPlain(p)
	if meant := s.normal(n); meant != nil {
		n = meant
	}
	text, err := s.Print("record", n)
	if err != nil {
		text = fmt.Append(nil, p) // cannot be written: equal only to itself
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// InWordsOf returns p with the spelling of old where both mean the same: 60s stays 60s
// where p has 1m.
func (s Section) InWordsOf(old, p Plain) Plain {
	return s.plain(keepSpelling(s, s.FromPlain(old), s.FromPlain(p)))
}

func (s Section) plain(n node) Plain {
	budget := maxAliased
	p, _ := plainOf(s.key(), n, &budget).(Plain)
	return p
}

// plainOf returns n, the value of k, in plain values; nil if it is of the wrong kind.
func plainOf(k *Key, n node, budget *int) any {
	if n = yamledit.Deref(n); n == nil || yamledit.IsNull(n) {
		return nil
	}
	if *budget--; *budget < 0 {
		return nil
	}
	switch k.Kind {
	case KindMapping:
		return plainMapping(k, n, budget)
	case KindNamed:
		return plainEntries(n, func(_ string, v node) any { return plainOf(k.index["*"], v, budget) })
	case KindValues:
		return plainEntries(n, func(_ string, v node) any { return plainValue(k, v) })
	case KindValueLists:
		return plainEntries(n, func(_ string, v node) any { return plainValues(k, v) })
	case KindList:
		return plainList(k, n, budget)
	case KindTexts, KindNetworks:
		return plainTexts(n)
	}
	return plainScalar(k.Kind, n)
}

func plainMapping(k *Key, n node, budget *int) any {
	if n.Kind == yamledit.ScalarNode {
		return plainShort(k, n)
	}
	return plainEntries(n, func(name string, v node) any {
		below := k.child(name)
		if below == nil || below.Reserved {
			return nil
		}
		return plainOf(below, v, budget)
	})
}

// plainShort writes out the short forms of mappings.
func plainShort(k *Key, n node) any {
	switch {
	case k.Name == "*":
		return Plain{ConditionValue: n.Value}
	case k.Name == "[]" && n.Value == "header":
		return Plain{"header": "Authorization"}
	case k.Name == "on_expiry" && n.Value == "keep":
		return Plain{"keep": true}
	case k.Name == "keepalive" && n.Value == "off":
		return Plain{"ping": "off"}
	case k.Name == "rewrite_response" && n.ShortTag() == "!!bool":
		on, _ := plainScalar(KindSwitch, n).(bool)
		if !on {
			return Plain{"location": false, "cookie_path": Plain{}, "cookie_domain": Plain{}}
		}
		return Plain{"location": true}
	}
	return nil
}

// plainList writes out the short forms of lists: one entry, and off for none.
func plainList(k *Key, n node, budget *int) any {
	switch {
	case n.Kind == yamledit.MappingNode:
		n = yamledit.ListNode(n)
	case len(k.Short) > 0 && n.Kind == yamledit.ScalarNode && n.Value == "off":
		return []any{}
	}
	return plainItems(n, func(v node) any { return plainOf(k.index["[]"], v, budget) })
}

func plainEntries(n node, value func(string, node) any) any {
	if n.Kind != yamledit.MappingNode {
		return nil
	}
	all := Plain{}
	for name, v := range yamledit.Fields(n) {
		if one := value(name, v); one != nil {
			all[name] = one
		}
	}
	return all
}

func plainItems(n node, value func(node) any) any {
	if n.Kind != yamledit.SequenceNode {
		return nil
	}
	all := []any{}
	for _, item := range n.Content {
		if one := value(item); one != nil {
			all = append(all, one)
		}
	}
	return all
}

// plainValues returns a list of values; one is a list of one.
func plainValues(k *Key, n node) any {
	n = yamledit.Deref(n)
	if n.Kind == yamledit.SequenceNode {
		return plainItems(n, func(item node) any { return plainValue(k, item) })
	}
	if one := plainValue(k, n); one != nil {
		return []any{one}
	}
	return nil
}

// plainTexts returns a list of texts; one text is a list of one.
func plainTexts(n node) any {
	n = yamledit.Deref(n)
	if n.Kind == yamledit.ScalarNode {
		return []any{n.Value}
	}
	return plainItems(n, plainWord)
}

// plainValue returns a value of a mapping of values: a text, or {file: PATH}.
func plainValue(k *Key, n node) any {
	n = yamledit.Deref(n)
	if n.Kind == yamledit.MappingNode && k.Files {
		return plainEntries(n, func(_ string, v node) any { return plainWord(v) })
	}
	return plainWord(n)
}

func plainWord(n node) any {
	if n = yamledit.Deref(n); n.Kind != yamledit.ScalarNode || yamledit.IsNull(n) {
		return nil
	}
	return n.Value
}

func plainScalar(kind Kind, n node) any {
	if n.Kind != yamledit.ScalarNode {
		return nil
	}
	switch kind {
	case KindSwitch:
		var on bool
		if n.Decode(&on) != nil {
			return nil
		}
		return on
	case KindWhole:
		var whole int64
		if n.ShortTag() != "!!int" || n.Decode(&whole) != nil {
			return nil
		}
		return whole
	}
	return n.Value
}

// EncodeDocument writes a file in the canonical layout: keys in the order of the
// reference, names sorted, version 1 unless values has another. Values of the wrong kind
// and unknown keys are written too, so that Parse can report them; the error is for
// values that YAML cannot hold.
func EncodeDocument(values Plain) ([]byte, error) {
	return schema.Document(fromPlain(&document, values))
}

// EncodeChecked is EncodeDocument and Parse of the result, without reading it where
// nothing is wrong.
func EncodeChecked(values Plain) ([]byte, Errors, error) {
	root := fromPlain(&document, values)
	data, err := schema.Document(root)
	if err != nil {
		return nil, nil, err
	}
	if !soundNodes(root, data) {
		_, errs := Parse("yaml", data)
		return data, errs, nil
	}
	return data, nil, nil
}

// soundNodes reports that Parse would find no mistake in data, which was written from root.
func soundNodes(root node, data []byte) bool {
	p := &parser{ctx: context.Background(), file: newFile("yaml", data)}
	if !p.readable(data) {
		return false
	}
	if yamledit.Fields(root)[schema.Version.Key.Value] == nil {
		with := *root
		with.Content = append([]node{schema.Version.Key, schema.Version.Value}, root.Content...)
		root = &with
	}
	if p.inspect(root, 1); len(p.errs) > 0 {
		return false
	}
	p.path, p.record = nil, ""
	p.mapping(&document, root, p.file)
	return len(p.errs) == 0
}

// FromPlain returns a record as Set takes it, its keys in the order of the reference.
// Values of the wrong kind and unknown keys are written too, so that Parse can report
// them.
func (s Section) FromPlain(p Plain) node {
	return yamledit.Ordered(fromPlain(s.key(), p), keyOrder{s.key()})
}

func fromPlain(k *Key, v any) node {
	switch v := v.(type) {
	case Plain:
		return fromMapping(k, v)
	case []any:
		return fromList(k, v)
	case bool:
		return yamledit.WordNode(strconv.FormatBool(v))
	case int64:
		return yamledit.WordNode(strconv.FormatInt(v, 10))
	case string:
		return fromText(k, v)
	}
	return yamledit.TextNode(fmt.Sprint(v))
}

// numeral matches what is written without quotes where a number is wanted.
var numeral = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)

func fromText(k *Key, text string) node {
	if k != nil && slices.Contains([]Kind{KindCount, KindRate, KindSize, KindWhole, KindDuration}, k.Kind) && numeral.MatchString(text) {
		return yamledit.WordNode(text)
	}
	return yamledit.TextNode(text)
}

func fromMapping(k *Key, p Plain) node {
	if value, ok := p[ConditionValue].(string); ok && len(p) == 1 && k != nil && k.Name == "*" && len(k.Short) > 0 {
		return yamledit.TextNode(value)
	}
	var all yamledit.Mapping
	for _, name := range sortedNames(p) {
		all.Add(name, fromPlain(k.child(name), p[name]))
	}
	return all.Node()
}

// fromList writes a list, or the only item itself if that word is not allowed in a list:
// `upgrade: any`.
func fromList(k *Key, list []any) node {
	if word, ok := onlyText(list); ok && k != nil && (k.Name == "upgrade" && slices.Contains(upgradeWords, word) ||
		k.Name == "origins" && (word == "same-host" || word == "any")) {
		return yamledit.TextNode(word)
	}
	if len(list) == 0 && k != nil && k.Name == "auth" {
		return yamledit.WordNode("off")
	}
	n := yamledit.ListNode()
	for _, item := range list {
		n.Content = append(n.Content, fromPlain(k.child("[]"), item))
	}
	return n
}

func onlyText(list []any) (string, bool) {
	if len(list) != 1 {
		return "", false
	}
	text, ok := list[0].(string)
	return text, ok
}
