package auth

import (
	"regexp"
	"strings"
)

// Template is a text with captures of the route's match, "{id}.devices.example.com". The
// zero value is empty.
type Template struct {
	text  string
	parts []templatePart
}

type templatePart struct {
	literal string
	capture string // "" for a literal
}

// templatePiece is an escaped brace or a capture; every other brace is itself.
var templatePiece = regexp.MustCompile(`\{\{|\{[A-Za-z_][A-Za-z0-9_]*\}`)

// ParseTemplate reads a template. {{ is a brace.
func ParseTemplate(s string) Template {
	t := Template{text: s}
	at := 0
	for _, span := range templatePiece.FindAllStringIndex(s, -1) {
		t.parts = append(t.parts, templatePart{literal: s[at:span[0]]})
		if piece := s[span[0]:span[1]]; piece == "{{" {
			t.parts = append(t.parts, templatePart{literal: "{"})
		} else {
			t.parts = append(t.parts, templatePart{capture: piece[1 : len(piece)-1]})
		}
		at = span[1]
	}
	t.parts = append(t.parts, templatePart{literal: s[at:]})
	return t
}

// expand puts the captures in. It reports false if one of them is missing or empty.
func (t Template) expand(capture func(string) (string, bool)) (string, bool) {
	var b strings.Builder
	for _, part := range t.parts {
		if part.capture == "" {
			b.WriteString(part.literal)
			continue
		}
		value, ok := capture(part.capture)
		if !ok || value == "" {
			return "", false
		}
		b.WriteString(value)
	}
	return b.String(), true
}
