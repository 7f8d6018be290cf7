package routefile

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// fullSticky says everything that can be said, as no file would.
var fullSticky = Sticky{
	Cookie: "A", AppCookie: "B", Header: "C", Query: "d", Separator: "!", OnUnavailable: "refuse", Path: "/e", Domain: "f.test",
	Secure: Off, HTTPOnly: Off, SameSite: "strict", MaxAge: time.Hour, Secret: "/g",
}

func TestStickyDefaults(t *testing.T) {
	f := mustParse(t, "/etc/tf/routes.yaml", `version: 1
pools:
  own: {sticky: {cookie: A, max_age: 1h, secret: s}, backends: {a: {url: "ws://h"}}}
  app: {sticky: {query: q, separator: "!", on_unavailable: refuse}, backends: {a: {url: "ws://h"}}}
  none: {backends: {a: {url: "ws://h"}}}
routes: {}
`)
	s := NewSet(f)
	for name, want := range map[string]*Sticky{
		"own":  {Cookie: "A", Separator: ".", OnUnavailable: "another", Path: "/", HTTPOnly: On, SameSite: "lax", MaxAge: time.Hour, Secret: "/etc/tf/s"},
		"app":  {Query: "q", Separator: "!", OnUnavailable: "refuse", Path: "/", HTTPOnly: On, SameSite: "lax", MaxAge: -1},
		"none": nil,
	} {
		if got := s.Pools[name].Sticky; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if !slices.Contains(Inputs(s), "/etc/tf/s") {
		t.Errorf("a change of the secret would go unnoticed: %q", Inputs(s))
	}
	if f.Pools["own"].Sticky.Path != "" {
		t.Error("the defaults were written into the file's own record")
	}
}

// TestEncodeSticky: what a pool says of stickiness is written so that it is read again.
func TestEncodeSticky(t *testing.T) {
	own := fullSticky
	own.AppCookie, own.Header, own.Query = "", "", ""
	for _, want := range []Sticky{own, {AppCookie: "A", Separator: "!", OnUnavailable: "refuse"}, {Header: "B"}, {Query: "c"}} {
		pool := &Pool{Sticky: &want, Backends: map[string]*Backend{"a": {URL: Target{Raw: "ws://a"}, Route: "r"}}}
		got := parseOne(t, InPools, InPools.encode(pool)).Pools["x"]
		if *got.Sticky != want || got.Backends["a"].Route != "r" {
			t.Errorf("got %+v, route %q, want %+v", got.Sticky, got.Backends["a"].Route, want)
		}
	}
}
