package routefile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// record reads a record for Set.
func record(t testing.TB, text string) *yaml.Node {
	t.Helper()
	n, err := ParseRecord([]byte(text))
	if err != nil {
		t.Fatalf("ParseRecord(%q): %v", text, err)
	}
	return n
}

func TestSmoke(t *testing.T) {
	in := "version: 1\n\nroutes:\n  # about a\n  a:\n    match: {path: /a}   # the path\n    to: http://a\n\n  b: {match: {path: /b}, to: http://b} # b\n"
	out, err := Edit([]byte(in), InRoutes.Set("c", record(t, "{to: 'http://c', match: {path: /c}}")),
		InRoutes.Set("a", record(t, "{to: 'http://a2', match: {path: /a2, host: x}, strict: true}")),
		InRoutes.Set("b", record(t, "{to: 'http://b', match: {path: /b2}, strict: true}")),
		InPools.Set("p", record(t, "{backends: {a: {url: 'ws://x:1'}}}")))
	fmt.Println(string(out), err)
	out, err = Edit(out, InRoutes.Drop("c"), InRoutes.Drop("a"))
	fmt.Println(string(out), err)
	out, err = Format(out)
	fmt.Println(string(out), err)
	_, _ = bytes.ToLower, errors.New
	_ = strings.ToLower
}
