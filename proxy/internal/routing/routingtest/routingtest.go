// Package routingtest builds Tables for tests.
package routingtest

import (
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// Build builds the Table of a routes file's body, which may come after prev.
func Build(t testing.TB, prev *routing.Table, body string) *routing.Table {
	t.Helper()
	file, errs := routefile.Parse("routes.yaml", []byte("version: 1\n"+body))
	if len(errs) == 0 {
		errs = routefile.Check(file)
	}
	if len(errs) > 0 {
		t.Fatalf("%v", errs)
	}
	built, err := routing.Build(routefile.NewSet(file), prev)
	if err != nil {
		t.Fatal(err)
	}
	return built
}
