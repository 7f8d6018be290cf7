package yamledit

// Whether two values mean the same, and whether two nodes are identical.

const (
	// maxCompared bounds how deep two values are compared: an alias can contain itself.
	maxCompared = 200
	// maxVisited bounds how many nodes one comparison visits: aliases let a
	// small file hold billions.
	maxVisited = 1_000_000
)

// Same reports whether a and b mean the same, whatever their style and the order of
// keys. Aliases and merge keys are followed.
func Same(a, b *Node) bool {
	budget := maxVisited
	return sameWithin(a, b, 0, &budget)
}

func sameWithin(a, b *Node, depth int, budget *int) bool {
	a, b = Deref(a), Deref(b)
	if *budget--; *budget < 0 || depth > maxCompared || a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case ScalarNode:
		return sameScalar(a, b)
	case MappingNode:
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

func sameMapping(a, b *Node, depth int, budget *int) bool {
	in, other := Fields(a), Fields(b)
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
func sameScalar(a, b *Node) bool {
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

// identical reports whether two trees are the same including styles and anchors. Only
// positions and comments may differ; proveBytes covers those. budget bounds what is
// compared through aliases.
func identical(a, b *Node, budget *int) bool {
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Anchor != b.Anchor ||
		a.Style != b.Style || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Kind == AliasNode && !sameWithin(a.Alias, b.Alias, 0, budget) {
		return false
	}
	for i := range a.Content {
		if !identical(a.Content[i], b.Content[i], budget) {
			return false
		}
	}
	return true
}
