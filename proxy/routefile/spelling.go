package routefile

import "github.com/tunnelform/tunnelform/proxy/routefile/yamledit"

// Spellings: `1m` is `60s`, one method is a list of one. An edit keeps the spelling of the
// file where the meaning is the same, so that setting a record to its own value changes
// nothing.

// keepSpelling returns want with old's spelling wherever both mean the same.
func keepSpelling(section Section, old, want node) node {
	before, after := section.normal(old), section.normal(want)
	if before == nil || after == nil {
		return want
	}
	return keepSpellingBelow(old, want, before, after)
}

// normal returns a record in the encoder's spelling; nil if it has mistakes.
func (s Section) normal(n node) node {
	p := parser{file: &File{Path: "-"}}
	record := s.newRecord()
	if p.value(s.key(), n, record); len(p.errs) > 0 || p.stopped {
		return nil
	}
	return s.encode(record)
}

func (s Section) newRecord() any {
	switch s {
	case InRoutes:
		return new(Route)
	case InPools:
		return &Pool{Backends: map[string]*Backend{}}
	}
	return new(Listener)
}

// keepSpellingBelow takes old where before and after, the normal forms of old and want,
// are the same, and keeps keys of old that mean nothing, such as `drain: false`.
func keepSpellingBelow(old, want, before, after node) node {
	if yamledit.Same(before, after) {
		return yamledit.Deref(old)
	}
	if yamledit.Deref(old).Kind != yamledit.MappingNode || want.Kind != yamledit.MappingNode ||
		before.Kind != yamledit.MappingNode || after.Kind != yamledit.MappingNode {
		return want
	}
	there, was, is := yamledit.Fields(old), yamledit.Fields(before), yamledit.Fields(after)
	out := *want
	out.Content = make([]node, 0, len(want.Content))
	for _, one := range yamledit.Pairs(want) {
		name, value := one.Key.Value, one.Value
		if there[name] != nil && was[name] != nil && is[name] != nil {
			value = keepSpellingBelow(there[name], value, was[name], is[name])
		}
		out.Content = append(out.Content, one.Key, value)
	}
	for _, one := range yamledit.Pairs(yamledit.Deref(old)) {
		if name := one.Key.Value; was[name] == nil && is[name] == nil && yamledit.Fields(&out)[name] == nil && !yamledit.IsMerge(one.Key) {
			out.Content = append(out.Content, one.Key, one.Value)
		}
	}
	return &out
}
