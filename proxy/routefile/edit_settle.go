package routefile

import (
	"gopkg.in/yaml.v3"
)

// What of a wanted record the file says already, in other words: `1m` is `60s`,
// one method is a list of one. Such words stay, so that setting a record to what
// it is changes nothing.

// settle makes want say what is the same in old's own words.
func settle(sec Section, old, want *yaml.Node) *yaml.Node {
	before, after := meaning(sec, old), meaning(sec, want)
	if before == nil || after == nil {
		return want
	}
	return settled(old, want, before, after)
}

// meaning is a record in the words of the encoder; nil if it has mistakes.
func meaning(sec Section, n *yaml.Node) *yaml.Node {
	p := parser{file: &File{Path: "-"}}
	var record any
	var encode func() *yaml.Node
	switch sec {
	case InRoutes:
		r := new(Route)
		record, encode = r, func() *yaml.Node { return EncodeRoute(r) }
	case InPools:
		r := &Pool{Backends: map[string]*Backend{}}
		record, encode = r, func() *yaml.Node { return EncodePool(r) }
	default:
		r := new(Listener)
		record, encode = r, func() *yaml.Node { return EncodeListener(r) }
	}
	if p.value(sec.key(), n, record); len(p.errs) > 0 || p.spent {
		return nil
	}
	return encode()
}

// settled takes over old's words where before and after, the meanings of old
// and want, are the same, and what old says that means nothing.
func settled(old, want, before, after *yaml.Node) *yaml.Node {
	if sameValue(before, after) {
		return followed(old)
	}
	if followed(old).Kind != yaml.MappingNode || want.Kind != yaml.MappingNode ||
		before.Kind != yaml.MappingNode || after.Kind != yaml.MappingNode {
		return want
	}
	there, was, is := fields(old), fields(before), fields(after)
	out := *want
	out.Content = make([]*yaml.Node, 0, len(want.Content))
	for _, one := range pairs(want) {
		name, value := one.key.Value, one.value
		if there[name] != nil && was[name] != nil && is[name] != nil {
			value = settled(there[name], value, was[name], is[name])
		}
		out.Content = append(out.Content, one.key, value)
	}
	for _, one := range pairs(followed(old)) {
		if name := one.key.Value; was[name] == nil && is[name] == nil && fields(&out)[name] == nil && !isMerge(one.key) {
			out.Content = append(out.Content, one.key, one.value)
		}
	}
	return &out
}

// ordered is n with its keys in the order of the table.
func ordered(n *yaml.Node, k *Key) *yaml.Node {
	if len(n.Content) == 0 {
		return n
	}
	out := *n
	out.Content = nil
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			out.Content = append(out.Content, ordered(item, below(k, "[]")))
		}
		return &out
	}
	p := printer{}
	for _, i := range p.order(n, k) {
		out.Content = append(out.Content, n.Content[i], ordered(n.Content[i+1], below(k, n.Content[i].Value)))
	}
	return &out
}
