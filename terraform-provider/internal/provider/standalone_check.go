package provider

// A record judged by itself: everything that its own values decide, with the
// pools and listeners that it names taken for granted.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// alone is a record as a file of its own.
func standalone(id recordID, p routefile.Plain) (*routefile.File, []problem) {
	text, err := id.section.Print(id.name, id.section.FromPlain(p))
	if err != nil {
		return nil, []problem{{key: id.prefix(), text: err.Error()}}
	}
	body := string(id.section) + ":\n" + indented(string(text))
	if id.section != routefile.InRoutes {
		body += "routes: {}\n"
	}
	f, _ := routefile.Parse("-", []byte("version: 1\n"+body))
	return f, withoutPositions(routefile.Check(f, referencedRecords(f)))
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

// backdrop is a file with the pools and listeners that f's routes name.
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

// withoutPlaces drops positions in files that nobody has.
func withoutPositions(errs routefile.Errors) []problem {
	var all []problem
	for _, c := range problemsOf(errs) {
		if !strings.HasPrefix(c.pos, "--:") {
			c.pos = ""
			all = append(all, c)
		}
	}
	return all
}

// judge is the record alone and what is wrong with it, as far as it is known.
func (rec record) checkStandalone() (*routefile.File, []problem) {
	id := rec.id
	if rec.nameIsUnknown() {
		if !rec.value.IsKnown() || rec.value.IsNull() {
			return nil, nil
		}
		id.name = "name" // a valid one, until it is known
		if v := rec.members[nameAttribute]; v.IsKnown() {
			id.name = textOf(v)
		}
	}
	f, all := standalone(id, rec.keys)
	if len(rec.unknown) == 0 {
		return f, all
	}
	return f, slices.DeleteFunc(all, func(c problem) bool { return rec.mayResolve(id, c) })
}

// mayCure says whether what is not known yet may take a complaint away: because
// it holds or is part of the place, or because it is in the match, whose captures
// the targets use.
func (rec record) mayResolve(id recordID, c problem) bool {
	at := strings.TrimPrefix(strings.TrimPrefix(c.key, id.prefix()), ".")
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
