package provider

// The texts about whole files; diagnostics.go has those about records.

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// renderedName is the name of a text that the provider has made itself and that
// nobody has seen: positions in it are not shown.
const renderedFileName = "rendered"

// documentName is what positions in one of a list of texts name.
func documentName(attribute string, index int) string { return fmt.Sprintf("%s[%d]", attribute, index) }

// unplaced drops a position in a text that nobody has seen; the key says where.
func withoutRenderedPosition(c problem) problem {
	if strings.HasPrefix(c.pos, renderedFileName) {
		c.pos = ""
	}
	return c
}

// placeInDocument is the attribute of a mistake's key, where the block says it.
func attributeInDocument(own routefile.Plain, key string) path.Path {
	top, rest, _ := strings.Cut(key, ".")
	value, said := own[top]
	if !said || shapes[top] == nil {
		return path.Empty()
	}
	return descend(path.Root(top), shapes[top], value, rest)
}

// badDocument are the mistakes of one text, or of what was made of several.
func invalidDocument(at path.Path, all []problem) diag.Diagnostic {
	return errorAt(at, "Invalid routes document", problemLines(all))
}

func duplicateRecord(at path.Path, r documentEntry, first string) diag.Diagnostic {
	return errorAt(at, "Said twice", fmt.Sprintf("%s stands in %s already: a name may stand in one source document only, "+
		"put the one that shall win into override_documents", r, first))
}

func noProxies() diag.Diagnostic {
	return diag.NewErrorDiagnostic("No proxies to ask",
		"no admin address is given: set admin here or in the provider block, or TUNNELFORM_ADMIN in the environment")
}

func statusFailed(err error) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Cannot ask a proxy", err.Error())
}

// contentName is what positions in content name.
const contentName = "content"

// badContent are a text's mistakes, each with its line and a caret.
func invalidContent(errs routefile.Errors, data []byte) diag.Diagnostic {
	const most = 20
	var b strings.Builder
	_ = errs[:min(most, len(errs))].Print(&b, map[string][]byte{contentName: data}) // a builder takes everything
	if len(errs) > most {
		fmt.Fprintf(&b, "and %d more\n", len(errs)-most)
	}
	return diag.NewAttributeErrorDiagnostic(path.Root("content"), "Invalid routes file", b.String())
}

func invalidChoice(at path.Path, got string, want ...string) diag.Diagnostic {
	return errorAt(at, "Invalid value", fmt.Sprintf("%q: want %s", got, alternatives(want)))
}

// fileDifference is what a write of data would change.
func fileDiff(d *document, data []byte) string {
	const most = 8 << 10
	text := string(diff.Diff("in the file now", d.data, "planned", data))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "\n(and more)"
	}
	return text
}

// unseen is a file that holds what the plan has not seen.
func changedSincePlan(d *document, data []byte, fresh bool) *writeError {
	return &writeError{
		summary: "The routes file has changed since it was planned",
		detail:  fmt.Sprintf("somebody else has edited it, and that would be lost: %s. This apply would change:\n%s", replanHint(fresh), fileDiff(d, data)),
	}
}

func replanHint(fresh bool) string {
	if fresh {
		return "import the file (terraform import ADDRESS PATH) and plan again"
	}
	return "plan again"
}

// unseenAtPlan is a file that stands there before Terraform has ever seen it.
func existingFile(d *document, data []byte) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The routes file exists",
		fmt.Sprintf("%s has routes of its own, which would be lost: import it first (terraform import ADDRESS %s), and the plan will show what becomes of it. This would change:\n%s",
			d.file.Path, d.file.Path, fileDiff(d, data)))
}

func willReplace(d *document, data []byte) diag.Diagnostic {
	return diag.NewWarningDiagnostic("The routes file exists",
		fmt.Sprintf("%s has no routes, but says something; it will be replaced:\n%s", d.file.Path, fileDiff(d, data)))
}

func conflictingResources() diag.Diagnostic {
	return diag.NewErrorDiagnostic("Two owners of one file",
		"this run plans the whole routes file (tunnelform_routes_file) and single records of it (tunnelform_route, tunnelform_pool): want one or the other, or a file for each")
}

func invalidFile(all []problem) *writeError {
	return &writeError{summary: "The routes file is refused", problems: all}
}

func fileNotServed(late *notServedError, left string) *writeError {
	return &writeError{summary: "Not served in time", detail: late.Error() + "\n" + left}
}

func readError(err error) *writeError {
	return &writeError{summary: "Cannot read the routes file", detail: err.Error()}
}

func emptyingFailed(err error) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Cannot take the routes out of the file",
		fmt.Sprintf("%v; with on_destroy = %q the file would be left as it is", err, keepOnDestroy))
}

// failedFile is why a file was not replaced.
func fileDiagnostics(err error) (diags diag.Diagnostics) {
	var f *writeError
	if !errors.As(err, &f) {
		f = &writeError{summary: "Cannot write the routes file", detail: err.Error()}
	}
	diags.Append(diag.NewErrorDiagnostic(f.summary, paragraphs(f.detail, problemLines(f.problems))))
	return diags
}

func wrongFile(id string, s *session) diag.Diagnostic {
	want := ""
	if s != nil {
		want = s.file
	}
	return diag.NewErrorDiagnostic("Not the provider's file", fmt.Sprintf("%q: want the provider's file, %q", id, want))
}

// atTop moves mistakes of the provider's wait block to the attributes of a
// resource that has them at its top.
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
	return diag.NewAttributeErrorDiagnostic(path.Root("revision"), "Invalid value", fmt.Sprintf("%q is no revision: want 64 hex digits, as tunnelform_routes_document or provider::tunnelform::revision give them", got))
}

// notServed is why the wait for a revision ended.
func notServed(revision string, err error) diag.Diagnostic {
	var no *rejectedError
	if errors.As(err, &no) {
		return diag.NewErrorDiagnostic("Rejected by a running proxy",
			fmt.Sprintf("the proxy at %q refuses revision %s:\n%s", no.address, revision, problemLines(problemsFrom(no.mistakes))))
	}
	return diag.NewErrorDiagnostic("Not served in time", fmt.Sprintf("revision %s: %v", revision, err))
}

func missingNames() diag.Diagnostic {
	return diag.NewErrorDiagnostic("Nothing to look at", "neither routes nor pools is given: want the names that may stand there")
}

// placesOf lists records with their lines in the file.
func recordPositions(d *document, all []recordID) string {
	var lines []string
	for _, id := range all {
		lines = append(lines, fmt.Sprintf("%s: %s", d.position(id), id))
	}
	return strings.Join(lines, "\n")
}

func unexpectedRecords(d *document, all []recordID) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Others stand in the routes file", fmt.Sprintf("want only the names that are given, but there are:\n%s", recordPositions(d, all)))
}

func willRemove(d *document, all []recordID) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Records will be removed", fmt.Sprintf("apply will take out of the routes file what is not named here:\n%s", recordPositions(d, all)))
}

func addedSincePlan(d *document, all []recordID) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Added since it was planned", fmt.Sprintf("somebody else has added these since this plan was made; plan again to see what becomes of them:\n%s", recordPositions(d, all)))
}
