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
type planState struct {
	session  *session
	problems coalescer[[]problem]

	mu        sync.Mutex
	records   map[recordID]*plannedRecord // guarded by mu
	removed   map[recordID]bool           // names that are dropped or renamed away; guarded by mu
	wholeFile bool                        // a resource plans the whole file; guarded by mu
}

// takeWhole notes that a resource plans the whole file. It returns false when
// others plan records of it. Whoever comes second finds it out, as Terraform plans
// in any order.
func (l *planState) claimWholeFile() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wholeFile = true
	return len(l.records) == 0
}

// wholeTaken says that a resource of this run plans the whole file.
func (l *planState) wholeFileClaimed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wholeFile
}

// planned is one record's plan.
type plannedRecord struct {
	file      *routefile.File // the record alone; nil while it is not known
	priorName string          // the name it has in the state; "" for a new one
}

func newPlanState(s *session) *planState {
	return &planState{
		session: s, records: map[recordID]*plannedRecord{}, removed: map[recordID]bool{},
		problems: coalescer[[]problem]{delay: 2 * time.Millisecond},
	}
}

// leave notes that a name is given up.
func (l *planState) markRemoved(id recordID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed[id] = true
}

// take notes a plan. It returns false when another resource of this run has
// planned that name.
func (l *planState) claim(id recordID, p *plannedRecord) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.records[id]; other != nil && (p.priorName == "" || other.priorName != p.priorName) {
		return false
	}
	l.records[id] = p
	if p.priorName != "" && p.priorName != id.name {
		l.removed[recordID{id.section, p.priorName}] = true
	}
	return true
}

// fits says what stands in the way of a planned record: in the file, where it
// may be gone by the time of the apply, and among what else is planned.
func (l *planState) conflicts(ctx context.Context, rec record, p *plannedRecord) (diags diag.Diagnostics) {
	doc, err := l.session.reader.read(ctx)
	if err != nil {
		diags.Append(readFailed(l.session.file, err))
		return diags
	}
	if p.priorName != rec.id.name && doc.fingerprint(rec.id) != "" && !l.isRemoved(rec.id) {
		diags.Append(alreadyInFile(rec.id, doc.position(rec.id)))
	}
	if p.file == nil {
		return diags
	}
	all, err := l.problems.do(ctx, func(context.Context) ([]problem, error) { return l.check(doc), nil })
	if err != nil {
		return diags // interrupted
	}
	for _, c := range all {
		if rec.id.concerns(c) {
			diags.Append(l.diagnose(rec, c))
		}
	}
	return diags
}

// check judges the file with everything that is planned so far in it.
func (l *planState) check(doc *document) []problem {
	files, all := l.session.readContextFiles()
	base, plans := l.overlay(doc)
	files = append(files, base)
	return append(all, problemsOf(routefile.Check(append(files, plans...)...))...)
}

// overlay is the file without the records that are planned or about to go, and
// the planned ones, each a file of its own.
func (l *planState) overlay(doc *document) (base *routefile.File, plans []*routefile.File) {
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
	for id := range l.removed {
		drop(id)
	}
	for id, p := range l.records {
		if p.file != nil { // what is not known yet is most likely what it was
			drop(id)
			plans = append(plans, p.file)
		}
	}
	return &copied, plans
}

// weigh tells an error from a warning: what clashes with another plan will clash
// at apply; what stands in the file, or does not stand there yet, may change until then.
func (l *planState) diagnose(rec record, c problem) diag.Diagnostic {
	other := c.other
	if other == rec.id.String() {
		other = c.record
	}
	if strings.HasPrefix(c.pos, "-:") {
		c.pos = ""
	}
	switch {
	case other == "":
		return missingReference(rec, c)
	case l.isPlanned(rec.id.section, other):
		return conflictInPlan(rec, c)
	}
	return conflictWithFile(rec, c, other)
}

func (l *planState) isPlanned(s routefile.Section, record string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.records {
		if id.section == s && id.String() == record {
			return p.file != nil
		}
	}
	return false
}

func (l *planState) isRemoved(id recordID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.removed[id]
}
