package provider

// Laying a group of changes over a file: which of them fit, which are refused,
// and why.

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// compose lays a group over base. It returns the tickets that fit, with the file
// that holds them (base itself if nothing changes), and why the others do not.
func (w *writer) compose(ctx context.Context, base *document, group []*changeRequest) ([]*changeRequest, *document, map[*changeRequest]*writeError) {
	c := &composer{session: w.session, ctx: ctx, base: base, refused: map[*changeRequest]*writeError{}}
	var fit []*changeRequest
	for _, t := range group {
		if f := t.conflictWith(base); f != nil {
			c.refused[t] = f
			continue
		}
		fit = append(fit, t)
	}
	candidate, accepted := c.merge(base, fit)
	return accepted, candidate, c.refused
}

// against says why a change cannot be laid over a file: its record is not what
// it was when the change was planned.
func (t *changeRequest) conflictWith(d *document) *writeError {
	found, wanted := d.fingerprint(t.id), ""
	if t.desired != nil {
		wanted = t.id.section.Fingerprint(t.desired)
	}
	t.existed = false
	if t.priorName == "" {
		if found == "" {
			return nil
		}
		return nameTaken(d, t.id)
	}
	now := d.fingerprint(t.priorID())
	t.existed = now != ""
	switch {
	case now == "" || t.id.name == t.priorName && now == wanted:
		if t.id.name != t.priorName && found != "" && found != wanted {
			return nameTaken(d, t.id)
		}
		return nil // gone, or as it should be: by hand, or by an apply that was cut short
	case now != t.id.section.Fingerprint(t.prior):
		return changedOutside(d, t.change)
	case t.id.name != t.priorName && found != "":
		return nameTaken(d, t.id)
	}
	return nil
}

// composer lays changes over a file. Not for concurrent use.
type composer struct {
	session *session
	ctx     context.Context
	base    *document
	refused map[*changeRequest]*writeError
}

// lay lays a group over d and returns what comes of those that fit. Those that
// the validator names are left out; when it names nobody, halves are tried, so
// that only the offending changes fail.
func (c *composer) merge(d *document, group []*changeRequest) (*document, []*changeRequest) {
	if len(group) == 0 {
		return d, nil
	}
	candidate, all, mayPass := c.tryEdit(d, group)
	if len(all) == 0 {
		return candidate, group
	}
	rest := c.refuseNamed(group, all, mayPass)
	if len(rest) < len(group) {
		return c.merge(d, rest)
	}
	if len(group) == 1 {
		c.refused[group[0]] = refusedChange(group[0].id, all, mayPass)
		return d, nil
	}
	half := len(group) / 2
	d, left := c.merge(d, group[:half])
	d, right := c.merge(d, group[half:])
	return d, append(left, right...)
}

// refuse takes out the tickets that complaints name and returns the others.
func (c *composer) refuseNamed(group []*changeRequest, all []problem, mayPass bool) (rest []*changeRequest) {
	for _, t := range group {
		mine := slices.DeleteFunc(slices.Clone(all), func(one problem) bool { return !t.id.concerns(one) })
		if len(mine) == 0 {
			rest = append(rest, t)
			continue
		}
		c.refused[t] = refusedChange(t.id, mine, mayPass)
	}
	return rest
}

// try lays a group over d and judges the result as the proxy would.
func (c *composer) tryEdit(d *document, group []*changeRequest) (*document, []problem, bool) {
	var ops []routefile.Op
	for _, t := range group {
		ops = append(ops, t.edits(t.existed)...)
	}
	data, err := c.session.editor.Edit(d.data, ops...)
	var layout *routefile.LayoutError
	switch {
	case errors.As(err, &layout):
		return nil, []problem{{pos: layout.Pos.String(), other: layout.Record, text: layout.Text}}, false
	case err != nil:
		return nil, []problem{{text: err.Error()}}, false
	case string(data) == string(d.data):
		return d, nil, false
	}
	candidate := newDocument(c.session.file, data, "")
	if all := c.session.check(candidate.file); len(all) > 0 {
		return nil, all, true
	}
	return candidate, c.session.checkOnProxies(c.ctx, data), false
}

// judge is the validator on a file beside the ones that are served with it.
func (s *session) check(file *routefile.File) []problem {
	files, all := s.readContextFiles()
	return append(all, problemsOf(routefile.Check(append(files, file)...))...)
}

// beside reads the context files.
func (s *session) readContextFiles() (files []*routefile.File, all []problem) {
	for _, path := range s.contextFiles {
		data, err := regularfile.Read(path, routefile.MaxBytes)
		if err != nil {
			all = append(all, problem{pos: path, text: err.Error()})
			continue
		}
		f, _ := routefile.Parse(path, data)
		files = append(files, f)
	}
	return files, all
}

// askProxies lets the proxies judge a file before it is written: they see the
// certificates, sockets and ports of their machines. One that does not answer,
// or does not serve the file by this name, is asked again after the write.
func (s *session) checkOnProxies(ctx context.Context, data []byte) []problem {
	ctx, cancel := context.WithTimeout(ctx, s.proxies.timeout)
	defer cancel()
	for _, p := range s.proxies.proxies {
		result, err := p.check(ctx, s.absolutePath(), data)
		if err == nil && !result.OK {
			return attributedTo(p.address, problemsFrom(result.Mistakes))
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

// taken is a name that another record has.
func nameTaken(d *document, id recordID) *writeError {
	pos := d.position(id)
	return &writeError{
		summary: "The name is taken", retryable: true,
		problems: []problem{{pos: pos.String(), key: id.prefix() + "." + nameAttribute, text: fmt.Sprintf("%s stands in the routes file already: %s", id, importHint(id))}},
	}
}

// position is where a record stands.
func (d *document) position(id recordID) routefile.Pos {
	pos, _ := d.file.KeyPos(string(id.section), id.name)
	return pos
}

// changedByHand is a record that somebody else has changed since it was planned.
func changedOutside(d *document, c change) *writeError {
	return &writeError{
		summary: "Changed since it was planned",
		detail: fmt.Sprintf("%s: somebody else has changed %s since this plan was made; plan again to see what would become of that:\n%s",
			d.position(c.priorID()), c.priorID(), recordDiff(c.priorID(), c.prior, d.file.Plain(c.id.section, c.priorName))),
	}
}

// difference shows what of a record has changed.
func recordDiff(id recordID, before, now routefile.Plain) string {
	printed := func(p routefile.Plain) []byte {
		text, _ := id.section.Print(id.name, id.section.FromPlain(p)) // it was read from such text
		return text
	}
	return string(diff.Diff("planned on", printed(before), "in the file now", printed(now)))
}

func refusedChange(id recordID, all []problem, mayPass bool) *writeError {
	f := &writeError{summary: fmt.Sprintf("%s does not fit into the routes file", id), problems: all, retryable: mayPass}
	if by := all[0].proxy; by != "" {
		f.summary = "Rejected by a running proxy"
		f.detail = fmt.Sprintf("the proxy at %q would refuse the routes file with this change; it was not written", by)
	}
	return f
}
