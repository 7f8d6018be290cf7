package routefile

import (
	"gopkg.in/yaml.v3"
)

// When two values mean the same, and when two nodes are the same.

// maxCompared bounds how deep two values are compared: an alias can contain itself.
const maxCompared = 200

// sameValue says whether a and b mean the same: aliases and merge keys followed,
// whatever the style and the order of keys.
func sameValue(a, b *yaml.Node) bool {
	budget := maxAliased
	return sameWithin(a, b, 0, &budget)
}

func sameWithin(a, b *yaml.Node, depth int, budget *int) bool {
	a, b = followed(a), followed(b)
	if *budget--; *budget < 0 || depth > maxCompared || a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case yaml.ScalarNode:
		return sameScalar(a, b)
	case yaml.MappingNode:
		return sameMapping(a, b, depth, budget)
	}
	if len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !sameWithin(a.Content[i], b.Content[i], depth+1, budget) {
			return false
		}
	}
	return true
}

func sameMapping(a, b *yaml.Node, depth int, budget *int) bool {
	in, other := fields(a), fields(b)
	if len(in) != len(other) {
		return false
	}
	for name, value := range in {
		if other[name] == nil || !sameWithin(value, other[name], depth+1, budget) {
			return false
		}
	}
	return true
}

// sameScalar compares what two scalars mean: 0x10 is 16, "16" is not.
func sameScalar(a, b *yaml.Node) bool {
	if a.ShortTag() != b.ShortTag() {
		return false
	}
	if a.Value == b.Value || a.ShortTag() == "!!null" {
		return true
	}
	switch a.ShortTag() {
	case "!!int", "!!float", "!!bool":
		var x, y any
		return a.Decode(&x) == nil && b.Decode(&y) == nil && x == y
	}
	return false
}

// followed is what an alias stands for.
func followed(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// fields are a mapping's keys with their values, those of merge keys included
// where the mapping has none itself. The first of two equal keys counts.
func fields(n *yaml.Node) map[string]*yaml.Node {
	all := make(map[string]*yaml.Node, len(n.Content)/2)
	collect(n, all, 0)
	return all
}

func collect(n *yaml.Node, all map[string]*yaml.Node, depth int) {
	n = followed(n)
	if depth > maxCompared {
		return
	}
	if n.Kind == yaml.SequenceNode {
		for _, base := range n.Content {
			collect(base, all, depth+1)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := followed(n.Content[i])
		if key.Kind == yaml.ScalarNode && !isMerge(key) && all[key.Value] == nil {
			all[key.Value] = n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(followed(n.Content[i])) {
			collect(n.Content[i+1], all, depth+1)
		}
	}
}

// identical says whether two trees are the same to the last style and anchor.
// Only positions and comments may differ: bytes vouch for those. budget bounds
// what is compared through aliases.
func identical(a, b *yaml.Node, budget *int) bool {
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Anchor != b.Anchor ||
		a.Style != b.Style || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Kind == yaml.AliasNode && !sameWithin(a.Alias, b.Alias, 0, budget) {
		return false
	}
	for i := range a.Content {
		if !identical(a.Content[i], b.Content[i], budget) {
			return false
		}
	}
	return true
}
