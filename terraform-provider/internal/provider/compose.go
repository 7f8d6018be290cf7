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
func (w *writer) compose(ctx context.Context, base *document, group []*ticket) ([]*ticket, *document, map[*ticket]*failure) {
	c := &composer{session: w.session, ctx: ctx, base: base, refused: map[*ticket]*failure{}}
	var fit []*ticket
	for _, t := range group {
		if f := t.against(base); f != nil {
			c.refused[t] = f
			continue
		}
		fit = append(fit, t)
	}
	candidate, accepted := c.lay(base, fit)
	return accepted, candidate, c.refused
}

// against says why a change cannot be laid over a file: its record is not what
// it was when the change was planned.
func (t *ticket) against(d *document) *failure {
	found, wanted := d.fingerprint(t.id), ""
	if t.want != nil {
		wanted = t.id.section.Fingerprint(t.want)
	}
	t.there = false
	if t.from == "" {
		if found == "" {
			return nil
		}
		return taken(d, t.id)
	}
	now := d.fingerprint(t.old())
	t.there = now != ""
	switch {
	case now == "" || t.id.name == t.from && now == wanted:
		if t.id.name != t.from && found != "" && found != wanted {
			return taken(d, t.id)
		}
		return nil // gone, or as it should be: by hand, or by an apply that was cut short
	case now != t.id.section.Fingerprint(t.was):
		return changedByHand(d, t.change)
	case t.id.name != t.from && found != "":
		return taken(d, t.id)
	}
	return nil
}

// composer lays changes over a file. Not for concurrent use.
type composer struct {
	session *session
	ctx     context.Context
	base    *document
	refused map[*ticket]*failure
}

// lay lays a group over d and returns what comes of those that fit. Those that
// the validator names are left out; when it names nobody, halves are tried, so
// that only the offending changes fail.
func (c *composer) lay(d *document, group []*ticket) (*document, []*ticket) {
	if len(group) == 0 {
		return d, nil
	}
	candidate, all, mayPass := c.try(d, group)
	if len(all) == 0 {
		return candidate, group
	}
	rest := c.refuse(group, all, mayPass)
	if len(rest) < len(group) {
		return c.lay(d, rest)
	}
	if len(group) == 1 {
		c.refused[group[0]] = refusedByFile(group[0].id, all, mayPass)
		return d, nil
	}
	half := len(group) / 2
	d, left := c.lay(d, group[:half])
	d, right := c.lay(d, group[half:])
	return d, append(left, right...)
}

// refuse takes out the tickets that complaints name and returns the others.
func (c *composer) refuse(group []*ticket, all []complaint, mayPass bool) (rest []*ticket) {
	for _, t := range group {
		mine := slices.DeleteFunc(slices.Clone(all), func(one complaint) bool { return !t.id.owns(one) })
		if len(mine) == 0 {
			rest = append(rest, t)
			continue
		}
		c.refused[t] = refusedByFile(t.id, mine, mayPass)
	}
	return rest
}

// try lays a group over d and judges the result as the proxy would.
func (c *composer) try(d *document, group []*ticket) (*document, []complaint, bool) {
	var ops []routefile.Op
	for _, t := range group {
		ops = append(ops, t.ops(t.there)...)
	}
	data, err := c.session.editor.Edit(d.data, ops...)
	var layout *routefile.LayoutError
	switch {
	case errors.As(err, &layout):
		return nil, []complaint{{pos: layout.Pos.String(), other: layout.Record, text: layout.Text}}, false
	case err != nil:
		return nil, []complaint{{text: err.Error()}}, false
	case string(data) == string(d.data):
		return d, nil, false
	}
	candidate := newDocument(c.session.file, data, "")
	if all := c.session.judge(candidate.file); len(all) > 0 {
		return nil, all, true
	}
	return candidate, c.session.askProxies(c.ctx, data), false
}

// judge is the validator on a file beside the ones that are served with it.
func (s *session) judge(file *routefile.File) []complaint {
	files, all := s.beside()
	return append(all, complaintsOf(routefile.Check(append(files, file)...))...)
}

// beside reads the context files.
func (s *session) beside() (files []*routefile.File, all []complaint) {
	for _, path := range s.contextFiles {
		data, err := regularfile.Read(path, routefile.MaxBytes)
		if err != nil {
			all = append(all, complaint{pos: path, text: err.Error()})
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
func (s *session) askProxies(ctx context.Context, data []byte) []complaint {
	ctx, cancel := context.WithTimeout(ctx, s.proxies.timeout)
	defer cancel()
	for _, p := range s.proxies.proxies {
		result, err := p.check(ctx, s.absolute(), data)
		if err == nil && !result.OK {
			return saidBy(p.address, complaintsFrom(result.Mistakes))
		}
	}
	return nil
}

func saidBy(address string, all []complaint) []complaint {
	for i := range all {
		all[i].by = address
	}
	return all
}

// taken is a name that another record has.
func taken(d *document, id recordID) *failure {
	pos := d.position(id)
	return &failure{
		summary: "The name is taken", mayPass: true,
		complaints: []complaint{{pos: pos.String(), key: id.prefix() + "." + nameAttribute, text: fmt.Sprintf("%s stands in the routes file already: %s", id, howToAdopt(id))}},
	}
}

// position is where a record stands.
func (d *document) position(id recordID) routefile.Pos {
	pos, _ := d.file.KeyPos(string(id.section), id.name)
	return pos
}

// changedByHand is a record that somebody else has changed since it was planned.
func changedByHand(d *document, c change) *failure {
	return &failure{
		summary: "Changed since it was planned",
		detail: fmt.Sprintf("%s: somebody else has changed %s since this plan was made; plan again to see what would become of that:\n%s",
			d.position(c.old()), c.old(), difference(c.old(), c.was, d.file.Plain(c.id.section, c.from))),
	}
}

// difference shows what of a record has changed.
func difference(id recordID, before, now routefile.Plain) string {
	printed := func(p routefile.Plain) []byte {
		text, _ := id.section.Print(id.name, id.section.FromPlain(p)) // it was read from such text
		return text
	}
	return string(diff.Diff("planned on", printed(before), "in the file now", printed(now)))
}

func refusedByFile(id recordID, all []complaint, mayPass bool) *failure {
	f := &failure{summary: fmt.Sprintf("%s does not fit into the routes file", id), complaints: all, mayPass: mayPass}
	if by := all[0].by; by != "" {
		f.summary = "Rejected by a running proxy"
		f.detail = fmt.Sprintf("the proxy at %q would refuse the routes file with this change; it was not written", by)
	}
	return f
}
