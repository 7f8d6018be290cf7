package provider

// The routes file's keys as a tree, of which the attributes of resources and data
// sources are made.

import (
	"fmt"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// shape is one key of the routes file. Immutable.
type shape struct {
	key     routefile.Key
	keys    []*shape // of a mapping, in the reference's order
	element *shape   // of a map or list; nil otherwise
}

// shapes has every key by its path in the routes file: "routes.*.match.host".
var shapes = readShapes()

func shapeOf(s routefile.Section) *shape { return shapes[string(s)+".*"] }

func readShapes() map[string]*shape {
	all := map[string]*shape{}
	for _, k := range routefile.Keys() {
		if k.Reserved {
			continue
		}
		s := &shape{key: k}
		all[k.Path] = s
		if parent := all[k.Path[:max(0, strings.LastIndexByte(k.Path, '.'))]]; parent != nil {
			parent.add(s)
		}
	}
	return all
}

// add adds a child. A condition's value, which the file writes in place of the
// condition's keys, becomes a key like the others.
func (s *shape) add(below *shape) {
	switch below.key.Name {
	case "*", "[]":
		s.element = below
		if short := below.key.Short; below.key.Kind == routefile.KindMapping && len(short) > 0 && short[0].Kind == routefile.KindValue {
			value := routefile.Key{Name: routefile.ConditionValue, Kind: routefile.KindValue, Meaning: "The value is exactly this."}
			below.add(&shape{key: value})
		}
	default:
		s.keys = append(s.keys, below)
	}
}

// holdsConditions reports whether each value of a map is a condition: a value, or one of
// a few keys.
func (s *shape) holdsConditions() bool {
	return s.element != nil && len(s.element.keys) > 0 && s.element.keys[0].key.Name == routefile.ConditionValue
}

func (s *shape) isLeaf() bool { return len(s.keys) == 0 && s.element == nil }

func (s *shape) description() string {
	k := s.key
	text := k.Meaning
	if s.holdsConditions() {
		text = s.subject() + ": each has one of the keys below."
	}
	if len(k.Enum) > 0 {
		text += " One of `" + strings.Join(k.Enum, "`, `") + "`."
	}
	if k.Zero {
		text += " `off` turns it off."
	}
	if k.Default != "" {
		text += fmt.Sprintf(" Default: `%s`.", k.Default)
	}
	if k.Example != "" && s.isLeaf() {
		text += fmt.Sprintf(" In the routes file, for example: `%s`.", k.Example)
	}
	return text
}

// subject is what a key's meaning says before its colon: "Conditions on headers, by name".
func (s *shape) subject() string {
	subject, _, _ := strings.Cut(s.key.Meaning, ":")
	return strings.TrimSuffix(subject, ".")
}
