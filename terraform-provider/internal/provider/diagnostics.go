package provider

// Every text that a user of the provider sees is built here: where it is, what
// is wrong, what was wanted.

import (
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// complaint is one mistake, of the validator or of a proxy, in the same words.
type problem struct {
	pos    string // file:line:column; "" when it is at none, or at none that a reader has
	key    string // dotted path of the key it is at, as routefile.Error has it
	record string // whose it is: `route "chat"`
	other  string // with whom the record clashes, if it does
	text   string // what is wrong, without its place
	proxy  string // the address of the proxy that says so; "" for the validator
}

func (c problem) String() string {
	if c.pos == "" {
		return c.text
	}
	return c.pos + ": " + c.text
}

// complaintsOf are a validator's mistakes.
func problemsOf(errs routefile.Errors) []problem {
	all := make([]problem, 0, len(errs))
	for _, e := range errs {
		c := problem{pos: e.Pos.String(), key: e.Key, record: e.Record, other: e.Other, text: e.Text}
		if e.Record != "" {
			c.text = e.Record + ": " + e.Text
		}
		all = append(all, c)
	}
	return all
}

// complaintsFrom are a proxy's mistakes.
func problemsFrom(mistakes []statusapi.Mistake) []problem {
	all := make([]problem, 0, len(mistakes))
	for _, m := range mistakes {
		place := m
		place.Text = ""
		all = append(all, problem{pos: strings.TrimSuffix(place.String(), ": "), key: m.Key, text: m.Text})
	}
	return all
}

// linesOf are complaints, one a line.
func problemLines(all []problem) string {
	const most = 20
	lines := make([]string, 0, len(all))
	for i, c := range all {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

// noun is what a section's record is called.
func noun(s routefile.Section) string { return strings.TrimSuffix(string(s), "s") }

func (id recordID) String() string { return fmt.Sprintf("%s %q", noun(id.section), id.name) }

// prefix is what the keys of a record begin with in a mistake's key.
func (id recordID) prefix() string {
	const clipped = 80 // routefile repeats no more of a name
	if len(id.name) > clipped {
		return string(id.section) + "." + id.name[:clipped]
	}
	return string(id.section) + "." + id.name
}

// owns says whether a complaint is about the record, or about one that clashes with it.
func (id recordID) concerns(c problem) bool {
	rest, found := strings.CutPrefix(c.key, id.prefix())
	return found && (rest == "" || rest[0] == '.') && (c.record == "" || c.record == id.String()) || c.other == id.String()
}

// placeOf is the attribute that a mistake's key is at: the deepest that there is.
// Names may contain dots, so those that the record has decide.
func attributeOf(id recordID, p routefile.Plain, key string) path.Path {
	rest, found := strings.CutPrefix(key, id.prefix()+".")
	switch {
	case !found:
		return path.Empty()
	case rest == nameAttribute:
		return path.Root(nameAttribute)
	}
	return descend(path.Empty(), shapeOf(id.section), p, rest)
}

func descend(at path.Path, s *shape, value any, rest string) path.Path {
	m, ok := value.(routefile.Plain)
	if rest == "" || s == nil {
		return at
	}
	if s.element == nil {
		name, deeper, _ := strings.Cut(rest, ".")
		if below := s.child(name); below != nil {
			return descend(at.AtName(name), below, m[name], deeper)
		}
		return at
	}
	name, found := longestName(m, rest)
	if !ok || !found {
		return at
	}
	deeper := strings.TrimPrefix(strings.TrimPrefix(rest, name), ".")
	return descend(at.AtMapKey(name), s.element, m[name], deeper)
}

// longestName is the name that the key begins with: of "X" and "X.A" the longer,
// for a key below "X" would not go on with "A".
func longestName(m routefile.Plain, key string) (longest string, found bool) {
	for name := range m {
		if strings.HasPrefix(key+".", name+".") && (!found || len(name) > len(longest)) {
			longest, found = name, true
		}
	}
	return longest, found
}

// errorAt puts an error at an attribute, or at the resource as a whole.
func errorAt(at path.Path, summary, detail string) diag.Diagnostic {
	if at.Equal(path.Empty()) {
		return diag.NewErrorDiagnostic(summary, detail)
	}
	return diag.NewAttributeErrorDiagnostic(topLevelAttribute(at), summary, detail)
}

// shown is the place whose line terraform can show: of an attribute, but not of
// what stands inside its object. With a deeper path it shows the whole resource;
// the text says what in the attribute is meant.
func topLevelAttribute(at path.Path) path.Path {
	steps := at.Steps()
	if len(steps) == 0 {
		return at
	}
	if first, ok := steps[0].(path.PathStepAttributeName); ok {
		return path.Root(string(first))
	}
	return at
}

func invalidSetting(at path.Path, text string) diag.Diagnostic {
	return errorAt(at, "Invalid provider configuration", text)
}

func missingFile() diag.Diagnostic {
	return diag.NewErrorDiagnostic("No routes file",
		"no routes file is configured: set file in the provider block, or TUNNELFORM_FILE in the environment")
}

// unreadable is a routes file that cannot be read.
func readFailed(file string, err error) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Cannot read the routes file", fmt.Sprintf("%s: %v", file, err))
}

// unclear is a file so broken that nobody can say whether a record stands in it.
func recordMayBeHidden(id recordID, all []problem) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The routes file has mistakes",
		fmt.Sprintf("whether %s stands in it cannot be said before they are gone:\n%s", id, problemLines(all)))
}

// internalError is ours.
func internalError(err error) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Unexpected value", fmt.Sprintf("%v; this is a bug of the provider", err))
}

// invalid are a record's own mistakes, each at its attribute.
func invalidRecord(id recordID, p routefile.Plain, all []problem) (diags diag.Diagnostics) {
	for _, c := range all {
		diags.Append(errorAt(attributeOf(id, p, c.key), "Invalid "+noun(id.section), c.String()))
	}
	return diags
}

func duplicateInPlan(id recordID) diag.Diagnostic {
	return errorAt(path.Root(nameAttribute), "Planned twice",
		fmt.Sprintf("another resource of this run plans %s too: want one resource for each name", id))
}

// presentAlready warns of a record that stands in the file and is to be made.
func alreadyInFile(id recordID, pos routefile.Pos) diag.Diagnostic {
	return diag.NewAttributeWarningDiagnostic(path.Root(nameAttribute), "Stands in the routes file already",
		fmt.Sprintf("%s: %s stands there already. If this run removes it, nothing is wrong; otherwise apply will fail: %s", pos, id, importHint(id)))
}

// clashOfPlans is about two records of this run that cannot stand beside each other.
func conflictInPlan(rec record, c problem) diag.Diagnostic {
	return errorAt(attributeOrMatch(rec, c), "Clashes with another "+noun(rec.id.section)+" of this plan", c.String())
}

// clashWithFile is about a record in the file that may be gone by the time of the apply.
func conflictWithFile(rec record, c problem, other string) diag.Diagnostic {
	return warningAt(attributeOrMatch(rec, c), "Clashes with the routes file",
		fmt.Sprintf("%s\n\nIf this run removes or changes %s, nothing is wrong; otherwise apply will fail.", c, other))
}

// notYet is about something that a record refers to and the file does not have.
func missingReference(rec record, c problem) diag.Diagnostic {
	return warningAt(attributeOf(rec.id, rec.keys, c.key), "Not in the routes file yet",
		fmt.Sprintf("%s\n\nIf this run makes it, refer to it (pool://${tunnelform_pool.NAME.name}), so that it is made first. "+
			"If it stands in another routes file, name that file in the provider's context_files. Otherwise apply will fail.", c))
}

// placeOrMatch is where a clash is: at what the complaint names if that is this
// record's, else at the conditions, which are what clashes.
func attributeOrMatch(rec record, c problem) path.Path {
	if at := attributeOf(rec.id, rec.keys, c.key); !at.Equal(path.Empty()) {
		return at
	}
	if _, has := rec.keys["match"]; has {
		return path.Root("match")
	}
	return path.Root(nameAttribute)
}

func warningAt(at path.Path, summary, detail string) diag.Diagnostic {
	if at.Equal(path.Empty()) {
		return diag.NewWarningDiagnostic(summary, detail)
	}
	return diag.NewAttributeWarningDiagnostic(topLevelAttribute(at), summary, detail)
}

// silentProxies warns that it is not known what proxies serve.
func unreachableProxies(errs []error) diag.Diagnostic {
	lines := make([]string, len(errs))
	for i, err := range errs {
		lines[i] = err.Error()
	}
	return diag.NewWarningDiagnostic("A proxy does not answer",
		"whether it serves what the routes file says is not known, so it counts as not serving it:\n"+strings.Join(lines, "\n"))
}

func importHint(id recordID) string {
	return fmt.Sprintf("import it (terraform import tunnelform_%s.ADDRESS %s), or if the resource's address has changed, write a moved block", noun(id.section), id.name)
}

// failedWrite is why a change did not come to be, at the attributes it concerns.
func writeDiagnostics(id recordID, p routefile.Plain, err error) (diags diag.Diagnostics) {
	f, ok := err.(*writeError)
	if !ok {
		diags.Append(diag.NewErrorDiagnostic(fmt.Sprintf("Cannot write %s", id), err.Error()))
		return diags
	}
	var rest []problem
	for _, c := range f.problems {
		if at := attributeOf(id, p, c.key); id.concerns(c) && !at.Equal(path.Empty()) {
			diags.Append(errorAt(at, f.summary, paragraphs(f.detail, c.String())))
			continue
		}
		rest = append(rest, c)
	}
	if len(rest) > 0 || len(f.problems) == 0 {
		diags.Append(diag.NewErrorDiagnostic(f.summary, paragraphs(f.detail, problemLines(rest))))
	}
	return diags
}

func paragraphs(parts ...string) string {
	var all []string
	for _, p := range parts {
		if p != "" {
			all = append(all, p)
		}
	}
	return strings.Join(all, "\n\n")
}
