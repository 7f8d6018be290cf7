package routefile

import "github.com/tunnelform/tunnelform/proxy/routefile/yamledit"

// The position of a key: nodes are found by name, with aliases and merge keys followed.

// KeyPos returns the position of a key's value:
// KeyPos("routes", "chat", "match", "host"). A list's items have no keys. It
// says false when there is no such key.
func (f *File) KeyPos(keys ...string) (Pos, bool) {
	n := f.find(keys...)
	if n == nil {
		return Pos{File: f.Path}, false
	}
	return f.pos(n), true
}

// nearestPos returns the position of the longest beginning of keys that is there.
// An empty key is no key.
func (f *File) nearestPos(keys ...string) Pos {
	for ; len(keys) > 0; keys = keys[:len(keys)-1] {
		if pos, ok := f.KeyPos(keys...); ok {
			return pos
		}
	}
	return Pos{File: f.Path, Line: 1, Col: 1}
}

func (f *File) find(keys ...string) node {
	n := f.root()
	for _, key := range keys {
		if key == "" {
			continue
		}
		if n = childOf(n, key); n == nil {
			return nil
		}
	}
	return n
}

// written returns the text at keys as it is in the file, clipped; value, which was made of
// it, if there is none.
func (f *File) written(value string, keys ...string) string {
	if n := f.find(keys...); n != nil && n.Kind == yamledit.ScalarNode {
		value = n.Value
	}
	return yamledit.Clip(value)
}

// childOf returns the value of a key in a mapping, nil when there is none.
func childOf(n node, key string) node {
	_, value := lookUp(n, key)
	return yamledit.Deref(value)
}

// keyOf returns the node of the key itself.
func keyOf(n node, key string) node {
	k, _ := lookUp(n, key)
	return k
}

// maxLookUp bounds how many mappings one look-up visits: merge keys may contain themselves.
const maxLookUp = 1000

// lookUp finds a key of a mapping, its own before those of its merge keys.
func lookUp(n node, name string) (key, value node) {
	budget := maxLookUp
	return lookUpIn(yamledit.Deref(n), name, &budget)
}

func lookUpIn(n node, name string, budget *int) (key, value node) {
	if *budget--; n == nil || n.Kind != yamledit.MappingNode || *budget < 0 {
		return nil, nil
	}
	var bases []node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch k := yamledit.Deref(n.Content[i]); {
		case yamledit.IsMerge(k):
			bases = append(bases, basesOf(n.Content[i+1])...)
		case k.Kind == yamledit.ScalarNode && k.Value == name:
			return n.Content[i], n.Content[i+1]
		}
	}
	for _, base := range bases {
		if key, value = lookUpIn(yamledit.Deref(base), name, budget); key != nil {
			return key, value
		}
	}
	return nil, nil
}

// basesOf is what `<<: *a` or `<<: [*a, *b]` merges.
func basesOf(n node) []node {
	if n = yamledit.Deref(n); n.Kind == yamledit.SequenceNode {
		return n.Content
	}
	return []node{n}
}
