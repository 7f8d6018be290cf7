package routefile

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// Whole files as plain values, and the other way: for those who make a routes
// file from values and not from text.

// Document returns the whole file in plain values; see Plain. What is of the
// wrong kind is left out: Parse has named it.
func (f *File) Document() Plain {
	if f.node == nil {
		return Plain{}
	}
	budget := maxAliased
	p, _ := plainOf(&document, f.node, &budget).(Plain)
	return p
}

// EncodeDocument writes a file in the canonical layout: keys in the order of the
// reference, names sorted. version is 1 when said does not say it. Values of the
// wrong kind and unknown keys are written all the same, so that Parse can name
// them; the error is for what cannot be written at all.
func EncodeDocument(said Plain) ([]byte, error) {
	root := fromPlain(&document, said)
	if _, ok := said["version"]; !ok {
		root.Content = append(root.Content, nameNode("version"), wordNode("1"))
	}
	if err := checkWritable(root, 0); err != nil {
		return nil, err
	}
	root = ordered(root, &document)
	var lines []string
	apart := false // a section stands apart, from what is above it and below
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		section := isSection(key, value)
		if apart || section && len(lines) > 0 {
			lines = append(lines, "")
		}
		apart = section
		lines = append(lines, topLines(key, value)...)
	}
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}

// isSection says that a key of the top level holds records.
func isSection(key, value *yaml.Node) bool {
	k := document.index[key.Value]
	return k != nil && k.Kind == KindNamed && len(value.Content) > 0
}

// topLines prints one key of the top level, the records of a section as blocks,
// as Edit writes them.
func topLines(key, value *yaml.Node) []string {
	if !isSection(key, value) {
		p := printer{step: 2}
		p.pair(key, value, nil, 0)
		return textOf(p.lines)
	}
	s := splicer{step: 2}
	lines := []string{key.Value + ":"}
	for i := 0; i < len(value.Content); i += 2 {
		lines = append(lines, s.canonical(value.Content[i].Value, value.Content[i+1], 3)...)
	}
	return lines
}
