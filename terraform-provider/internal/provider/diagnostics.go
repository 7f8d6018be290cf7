package provider

// The texts of diagnostics about records; file_diagnostics.go has those about files.

import (
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// problem is a mistake that the validator or a proxy reports.
type problem struct {
	pos    string // file:line:column; "" if unknown, or in a text that the user has not seen
	key    string // dotted path, as in routefile.Error
	record string // that it belongs to: `route "chat"`
	other  string // that the record conflicts with, if any
	text   string // without the position
	proxy  string // address of the proxy that reports it; "" for the validator
}

func (mistake problem) String() string {
	if mistake.pos == "" {
		return printable.Text(mistake.text)
	}
	return printable.Text(mistake.pos + ": " + mistake.text)
}

func problemsOf(errs routefile.Errors) []problem {
	all := make([]problem, 0, len(errs))
	for _, e := range errs {
		mistake := problem{pos: e.Pos.String(), key: e.Key, record: e.Record, other: e.Other, text: withoutSecretsIn(e.Key, e.Text)}
		if e.Record != "" {
			mistake.text = e.Record + ": " + mistake.text
		}
		all = append(all, mistake)
	}
	return all
}

func problemsFrom(mistakes []statusapi.Mistake) []problem {
	all := make([]problem, 0, len(mistakes))
	for _, m := range mistakes {
		place := m
		place.Text = ""
		all = append(all, problem{pos: strings.TrimSuffix(place.String(), ": "), key: m.Key, text: withoutSecretsIn(m.Key, m.Text)})
	}
	return all
}

func problemLines(all []problem) string {
	const most = 20
	lines := make([]string, 0, len(all))
	for i, mistake := range all {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		lines = append(lines, mistake.String())
	}
	return strings.Join(lines, "\n")
}

// noun is "route" for routes.
func noun(s routefile.Section) string { return strings.TrimSuffix(string(s), "s") }

func (id recordID) String() string { return fmt.Sprintf("%s %q", noun(id.section), id.name) }

// prefix is the start of the keys of a record's mistakes.
func (id recordID) prefix() string {
	const clipped = 80 // routefile clips longer names
	if len(id.name) > clipped {
		return string(id.section) + "." + id.name[:clipped]
	}
	return string(id.section) + "." + id.name
}

// concerns reports whether a problem is about the record, or about a conflict with it.
func (id recordID) concerns(mistake problem) bool {
	rest, found := strings.CutPrefix(mistake.key, id.prefix())
	return found && (rest == "" || rest[0] == '.') && (mistake.record == "" || mistake.record == id.String()) || mistake.other == id.String()
}

// attributeOf is the deepest attribute on a mistake's key that Terraform can find in a
// configuration: not within maps and sets.
func attributeOf(id recordID, p routefile.Plain, key string) path.Path {
	rest, found := strings.CutPrefix(key, id.prefix()+".")
	switch {
	case !found:
		return path.Empty()
	case rest == nameAttribute:
		return path.Root(nameAttribute)
	}
	return descend(path.Empty(), recordFields[id.section], p, rest)
}

func descend(at path.Path, fields []*field, p routefile.Plain, rest string) path.Path {
	name, deeper, _ := strings.Cut(rest, ".")
	for _, f := range fields {
		if f.shape == nil || f.shape.key.Name != name || !f.holds(p, deeper) {
			continue
		}
		if f.shape.key.Kind != routefile.KindMapping {
			return at.AtName(f.name)
		}
		below, _ := p[name].(routefile.Plain)
		return descend(at.AtName(f.name), f.below, below, deeper)
	}
	return firstAttribute(at, fields, p)
}

// holds reports whether a field of conditions holds the one that a key is about. All
// other fields are the only ones of their keys.
func (f *field) holds(p routefile.Plain, key string) bool {
	conditions, _ := p[f.shape.key.Name].(routefile.Plain)
	name, found := longestName(conditions, key)
	one, _ := conditions[name].(routefile.Plain)
	return f.part == "" || !found || one[f.part] != nil
}

// firstAttribute is the first one of a block: Terraform finds the lines of attributes,
// but not those of blocks.
func firstAttribute(at path.Path, fields []*field, p routefile.Plain) path.Path {
	if len(at.Steps()) == 0 {
		return at
	}
	for _, f := range fields {
		if f.shape != nil && f.below == nil && p[f.shape.key.Name] != nil {
			return at.AtName(f.name)
		}
	}
	return at
}

// longestName is the longest name that the key begins with: of "X" and "X.A" it is
// the second, as "A" is not a key below "X".
func longestName(m routefile.Plain, key string) (longest string, found bool) {
	for name := range m {
		if strings.HasPrefix(key+".", name+".") && (!found || len(name) > len(longest)) {
			longest, found = name, true
		}
	}
	return longest, found
}

// errorAt reports an error at an attribute, or at the resource if the path is empty.
func errorAt(at path.Path, summary, detail string) diag.Diagnostic {
	if at.Equal(path.Empty()) {
		return diag.NewErrorDiagnostic(summary, detail)
	}
	return diag.NewAttributeErrorDiagnostic(at, summary, detail)
}

func invalidSetting(at path.Path, text string) diag.Diagnostic {
	return errorAt(at, "Invalid provider configuration", text)
}

func missingFile() diag.Diagnostic {
	return diag.NewErrorDiagnostic("No routes file",
		"no routes file is configured: set file in the provider block, or TUNNELFORM_FILE in the environment")
}

func missingDirectory(dir string) diag.Diagnostic {
	return diag.NewErrorDiagnostic("No directory for the routes file",
		fmt.Sprintf("%s is not a directory: create it before, the provider creates only the file", dir))
}

func readFailed(file string, err error) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Cannot read the routes file", fmt.Sprintf("%s: %v", file, err))
}

// recordMayBeHidden reports mistakes because of which a record cannot be found.
func recordMayBeHidden(id recordID, all []problem) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The routes file has mistakes",
		fmt.Sprintf("%s cannot be read until they are corrected:\n%s", id, problemLines(all)))
}

func internalError(err error) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Unexpected value", fmt.Sprintf("%v; this is a bug in the provider", err))
}

// invalidRecord reports a record's own mistakes, each at its attribute.
func invalidRecord(id recordID, p routefile.Plain, all []problem) (diags diag.Diagnostics) {
	for _, mistake := range all {
		diags.Append(errorAt(attributeOf(id, p, mistake.key), "Invalid "+noun(id.section), mistake.String()))
	}
	return diags
}

func duplicateInPlan(id recordID) diag.Diagnostic {
	return errorAt(path.Root(nameAttribute), "Duplicate name",
		fmt.Sprintf("another resource in this configuration also manages %s: use one resource for each name", id))
}

// tooManyExchanged reports a plan whose records cannot all be under way at once.
func tooManyExchanged(some []string) diag.Diagnostic {
	names := make([]string, 0, len(some))
	for _, one := range some {
		state, rest, _ := strings.Cut(one, " ")
		section, name, _ := strings.Cut(rest, " ")
		names = append(names, fmt.Sprintf("%s (%s)", recordID{routefile.Section(section), name}, state))
	}
	return diag.NewErrorDiagnostic("Too many records take each other's places",
		fmt.Sprintf("more than %d records of this plan take a name or match that another one leaves. They must be written together, and Terraform has ten operations under way at once (-parallelism), so the apply would wait for ever. There are three ways:\n"+
			"- a moved block for each record that only gets another address or for_each key: it is then renamed, and its tunnels stay\n"+
			"- two applies: the first with the records in free places, or without those that leave\n"+
			"- tunnelform_routes_file instead of single records: an exchange of any size is one write\n\n"+
			"The first that were found: %s", maxExchanged, strings.Join(names, ", ")))
}

// alreadyInFile warns that a record to be created is in the file.
func alreadyInFile(id recordID, pos routefile.Pos) diag.Diagnostic {
	return diag.NewAttributeWarningDiagnostic(path.Root(nameAttribute), "Already in the routes file",
		fmt.Sprintf("%s: %s exists. Unless this apply removes it, it will fail: %s", pos, id, importHint(id)))
}

func conflictInPlan(rec record, mistake problem) diag.Diagnostic {
	return errorAt(attributeOrMatch(rec, mistake), "Conflicts with another "+noun(rec.id.section)+" in this plan", mistake.String())
}

// conflictWithFile warns of a conflict with a record in the file, which may be removed
// before the apply.
func conflictWithFile(rec record, mistake problem, other string) diag.Diagnostic {
	return warningAt(attributeOrMatch(rec, mistake), "Conflicts with the routes file",
		fmt.Sprintf("%s\n\nUnless this apply removes or changes %s first, it will fail.", mistake, other))
}

// deletesChanged warns that the record to be deleted is not as in the state.
func deletesChanged(doc *document, before record) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Changed outside of Terraform",
		fmt.Sprintf("%s: %s was changed outside of Terraform; this plan removes it all the same:\n%s",
			doc.position(before.id), before.id, recordDiff(before.id, before.keys, doc.file.Plain(before.id.section, before.id.name))))
}

// missingReference warns that a record refers to one that is not in the file.
func missingReference(rec record, mistake problem) diag.Diagnostic {
	return warningAt(attributeOf(rec.id, rec.keys, mistake.key), "Not in the routes file yet",
		fmt.Sprintf("%s\n\nIf this configuration creates it, refer to it (pool://${tunnelform_pool.NAME.name}), so that it is created first. "+
			"If it is in another routes file, add that file to the provider's context_files. Otherwise apply will fail.", mistake))
}

// attributeOrMatch is where a conflict is reported: at the problem's attribute, if it
// is this record's, else at the conditions.
func attributeOrMatch(rec record, mistake problem) path.Path {
	if at := attributeOf(rec.id, rec.keys, mistake.key); !at.Equal(path.Empty()) {
		return at
	}
	if _, has := rec.keys["match"]; has {
		return attributeOf(rec.id, rec.keys, rec.id.prefix()+".match")
	}
	return path.Root(nameAttribute)
}

func warningAt(at path.Path, summary, detail string) diag.Diagnostic {
	if at.Equal(path.Empty()) {
		return diag.NewWarningDiagnostic(summary, detail)
	}
	return diag.NewAttributeWarningDiagnostic(at, summary, detail)
}

func unreachableProxies(errs []error) diag.Diagnostic {
	lines := make([]string, len(errs))
	for i, err := range errs {
		lines[i] = err.Error()
	}
	return diag.NewWarningDiagnostic("A proxy does not answer",
		"it counts as not serving the routes file:\n"+strings.Join(lines, "\n"))
}

func importHint(id recordID) string {
	return fmt.Sprintf("import it, or write a moved block if the resource's address has changed. To import it:\n\n"+
		"import {\n  to = tunnelform_%s.ADDRESS\n  id = %q\n}", noun(id.section), id.name)
}

// recordTakenOver warns that a record to be created is in the file as planned.
func recordTakenOver(id recordID) diag.Diagnostic {
	return diag.NewAttributeWarningDiagnostic(path.Root(nameAttribute), "Taken over from the routes file",
		fmt.Sprintf("%s is in the routes file exactly as planned, such as after an apply that was interrupted. This configuration manages it from now on. "+
			"If another one manages it too, remove it from one of them.", id))
}

// writeDiagnostics reports a failed write at the attributes that it concerns.
func writeDiagnostics(id recordID, p routefile.Plain, err error) (diags diag.Diagnostics) {
	e, ok := err.(*writeError)
	if !ok {
		diags.Append(diag.NewErrorDiagnostic(fmt.Sprintf("Cannot write %s", id), err.Error()))
		return diags
	}
	var rest []problem
	for _, mistake := range e.problems {
		if at := attributeOf(id, p, mistake.key); id.concerns(mistake) && !at.Equal(path.Empty()) {
			diags.Append(errorAt(at, e.summary, paragraphs(e.detail, mistake.String())))
			continue
		}
		rest = append(rest, mistake)
	}
	if len(rest) > 0 || len(e.problems) == 0 {
		diags.Append(diag.NewErrorDiagnostic(e.summary, paragraphs(e.detail, problemLines(rest))))
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
