package discovery

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestLookupAddresses(t *testing.T) {
	names := proxytest.NewNameServer(t)
	names.SetAddresses("chat.test.", "10.0.0.2", "10.0.0.1", "2001:db8::1", "10.0.0.1")
	lookup := LookupAddresses(names.Addr, "chat.test:9000")
	want := []Found{
		{Authority: "10.0.0.1:9000", Host: "chat.test:9000"},
		{Authority: "10.0.0.2:9000", Host: "chat.test:9000"},
		{Authority: "[2001:db8::1]:9000", Host: "chat.test:9000"},
	}
	if got, err := lookup(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	names.Break(true)
	if got, err := lookup(t.Context()); err == nil {
		t.Errorf("got %+v of a server that fails", got)
	}
	names.Break(false)
	names.SetAddresses("chat.test.")
	if got, err := lookup(t.Context()); err == nil {
		t.Errorf("got %+v for a name that is gone", got)
	}
	if got, err := LookupAddresses("", "localhost:1")(t.Context()); err != nil || got[0].Host != "localhost:1" {
		t.Errorf("got %+v, %v of the system's resolver", got, err)
	}
}

func TestLookupService(t *testing.T) {
	names := proxytest.NewNameServer(t)
	names.SetServices("_ws._tcp.chat.test.",
		proxytest.Service{Target: "B.test.", Port: 2, Priority: 20, Weight: 5},
		proxytest.Service{Target: "a.test.", Port: 1, Priority: 10, Weight: 0},
		proxytest.Service{Target: "a.test.", Port: 1, Priority: 30, Weight: 7},
		proxytest.Service{Target: "gone.test.", Port: 1, Priority: 10, Weight: 1})
	names.SetAddresses("a.test.", "10.0.0.1", "2001:db8::1")
	names.SetAddresses("b.test.", "10.0.0.2")
	lookup := LookupService(names.Addr, "_ws._tcp.chat.test")
	want := []Found{
		{Authority: "10.0.0.1:1", Host: "a.test:1", Weight: 1},
		{Authority: "10.0.0.2:2", Host: "b.test:2", Weight: 5, Tier: 1},
		{Authority: "[2001:db8::1]:1", Host: "a.test:1", Weight: 1},
	}
	if got, err := lookup(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	names.Truncate() // the whole answers are to be had over TCP
	if got, err := lookup(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// TestFailedLookup: the error says whose fault it is.
func TestFailedLookup(t *testing.T) {
	names := proxytest.NewNameServer(t)
	names.SetAddresses("a.test.", "10.0.0.1")
	names.SetServices("none.test.", proxytest.Service{Target: ".", Port: 0})
	names.SetServices("portless.test.", proxytest.Service{Target: "a.test.", Port: 1}, proxytest.Service{Target: "a.test."})
	names.SetServices("gone.test.", proxytest.Service{Target: "gone.a.test.", Port: 1})
	names.SetServices("mute.test.", proxytest.Service{Target: "a.test.", Port: 1}, proxytest.Service{Target: "broken.test.", Port: 1})
	names.Fail("broken.test.")
	for name, want := range map[string]string{
		"none.test":     "nowhere",
		"portless.test": "port 0",
		"gone.test":     "nowhere",
		"mute.test":     "lookup broken.test",
		"unknown.test":  "no such host",
	} {
		got, err := LookupService(names.Addr, name)(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "on "+names.Addr) {
			t.Errorf("%s: got %+v, %v, want an error of %s with %q", name, got, err, names.Addr, want)
		}
	}
	if _, err := LookupAddresses(names.Addr, "unknown.test:1")(t.Context()); err == nil || !strings.Contains(err.Error(), "on "+names.Addr) {
		t.Errorf("got %v, want an error of %s", err, names.Addr)
	}
	if got, err := LookupAddresses(names.Addr, "10.9.9.9:1")(t.Context()); err != nil || got[0].Authority != "10.9.9.9:1" {
		t.Errorf("got %+v, %v of an address", got, err)
	}
}

// TestTidyFoundOrder: an answer in another order is the same answer.
func TestTidyFoundOrder(t *testing.T) {
	all := []Found{
		{Authority: "10.0.0.1:1", Host: "b:1", Weight: 1},
		{Authority: "10.0.0.1:1", Host: "b:1", Weight: 7},
		{Authority: "10.0.0.1:1", Host: "a:1", Weight: 7},
		{Authority: "10.0.0.1:1", Host: "a:1", Weight: 9, Tier: 1},
	}
	for range len(all) {
		all = append(all[1:], all[0])
		got, err := tidyFound(slices.Clone(all))
		if want := []Found{{Authority: "10.0.0.1:1", Host: "a:1", Weight: 7}}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v becomes %+v, %v, want %+v", all, got, err, want)
		}
	}
}

func TestTooManyFound(t *testing.T) {
	var all []Found
	for i := range maxFound + 1 {
		all = append(all, Found{Authority: fmt.Sprint("h:", i)})
	}
	if _, err := tidyFound(all); err == nil || !strings.Contains(err.Error(), "1001") {
		t.Errorf("got %v, want a refusal", err)
	}
}
