package provider

// What is planned in this run: two records that are planned together cannot see
// each other in the file, and one that is about to go still stands there.

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// ledger holds the plans of one run. Safe for concurrent use.
type ledger struct {
	session *session
	checks  shared[[]complaint]

	mu      sync.Mutex
	planned map[recordID]*planned // guarded by mu
	leaving map[recordID]bool     // names that are dropped or renamed away; guarded by mu
	whole   bool                  // a resource plans the whole file; guarded by mu
}

// takeWhole notes that a resource plans the whole file. It returns false when
// others plan records of it. Whoever comes second finds it out, as Terraform plans
// in any order.
func (l *ledger) takeWhole() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole = true
	return len(l.planned) == 0
}

// wholeTaken says that a resource of this run plans the whole file.
func (l *ledger) wholeTaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.whole
}

// planned is one record's plan.
type planned struct {
	file *routefile.File // the record alone; nil while it is not known
	was  string          // the name it has in the state; "" for a new one
}

func newLedger(s *session) *ledger {
	return &ledger{
		session: s, planned: map[recordID]*planned{}, leaving: map[recordID]bool{},
		checks: shared[[]complaint]{gather: 2 * time.Millisecond},
	}
}

// leave notes that a name is given up.
func (l *ledger) leave(id recordID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaving[id] = true
}

// take notes a plan. It returns false when another resource of this run has
// planned that name.
func (l *ledger) take(id recordID, p *planned) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.planned[id]; other != nil && (p.was == "" || other.was != p.was) {
		return false
	}
	l.planned[id] = p
	if p.was != "" && p.was != id.name {
		l.leaving[recordID{id.section, p.was}] = true
	}
	return true
}

// fits says what stands in the way of a planned record: in the file, where it
// may be gone by the time of the apply, and among what else is planned.
func (l *ledger) fits(ctx context.Context, rec record, p *planned) (diags diag.Diagnostics) {
	doc, err := l.session.reader.read(ctx)
	if err != nil {
		diags.Append(unreadable(l.session.file, err))
		return diags
	}
	if p.was != rec.id.name && doc.fingerprint(rec.id) != "" && !l.isLeaving(rec.id) {
		diags.Append(presentAlready(rec.id, doc.position(rec.id)))
	}
	if p.file == nil {
		return diags
	}
	all, err := l.checks.do(ctx, func(context.Context) ([]complaint, error) { return l.check(doc), nil })
	if err != nil {
		return diags // interrupted
	}
	for _, c := range all {
		if rec.id.owns(c) {
			diags.Append(l.weigh(rec, c))
		}
	}
	return diags
}

// check judges the file with everything that is planned so far in it.
func (l *ledger) check(doc *document) []complaint {
	files, all := l.session.beside()
	base, plans := l.overlay(doc)
	files = append(files, base)
	return append(all, complaintsOf(routefile.Check(append(files, plans...)...))...)
}

// overlay is the file without the records that are planned or about to go, and
// the planned ones, each a file of its own.
func (l *ledger) overlay(doc *document) (base *routefile.File, plans []*routefile.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	copied := *doc.file
	copied.Routes, copied.Pools = maps.Clone(doc.file.Routes), maps.Clone(doc.file.Pools)
	drop := func(id recordID) {
		switch id.section {
		case routefile.InRoutes:
			delete(copied.Routes, id.name)
		case routefile.InPools:
			delete(copied.Pools, id.name)
		}
	}
	for id := range l.leaving {
		drop(id)
	}
	for id, p := range l.planned {
		if p.file != nil { // what is not known yet is most likely what it was
			drop(id)
			plans = append(plans, p.file)
		}
	}
	return &copied, plans
}

// weigh tells an error from a warning: what clashes with another plan will clash
// at apply; what stands in the file, or does not stand there yet, may change until then.
func (l *ledger) weigh(rec record, c complaint) diag.Diagnostic {
	other := c.other
	if other == rec.id.String() {
		other = c.record
	}
	if strings.HasPrefix(c.pos, "-:") {
		c.pos = ""
	}
	switch {
	case other == "":
		return notYet(rec, c)
	case l.isPlanned(rec.id.section, other):
		return clashOfPlans(rec, c)
	}
	return clashWithFile(rec, c, other)
}

func (l *ledger) isPlanned(s routefile.Section, record string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.planned {
		if id.section == s && id.String() == record {
			return p.file != nil
		}
	}
	return false
}

func (l *ledger) isLeaving(id recordID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaving[id]
}
