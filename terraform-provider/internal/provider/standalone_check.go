package provider

// Checking a record by itself, as if the pools and listeners that it refers to
// existed.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// standalone parses a record as a file of its own, and checks it.
func standalone(ctx context.Context, id recordID, p routefile.Plain) (*routefile.File, []problem) {
	text, err := id.section.Print(id.name, id.section.FromPlain(p))
	if err != nil {
		return nil, []problem{{key: id.prefix(), text: err.Error()}}
	}
	body := string(id.section) + ":\n" + indented(string(text))
	if id.section != routefile.InRoutes {
		body += "routes: {}\n"
	}
	f, _, err := routefile.ParseContext(ctx, "-", []byte("version: 1\n"+body))
	if err != nil {
		return nil, []problem{{key: id.prefix(), text: err.Error()}}
	}
	errs, err := routefile.CheckContext(ctx, f, referencedRecords(f))
	if err != nil {
		return nil, []problem{{key: id.prefix(), text: err.Error()}}
	}
	return f, withoutPositions(errs)
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// referencedRecords is a file with the pools and listeners that f's routes refer to.
func referencedRecords(f *routefile.File) *routefile.File {
	pools, listeners := map[string]bool{}, map[string]bool{}
	for _, r := range f.Routes {
		if r.To != nil && r.To.Scheme == "pool" {
			pools[r.To.Host] = true
		}
		if r.Match.Listener != "" {
			listeners[r.Match.Listener] = true
		}
	}
	text := "version: 1\npools:\n"
	for name := range pools {
		text += fmt.Sprintf("  %q: {backends: {a: {url: \"ws://127.0.0.1:1\"}}}\n", name)
	}
	text += "listeners:\n"
	for name := range listeners {
		text += fmt.Sprintf("  %q: {address: \":0\"}\n", name)
	}
	b, _ := routefile.Parse("--", []byte(text))
	return b
}

// withoutPositions drops the problems of referencedRecords, and positions in texts
// that the user has not seen.
func withoutPositions(errs routefile.Errors) []problem {
	var all []problem
	for _, mistake := range problemsOf(errs) {
		if !strings.HasPrefix(mistake.pos, "--:") {
			mistake.pos = ""
			all = append(all, mistake)
		}
	}
	return all
}

// checkStandalone checks the record as far as its values are known.
func (rec record) checkStandalone(ctx context.Context) (*routefile.File, []problem) {
	id := rec.id
	if rec.nameIsUnknown() {
		if !rec.value.IsKnown() || rec.value.IsNull() {
			return nil, nil
		}
		id.name = "name" // any valid name
		if v := rec.members[nameAttribute]; v.IsKnown() {
			id.name = textOf(v)
		}
	}
	f, all := standalone(ctx, id, rec.keys)
	for _, mistake := range rec.repeated {
		mistake.key, mistake.text = id.prefix()+"."+mistake.key, id.String()+": "+mistake.text
		all = append(all, mistake)
	}
	if len(rec.unknown) == 0 {
		return f, all
	}
	return f, slices.DeleteFunc(all, func(mistake problem) bool { return rec.mayResolve(id, mistake) })
}

// mayResolve reports whether a problem may go away once unknown values are known:
// they are at the problem's key, above or below it, or in the match, whose
// captures the targets use.
func (rec record) mayResolve(id recordID, mistake problem) bool {
	at := strings.TrimPrefix(strings.TrimPrefix(mistake.key, id.prefix()), ".")
	top, _, _ := strings.Cut(at, ".")
	for _, place := range rec.unknown {
		of, _, _ := strings.Cut(place, ".")
		switch {
		case at == "", place == at, strings.HasPrefix(place, at+"."), strings.HasPrefix(at, place+"."):
			return true
		case of == "match" && (top == "match" || top == "to" || top == "redirect"):
			return true
		}
	}
	return false
}
