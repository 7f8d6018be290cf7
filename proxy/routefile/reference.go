package routefile

import (
	_ "embed"
	"fmt"
	"strings"
)

// The reference: hand-written prose, and tables from the table of keys.

//go:embed reference.md
var referenceText string

// Reference returns docs/routes-file.md. A line "%keys PATH" of the prose becomes the table
// of the keys below PATH, "%reserved" the list of keys that are known and refused.
func Reference() []byte {
	var b strings.Builder
	for line := range strings.Lines(referenceText) {
		directive, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch directive {
		case "%keys":
			writeKeys(&b, document.below(path))
		case "%reserved":
			writeReserved(&b)
		default:
			b.WriteString(line)
		}
	}
	return []byte(b.String())
}

// below returns the key at a dotted path, "." for the file itself.
func (k *Key) below(path string) *Key {
	if path == "." {
		return k
	}
	return k.at(strings.Split(path, ".")...)
}

// writeKeys writes the table of the keys below k, except those that have a table of their
// own: settings in a route, the conditions of a match.
func writeKeys(b *strings.Builder, k *Key) {
	b.WriteString("| key | value | default | meaning |\n|---|---|---|---|\n")
	writeRows(b, k, k.Path)
}

func writeRows(b *strings.Builder, k *Key, base string) {
	for _, below := range k.keys {
		if below.Reserved || below.setting() && base != "defaults" {
			continue
		}
		if below.Name != "*" {
			writeRow(b, below, base)
		}
		if !ownTable[below.Path] {
			writeRows(b, below, base)
		}
	}
}

// ownTable are the keys whose own keys the prose shows in another table.
var ownTable = map[string]bool{
	"listeners": true, "shutdown": true, "pools": true, "routes": true, "defaults": true, "routes.*.match": true,
}

func writeRow(b *strings.Builder, k *Key, base string) {
	name := strings.TrimPrefix(strings.TrimPrefix(k.Path, base), ".")
	name = strings.ReplaceAll(strings.ReplaceAll(name, "*", "NAME"), ".[]", "[]")
	meaning := k.Meaning
	if k.Required {
		meaning += " Required."
	}
	if k.Example != "" && k.Kind != KindMapping && k.Kind != KindNamed {
		meaning += " Example: " + code(k.Example)
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(name), cell(k.forms()), code(k.Default), cell(meaning))
}

// forms describes the possible values of k.
func (k *Key) forms() string {
	text := string(k.Kind)
	if k.Enum != nil {
		if text = codes(k.Enum); k.Kind == KindTexts {
			text = string(KindTexts) + ": " + text
		}
	}
	if k.Zero {
		text += " or " + code("off")
	}
	if k.Files {
		text += " or " + code("{file: PATH}")
	}
	for _, s := range k.Short {
		if s.Enum != nil {
			text += ", or " + codes(s.Enum) + ": " + s.Meaning
			continue
		}
		text += ", or a " + string(s.Kind) + ": " + s.Meaning
	}
	return text
}

func codes(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = code(word)
	}
	return oneOf(quoted)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
}

// cell keeps text from ending its cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "\n", " ") }

func writeReserved(b *strings.Builder) {
	walkKeys(&document, func(k *Key) {
		if k.Reserved && !k.under("defaults") {
			fmt.Fprintf(b, "- %s\n", code(strings.ReplaceAll(k.Path, "*", "NAME")))
		}
	})
}
