package provider

// Applying a batch of changes to the file's text: which of them are valid, which
// are refused, and why.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// compose applies a batch to base. It returns the accepted requests, the file with
// them (base itself if nothing changes), and why the others are refused.
func (w *writer) compose(ctx context.Context, base *document, batch []*changeRequest) ([]*changeRequest, *document, map[*changeRequest]*writeError) {
	composer := &composer{session: w.session, ctx: ctx, base: base, refused: map[*changeRequest]*writeError{}}
	candidate, accepted := composer.merge(base, batch)
	return accepted, candidate, composer.refused
}

// fit returns the requests of a batch whose records are as they were planned on, and
// whose names are free once the batch is applied; it refuses the others. Requests may
// exchange names.
func (composer *composer) fit(d *document, batch []*changeRequest) []*changeRequest {
	for {
		leaving := leavingNames(d, batch)
		var fit []*changeRequest
		for _, r := range batch {
			if e := r.conflictWith(d, leaving); e != nil {
				composer.refused[r] = e
				continue
			}
			fit = append(fit, r)
		}
		if len(fit) == len(batch) {
			return fit
		}
		batch = fit // a request that is refused frees no name
	}
}

// leavingNames returns the records of d that the requests delete or rename.
func leavingNames(d *document, batch []*changeRequest) map[recordID]*changeRequest {
	leaving := map[recordID]*changeRequest{}
	for _, r := range batch {
		if r.priorName != "" && (r.desired == nil || r.id.name != r.priorName) && d.fingerprint(r.priorID()) != "" {
			leaving[r.priorID()] = r
		}
	}
	return leaving
}

// conflictWith returns an error if the request's record is not as it was planned on, or
// its name is taken by a record that is not leaving.
func (r *changeRequest) conflictWith(d *document, leaving map[recordID]*changeRequest) *writeError {
	found, wanted := d.fingerprint(r.id), ""
	if r.desired != nil {
		wanted = r.id.section.Fingerprint(r.desired)
	}
	taken := found != "" && leaving[r.id] == nil
	r.existed, r.takenOver = false, false
	if r.priorName == "" {
		if taken && found == wanted { // such as after a crash
			r.existed, r.takenOver = true, true
		} else if taken {
			return nameTaken(d, r.id)
		}
		return nil
	}
	now := d.fingerprint(r.priorID())
	r.existed = now != ""
	switch {
	case now == "" || r.id.name == r.priorName && now == wanted:
		if r.id.name != r.priorName && taken && found != wanted {
			return nameTaken(d, r.id)
		}
		return nil // deleted, or already as desired: by hand, or by an interrupted apply
	case now != r.expected():
		return changedOutside(d, r.change)
	case r.id.name != r.priorName && taken:
		return nameTaken(d, r.id)
	}
	return nil
}

// edits returns the operations that make a batch of d. A name that one record leaves and
// another takes is set once. A new record with the match and target of one that is
// deleted becomes its new name, so that its comments stay.
func edits(d *document, batch []*changeRequest) (ops []routefile.Op) {
	leaving := leavingNames(d, batch)
	arriving := map[recordID]bool{}
	for _, r := range batch {
		if r.desired != nil {
			arriving[r.id] = true
		}
	}
	successors := map[recordID]bool{} // deleted records that a new one succeeds
	for _, r := range batch {
		s, from := r.id.section, r.priorName
		if r.priorName == "" && d.fingerprint(r.id) == "" {
			from = predecessor(d, r, leaving, arriving, successors)
		}
		switch {
		case r.desired == nil || r.takenOver:
			continue
		case from == "" || from == r.id.name || d.fingerprint(recordID{s, from}) == "":
		case d.fingerprint(r.id) == "" && !arriving[recordID{s, from}]:
			successors[recordID{s, from}] = true
			ops = append(ops, s.Rename(from, r.id.name))
		}
		ops = append(ops, s.Set(r.id.name, s.FromPlain(r.desired)))
	}
	for id, r := range leaving {
		if !arriving[id] && !successors[id] {
			ops = append(ops, id.section.Drop(r.priorName))
		}
	}
	return ops
}

// predecessor is the name of a record that is deleted and has a new record's match and
// target; "" if there is none.
func predecessor(d *document, r *changeRequest, leaving map[recordID]*changeRequest, arriving, successors map[recordID]bool) string {
	if r.id.section != routefile.InRoutes {
		return ""
	}
	if old := (recordID{r.id.section, r.succeeds}); r.succeeds != "" && d.fingerprint(old) == r.plannedOn && !arriving[old] && !successors[old] {
		return r.succeeds
	}
	for id, other := range leaving {
		if other.desired != nil || id.section != r.id.section || arriving[id] || successors[id] {
			continue
		}
		old := d.file.Plain(id.section, id.name)
		if sameMatchAndTarget(old, r.desired) {
			return id.name
		}
	}
	return ""
}

func sameMatchAndTarget(a, b routefile.Plain) bool {
	return a["to"] == b["to"] && matchOf(a) == matchOf(b)
}

// composer applies changes to a file. Not for concurrent use.
type composer struct {
	session *session
	ctx     context.Context
	base    *document
	refused map[*changeRequest]*writeError
}

// merge applies a batch to d and returns the result and the accepted requests. It
// refuses those that the validator names; if it names none, merge tries halves, so
// that only the invalid changes fail.
func (composer *composer) merge(d *document, batch []*changeRequest) (*document, []*changeRequest) {
	if batch = composer.fit(d, batch); len(batch) == 0 {
		return d, nil
	}
	candidate, all, mayPass := composer.tryEdit(d, batch)
	if len(all) == 0 {
		return candidate, batch
	}
	rest := composer.refuseNamed(batch, all, mayPass)
	if len(rest) < len(batch) {
		return composer.merge(d, rest)
	}
	if len(batch) == 1 {
		composer.refused[batch[0]] = refusedChange(batch[0].id, all, mayPass)
		return d, nil
	}
	half := len(batch) / 2
	d, left := composer.merge(d, batch[:half])
	d, right := composer.merge(d, batch[half:])
	return d, append(left, right...)
}

// refuseNamed refuses the requests that problems name and returns the others.
func (composer *composer) refuseNamed(batch []*changeRequest, all []problem, mayPass bool) (rest []*changeRequest) {
	for _, r := range batch {
		mine := slices.DeleteFunc(slices.Clone(all), func(one problem) bool { return !r.id.concerns(one) })
		if len(mine) == 0 {
			rest = append(rest, r)
			continue
		}
		composer.refused[r] = refusedChange(r.id, mine, mayPass)
	}
	return rest
}

// tryEdit applies a batch to d and checks the result as the proxy would.
func (composer *composer) tryEdit(d *document, batch []*changeRequest) (*document, []problem, bool) {
	data, err := composer.session.editor.Edit(d.data, edits(d, batch)...)
	var layout *routefile.LayoutError
	switch {
	case errors.As(err, &layout):
		return nil, []problem{{pos: layout.Pos.String(), other: layout.Record, text: layout.Text}}, false
	case err != nil:
		return nil, []problem{{text: err.Error()}}, false
	case string(data) == string(d.data):
		return d, nil, false
	}
	candidate, err := newDocument(composer.ctx, composer.session.file, data, "")
	if err != nil {
		return nil, []problem{{text: err.Error()}}, false
	}
	if all := composer.session.check(composer.ctx, candidate.file); len(all) > 0 {
		return nil, all, true
	}
	return candidate, composer.session.checkOnProxies(composer.ctx, data), false
}

// check validates a file together with context_files.
func (s *session) check(ctx context.Context, file *routefile.File) []problem {
	files, all := s.readContextFiles(ctx)
	errs, err := routefile.CheckContext(ctx, append(files, file)...)
	if err != nil {
		return append(all, problem{text: err.Error()})
	}
	return append(all, problemsOf(errs)...)
}

func (s *session) readContextFiles(ctx context.Context) (files []*routefile.File, all []problem) {
	for _, path := range s.contextFiles {
		data, err := regularfile.Read(path, routefile.MaxBytes)
		if err != nil {
			all = append(all, problem{pos: path, text: err.Error()})
			continue
		}
		f, _, err := routefile.ParseContext(ctx, path, data)
		if err != nil {
			return files, append(all, problem{text: err.Error()})
		}
		files = append(files, f)
	}
	return files, all
}

// checkOnProxies has the proxies check a file before it is written: they see the
// certificates, sockets and ports of their machines. A proxy that does not answer,
// or does not serve a file of this name, is asked after the write only.
func (s *session) checkOnProxies(ctx context.Context, data []byte) []problem {
	ctx, cancel := context.WithTimeout(ctx, min(queryTimeout, s.proxies.timeout/2))
	defer cancel()
	results := make([][]problem, len(s.proxies.proxies))
	var wg sync.WaitGroup
	for i, p := range s.proxies.proxies {
		if p.silent.Load() != nil {
			continue
		}
		wg.Go(func() {
			result, err := p.check(ctx, s.absolutePath(), data)
			if err == nil && !result.OK {
				results[i] = attributedTo(p.address, problemsFrom(result.Mistakes))
			}
		})
	}
	wg.Wait()
	for _, all := range results {
		if len(all) > 0 {
			return all
		}
	}
	return nil
}

func attributedTo(address string, all []problem) []problem {
	for i := range all {
		all[i].proxy = address
	}
	return all
}

func nameTaken(d *document, id recordID) *writeError {
	pos := d.position(id)
	return &writeError{
		summary: "Name already in use", retryable: true,
		problems: []problem{{pos: pos.String(), key: id.prefix() + "." + nameAttribute, text: fmt.Sprintf("%s is in the routes file already: %s", id, importHint(id))}},
	}
}

func (d *document) position(id recordID) routefile.Pos {
	pos, _ := d.file.KeyPos(string(id.section), id.name)
	return pos
}

func changedOutside(d *document, wanted change) *writeError {
	return &writeError{
		summary: "Changed since it was planned",
		detail: fmt.Sprintf("%s: %s was changed outside of Terraform since this plan was made; plan again to see the changes:\n%s",
			d.position(wanted.priorID()), wanted.priorID(), recordDiff(wanted.priorID(), wanted.prior, d.file.Plain(wanted.id.section, wanted.priorName))),
	}
}

func recordDiff(id recordID, before, now routefile.Plain) string {
	printed := func(p routefile.Plain) []byte {
		text, _ := id.section.Print(id.name, id.section.FromPlain(withoutSecrets(p))) // it was parsed from such a text
		return text
	}
	return string(diff.Diff("in the state", printed(before), "in the file now", printed(now)))
}

func refusedChange(id recordID, all []problem, mayPass bool) *writeError {
	e := &writeError{summary: fmt.Sprintf("%s conflicts with the routes file", id), problems: all, retryable: mayPass}
	if by := all[0].proxy; by != "" {
		e.summary = "Rejected by a running proxy"
		e.detail = fmt.Sprintf("the proxy at %q would reject the routes file with this change; it was not written", by)
	}
	return e
}
