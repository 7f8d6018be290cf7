package provider

// What is planned in this run: two records that are planned together cannot see
// each other in the file, and one that is about to go still stands there.

import (
	"context"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// ledger holds the plans of one run. Safe for concurrent use.
type ledger struct {
	session *session

	mu      sync.Mutex
	planned map[recordID]*planned // guarded by mu
	leaving map[recordID]bool     // names that are dropped or renamed away; guarded by mu
}

// planned is one record's plan.
type planned struct {
	file *routefile.File // the record alone; nil while it is not known
	was  string          // the name it has in the state; "" for a new one
}

func newLedger(s *session) *ledger {
	return &ledger{session: s, planned: map[recordID]*planned{}, leaving: map[recordID]bool{}}
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
	return diags
}

func (l *ledger) isLeaving(id recordID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaving[id]
}
