package routefile

import (
	"fmt"
	"reflect"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Defaults: the built-in ones, read from the table of keys, and how one layer of settings
// overrides another.

// builtIns are the table's defaults, as records.
type builtIns struct {
	settings Settings
	listener ListenerLimits
	shutdown Shutdown
	redirect Redirect
	respond  Respond
	pool     Pool
	auth     AuthEntry
}

// builtIn is read from the table once. Read-only.
var builtIn builtIns

func readBuiltIns() (b builtIns) {
	route := document.at("routes", "*")
	fill(document.at("defaults"), &b.settings)
	fill(document.at("defaults", "auth", "[]"), &b.auth)
	b.auth.JWT.Keys.Secret = nil // which fill has opened, and has no defaults
	fill(document.at("shutdown"), &b.shutdown)
	fill(document.at("listeners", "*", "limits"), &b.listener)
	fill(document.at("pools", "*"), &b.pool)
	fill(route.at("redirect"), &b.redirect)
	fill(route.at("respond"), &b.respond)
	return b
}

// at returns the key at a path below k, which the table must have.
func (k *Key) at(names ...string) *Key {
	for _, name := range names {
		k = k.index[name]
	}
	return k
}

// fill reads the defaults of the keys below k into dst, which k has opened.
func fill(k *Key, dst any) {
	for _, below := range k.keys {
		switch {
		case below.Default != "":
			below.readDefault(dst)
		case below.Kind == KindMapping && !below.Reserved && below.Name != "*":
			fill(below, below.open(dst))
		}
	}
}

func (k *Key) readDefault(dst any) {
	var doc yamledit.Node
	p := &parser{file: &File{lines: 1}, path: []string{k.Name}}
	if err := yamledit.Unmarshal([]byte(k.Default), &doc); err != nil {
		panic(fmt.Sprintf("routefile: default of %s: %v", k.Path, err))
	}
	if p.value(k, doc.Content[0], dst); len(p.errs) > 0 {
		panic(fmt.Sprintf("routefile: default of %s: %v", k.Path, p.errs[0]))
	}
}

// units are the structs that one layer overrides as a whole, not field by field.
var units = map[reflect.Type]bool{
	reflect.TypeFor[Upgrade](): true,
	reflect.TypeFor[Origins](): true,
}

// overlay returns over with every zero field taken from under. A list or map is one
// field: it hides the one below, even if it is empty.
func overlay[T any](over, under T) T {
	lay(reflect.ValueOf(&over).Elem(), reflect.ValueOf(&under).Elem())
	return over
}

func lay(over, under reflect.Value) {
	if over.IsZero() {
		over.Set(under)
		return
	}
	if over.Kind() != reflect.Struct || units[over.Type()] {
		return
	}
	for i := range over.NumField() {
		lay(over.Field(i), under.Field(i))
	}
}

// overlayPart overlays an optional part; nil stays nil.
func overlayPart[T any](over, under *T) *T {
	if over == nil {
		return nil
	}
	out := overlay(*over, *under)
	return &out
}
