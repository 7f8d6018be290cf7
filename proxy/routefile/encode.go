package routefile

import (
	"reflect"
	"strconv"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// From records back to YAML, by one walk over the table of keys. A zero field is a
// key that is not written.

// encode returns a record of the section as YAML, its keys in the order of the
// reference. The result parses to an equal record, except that paths of files are
// resolved.
func (s Section) encode(record any) node {
	if n := s.key().encode(record); n != nil {
		return n
	}
	return yamledit.Mapping{}.Node()
}

// encode returns what src, which is the destination of k's mapping, holds at k; nil for
// nothing.
func (k *Key) encode(src any) node {
	if k.within != nil {
		if src = k.within(src); src == nil {
			return nil
		}
	}
	if k.write != nil {
		if n := k.write(src); n != nil || k.Kind != KindMapping {
			return n
		}
	}
	switch {
	case k.Reserved:
		return nil
	case k.Kind == KindMapping:
		return k.encodeMapping(src)
	case k.Kind == KindList:
		return k.encodeList(src)
	}
	return k.encodeNamed(src)
}

func (k *Key) encodeMapping(src any) node {
	part := k.get(src)
	if part == nil {
		return nil
	}
	var m yamledit.Mapping
	for _, below := range k.keys {
		if below.Name == "*" {
			for name, one := range k.all(part) {
				m.Add(name, below.encode(one))
			}
		} else if n := below.encode(part); n != nil {
			m.Add(below.Name, n)
		}
	}
	if len(m) == 0 && !k.optional {
		return nil
	}
	return m.Node()
}

func (k *Key) encodeNamed(src any) node {
	var m yamledit.Mapping
	for name, one := range k.all(src) {
		m.Add(name, k.index["*"].encode(one))
	}
	if len(m) == 0 {
		return nil
	}
	return m.Node()
}

func (k *Key) encodeList(src any) node {
	list := yamledit.ListNode()
	for _, one := range k.all(src) {
		list.Content = append(list.Content, k.index["[]"].encode(one))
	}
	if len(list.Content) == 0 && k.none != nil {
		return k.none(src)
	}
	return list
}

// writes makes a Key's write from a field and the YAML of its value. The zero
// value is not written; a list or map that is empty and not nil is.
func writes[T, V any](field func(*T) *V, yaml func(V) node) func(src any) node {
	return func(src any) node {
		v := field(src.(*T))
		if reflect.ValueOf(v).Elem().IsZero() {
			return nil
		}
		return yaml(*v)
	}
}

// word makes a writer of values that need no quotes.
func word[V any](format func(V) string) func(V) node {
	return func(v V) node { return yamledit.WordNode(format(v)) }
}

func formatRate(r float64) string {
	if r < 0 {
		return "off"
	}
	return strconv.FormatFloat(r, 'f', -1, 64)
}

func formatSwitch(s Switch) string { return strconv.FormatBool(s == On) }

func textList(texts []string) node {
	list := yamledit.ListNode()
	for _, s := range texts {
		list.Content = append(list.Content, yamledit.TextNode(s))
	}
	return list
}

// textsOrWord writes a list, or the word that stands for a set.
func textsOrWord(mode string, list []string) node {
	switch mode {
	case "":
		return nil
	case "list":
		return textList(list)
	}
	return yamledit.TextNode(mode)
}

// headerMapping writes names to one value each, or to a list where a name is repeated.
func headerMapping(headers []Header) node {
	var m yamledit.Mapping
	for i := 0; i < len(headers); {
		name := headers[i].Name
		values := yamledit.ListNode()
		for ; i < len(headers) && headers[i].Name == name; i++ {
			values.Content = append(values.Content, headers[i].node())
		}
		if len(values.Content) == 1 {
			m.Add(name, values.Content[0])
		} else {
			m.Add(name, values)
		}
	}
	return m.Node()
}

func (h Header) node() node {
	if h.File == "" {
		return yamledit.TextNode(h.Value)
	}
	var m yamledit.Mapping
	m.Add("file", yamledit.TextNode(h.File))
	return m.Node()
}
