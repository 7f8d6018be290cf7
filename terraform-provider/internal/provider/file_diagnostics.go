package provider

// The texts of diagnostics about files; diagnostics.go has those about records.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// renderedFileName names a text that the provider has rendered. The user has not
// seen it, so positions in it are not shown.
const renderedFileName = "rendered"

// documentName names one of a list of texts in positions.
func documentName(attribute string, index int) string { return fmt.Sprintf("%s[%d]", attribute, index) }

func withoutRenderedPosition(mistake problem) problem {
	if strings.HasPrefix(mistake.pos, renderedFileName) {
		mistake.pos = ""
	}
	return mistake
}

// attributeInDocument is the attribute of a mistake's key, if the block sets it.
func attributeInDocument(own routefile.Plain, key string) path.Path {
	top, _, _ := strings.Cut(key, ".")
	if _, set := own[top]; !set {
		return path.Empty()
	}
	return path.Root(top)
}

func invalidDocument(at path.Path, all []problem) diag.Diagnostic {
	return errorAt(at, "Invalid routes document", problemLines(all))
}

func duplicateRecord(at path.Path, r documentEntry, first string) diag.Diagnostic {
	return errorAt(at, "Duplicate name", fmt.Sprintf("%s is also in %s: a name may be in only one of source_documents, "+
		"move the one that should win to override_documents", r, first))
}

func noProxies() diag.Diagnostic {
	return diag.NewErrorDiagnostic("No proxies to ask",
		"no admin address is given: set admin here or in the provider block, or TUNNELFORM_ADMIN in the environment")
}

func statusFailed(err error) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Cannot ask a proxy", err.Error())
}

// contentName names content in positions.
const contentName = "content"

// invalidContent prints mistakes with their source lines.
func invalidContent(errs routefile.Errors, data []byte) diag.Diagnostic {
	const most = 20
	shown := make(routefile.Errors, min(most, len(errs)))
	for i := range shown {
		e := *errs[i]
		e.Text = withoutSecretsIn(e.Key, e.Text)
		shown[i] = &e
	}
	var b strings.Builder
	_ = shown.Print(&b, map[string][]byte{contentName: showable(data, shown)}) // a builder takes everything
	if len(errs) > most {
		fmt.Fprintf(&b, "and %d more\n", len(errs)-most)
	}
	return diag.NewAttributeErrorDiagnostic(path.Root("content"), "Invalid routes file", b.String())
}

// checkChoice reports a known value that is none of want.
func checkChoice(at path.Path, v types.String, diags *diag.Diagnostics, want ...string) {
	if !v.IsNull() && !v.IsUnknown() && !slices.Contains(want, v.ValueString()) {
		diags.Append(invalidChoice(at, v.ValueString(), want...))
	}
}

func invalidChoice(at path.Path, value string, want ...string) diag.Diagnostic {
	return errorAt(at, "Invalid value", fmt.Sprintf("%q: want %s", value, alternatives(want)))
}

// fileDiff compares what two texts mean. It shows no comments, which may hold secrets as
// well.
func fileDiff(ctx context.Context, d *document, data []byte) string {
	const most = 8 << 10
	planned, err := newDocument(ctx, d.file.Path, data, "")
	if err != nil {
		return "(" + err.Error() + ")"
	}
	if len(d.unlocatedProblems())+len(planned.unlocatedProblems()) > 0 {
		return "(one of the texts has mistakes: no difference can be shown)"
	}
	before, after := canonicalText(d), canonicalText(planned)
	text := string(diff.Diff("in the file now", before, "planned", after))
	if text == "" {
		return "(only comments and layout)"
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "\n(and more)"
	}
	return text
}

func canonicalText(d *document) []byte {
	text, _ := routefile.EncodeDocument(withoutSecrets(d.file.Document())) // it was parsed from such a text
	return text
}

func changedSincePlan(ctx context.Context, d *document, data []byte, creating bool) *writeError {
	return &writeError{
		summary: "The routes file has changed since it was planned",
		detail:  fmt.Sprintf("it was changed outside of Terraform, and the change would be lost: %s. This apply would change:\n%s", replanHint(creating), fileDiff(ctx, d, data)),
	}
}

// emptiesChanged warns that the file to be emptied is not as in the state.
func emptiesChanged(ctx context.Context, d *document, before []byte) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Changed outside of Terraform",
		fmt.Sprintf("%s was changed outside of Terraform; this plan removes its routes and pools all the same. The change, from the file to the state:\n%s", d.file.Path, fileDiff(ctx, d, before)))
}

func replanHint(creating bool) string {
	if creating {
		return "import the file (terraform import ADDRESS PATH) and plan again"
	}
	return "plan again"
}

// existingFile reports a file with routes that is not in the state.
func existingFile(ctx context.Context, d *document, data []byte) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The routes file exists",
		fmt.Sprintf("%s has routes that would be lost: import it first (terraform import ADDRESS %s), and the plan will show the changes. This would change:\n%s",
			d.file.Path, d.file.Path, fileDiff(ctx, d, data)))
}

func willReplace(ctx context.Context, d *document, data []byte) diag.Diagnostic {
	return diag.NewWarningDiagnostic("The routes file exists",
		fmt.Sprintf("%s has no routes, but other settings; it will be replaced:\n%s", d.file.Path, fileDiff(ctx, d, data)))
}

func conflictingResources() diag.Diagnostic {
	return diag.NewErrorDiagnostic("Conflicting resources",
		"the configuration manages both the whole routes file (tunnelform_routes_file) and single records of it (tunnelform_route, tunnelform_pool): use one or the other, or separate files")
}

func invalidFile(all []problem) *writeError {
	return &writeError{summary: "Invalid routes file", problems: all}
}

func fileNotServed(overdue *notServedError, left string) *writeError {
	return &writeError{summary: "Not served in time", detail: overdue.Error() + "\n" + left}
}

func readError(err error) *writeError {
	return &writeError{summary: "Cannot read the routes file", detail: err.Error()}
}

func emptyingFailed(err error) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Cannot remove the routes from the file",
		fmt.Sprintf("%v; set on_destroy = %q to leave the file as it is", err, keepOnDestroy))
}

// fileDiagnostics reports a failed replacement of the file.
func fileDiagnostics(err error) (diags diag.Diagnostics) {
	var e *writeError
	if !errors.As(err, &e) {
		e = &writeError{summary: "Cannot write the routes file", detail: err.Error()}
	}
	diags.Append(diag.NewErrorDiagnostic(e.summary, paragraphs(e.detail, problemLines(e.problems))))
	return diags
}

func wrongFile(id string, s *session) diag.Diagnostic {
	want := ""
	if s != nil {
		want = s.file
	}
	return diag.NewErrorDiagnostic("Not the provider's file", fmt.Sprintf("%q: want the provider's file, %q", id, want))
}

// asResourceAttributes moves diagnostics of the provider's wait block to the
// attributes of the same names of a resource.
func asResourceAttributes(diags diag.Diagnostics) diag.Diagnostics {
	var moved diag.Diagnostics
	for _, d := range diags {
		at := path.Empty()
		if placed, ok := d.(diag.DiagnosticWithPath); ok {
			at = placed.Path()
			if at.Equal(path.Root("wait").AtName("require")) {
				at = path.Root("require")
			}
		}
		moved.Append(errorAt(at, "Invalid value", d.Detail()))
	}
	return moved
}

func invalidRevision(got string) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(path.Root("revision"), "Invalid value", fmt.Sprintf("%q is not a revision: want 64 hex digits, as given by tunnelform_routes_document or provider::tunnelform::revision", got))
}

func notServed(revision string, err error) diag.Diagnostic {
	var rejection *rejectedError
	if errors.As(err, &rejection) {
		return diag.NewErrorDiagnostic("Rejected by a running proxy",
			fmt.Sprintf("the proxy at %q refuses revision %s:\n%s", rejection.address, revision, problemLines(problemsFrom(rejection.mistakes))))
	}
	return diag.NewErrorDiagnostic("Not served in time", fmt.Sprintf("revision %s: %v", revision, err))
}

func missingNames() diag.Diagnostic {
	return diag.NewErrorDiagnostic("Missing names", "at least one of routes and pools is required")
}

// recordPositions lists records with their positions in the file.
func recordPositions(d *document, all []recordID) string {
	var lines []string
	for _, id := range all {
		lines = append(lines, fmt.Sprintf("%s: %s", d.position(id), id))
	}
	return strings.Join(lines, "\n")
}

func unexpectedRecords(d *document, all []recordID) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Unexpected records in the routes file", fmt.Sprintf("they are not listed here:\n%s", recordPositions(d, all)))
}

func willRemove(d *document, all []recordID) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Records will be removed", fmt.Sprintf("they are not listed here, and apply will remove them from the routes file:\n%s", recordPositions(d, all)))
}

func addedSincePlan(d *document, all []recordID) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Added since it was planned", fmt.Sprintf("records were added outside of Terraform since this plan was made; plan again to see the changes:\n%s", recordPositions(d, all)))
}
