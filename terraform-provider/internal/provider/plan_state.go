package provider

// The plans of this run. They are not in the file yet: records that are planned
// together do not see each other there, and a removed one is still there.

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// planState has the plans of one run. Safe for concurrent use.
type planState struct {
	session *session
	checks  coalescer[planCheck]

	mu        sync.Mutex
	records   map[recordID]*plannedRecord // guarded by mu
	removed   map[recordID]bool           // deleted or renamed records; guarded by mu
	deleted   map[recordID]bool           // deleted ones: whether no new route takes their place yet; guarded by mu
	wholeFile bool                        // a resource plans the whole file; guarded by mu
	exchange  exchange                    // guarded by mu
}

// claimWholeFile notes that a resource plans the whole file. It returns false if
// others plan records of it. Terraform plans in any order: the second of the two
// resources reports the conflict.
func (ps *planState) claimWholeFile() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.wholeFile = true
	return len(ps.records) == 0
}

func (ps *planState) wholeFileClaimed() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.wholeFile
}

type plannedRecord struct {
	file      *routefile.File // with the record alone; nil if it is not wholly known
	priorName string          // in the state; "" for a new record
}

func newPlanState(s *session) *planState {
	return &planState{
		session: s, records: map[recordID]*plannedRecord{}, removed: map[recordID]bool{}, deleted: map[recordID]bool{},
		checks: coalescer[planCheck]{delay: 2 * time.Millisecond},
	}
}

// markDeleted notes that a plan deletes a record.
func (ps *planState) markDeleted(id recordID) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.removed[id] = true
	ps.deleted[id] = true
}

// deletedLike is the name of a route that a plan deletes and that has a new one's match
// and target; "" if there is none, or it has been found for another new one.
func (ps *planState) deletedLike(doc *document, keys routefile.Plain) string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for id, free := range ps.deleted {
		if old := doc.file.Plain(id.section, id.name); free && old != nil && id.section == routefile.InRoutes && sameMatchAndTarget(old, keys) {
			ps.deleted[id] = false
			return id.name
		}
	}
	return ""
}

// claim notes a plan. It returns false if another resource of this run has planned
// the same name.
func (ps *planState) claim(id recordID, p *plannedRecord) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if other := ps.records[id]; other != nil && (p.priorName == "" || other.priorName != p.priorName) {
		return false
	}
	ps.records[id] = p
	if p.priorName != "" && p.priorName != id.name {
		ps.removed[recordID{id.section, p.priorName}] = true
	}
	return true
}

// conflicts checks a planned record against the file and the other plans.
func (ps *planState) conflicts(ctx context.Context, rec record, p *plannedRecord) (diags diag.Diagnostics) {
	doc, err := ps.session.reader.read(ctx)
	if err != nil {
		diags.Append(readFailed(ps.session.file, err))
		return diags
	}
	if found := doc.fingerprint(rec.id); p.priorName != rec.id.name && found != "" && !ps.isRemoved(rec.id) {
		if p.priorName == "" && len(rec.unknown) == 0 && found == rec.id.section.Fingerprint(rec.keys) {
			diags.Append(recordTakenOver(rec.id))
		} else {
			diags.Append(alreadyInFile(rec.id, doc.position(rec.id)))
		}
	}
	match := ""
	if p.file != nil {
		match = matchOf(rec.keys)
	}
	diags.Append(ps.addToExchange(doc, rec.id.section, p.priorName, rec.id.name, match)...)
	if p.file == nil {
		return diags
	}
	check, err := ps.checks.do(ctx, func(ctx context.Context) (planCheck, error) { return ps.check(ctx, doc) })
	if err != nil {
		return diags // interrupted
	}
	for _, mistake := range check.problems {
		if rec.id.concerns(mistake) {
			diags.Append(check.diagnose(rec, mistake))
		}
	}
	return diags
}

// planCheck is the result of checking the file together with the plans at one moment.
// A record that is planned later was checked as it is in the file: its plan may
// resolve a problem with it.
type planCheck struct {
	problems []problem
	planned  map[string]bool // the checked plans, as problem.other names them
}

// check checks the file together with the plans so far.
// The error is ctx's cause.
func (ps *planState) check(ctx context.Context, doc *document) (planCheck, error) {
	files, all := ps.session.readContextFiles(ctx)
	base, plans, planned := ps.overlay(doc)
	files = append(files, base)
	errs, err := routefile.CheckContext(ctx, append(files, plans...)...)
	if err != nil {
		return planCheck{}, err
	}
	return planCheck{append(all, problemsOf(errs)...), planned}, nil
}

// overlay returns the file without the planned and removed records, each plan as a
// file of its own, and the names of these plans.
func (ps *planState) overlay(doc *document) (base *routefile.File, plans []*routefile.File, planned map[string]bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	planned = map[string]bool{}
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
	for id := range ps.removed {
		drop(id)
	}
	for id, p := range ps.records {
		if p.file != nil { // an unknown record most likely stays as it is
			drop(id)
			plans = append(plans, p.file)
			planned[id.String()] = true
		}
	}
	return &copied, plans, planned
}

// diagnose makes a conflict with another plan an error. A conflict with the file, or
// a missing reference, is a warning: another resource may change the file first.
func (check planCheck) diagnose(rec record, mistake problem) diag.Diagnostic {
	other := mistake.other
	if other == rec.id.String() {
		other = mistake.record
	}
	if strings.HasPrefix(mistake.pos, "-:") {
		mistake.pos = ""
	}
	switch {
	case other == "":
		return missingReference(rec, mistake)
	case check.planned[other]:
		return conflictInPlan(rec, mistake)
	}
	return conflictWithFile(rec, mistake, other)
}

func (ps *planState) isRemoved(id recordID) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.removed[id]
}
