// What the loop reports: generations, refusals and its status.
package reload

import (
	"fmt"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

// Generation names one published value.
type Generation struct {
	Number    uint64 // 1 for the first value, one more for each publication
	Revision  string // the snapshot's Revision
	Inputs    string // the snapshot's Inputs
	Documents []DocumentRevision
	LoadedAt  time.Time // when the value was put in place
}

// DocumentRevision names one document of a snapshot, without its bytes.
type DocumentRevision struct {
	Path     string
	Revision string
}

// Refusal says why what the source holds now is not served.
type Refusal struct {
	Err       error
	Revision  string             // of the snapshot that was refused; "" when it could not be read
	Inputs    string             // likewise
	Documents []DocumentRevision // likewise
	At        time.Time          // when this refusal was first seen
}

// same reports whether two refusals say the same to an operator.
func (r Refusal) same(other Refusal) bool {
	return r.Revision == other.Revision && r.Inputs == other.Inputs && r.Err.Error() == other.Err.Error()
}

// Status is the loop's state at one moment. The zero Generation means that
// nothing has been published yet.
type Status struct {
	Generation uint64
	Revision   string // of the value that is served
	Inputs     string
	Documents  []DocumentRevision
	LoadedAt   time.Time

	// LastError is nil while what the source holds is what is served. The
	// fields after it are zero then too.
	LastError        error
	RefusedRevision  string // "" when the source could not be read
	RefusedInputs    string
	RefusedDocuments []DocumentRevision
	RefusedAt        time.Time

	CheckedAt time.Time // when the source was last read, with whatever outcome
	Refusals  uint64    // how many distinct refusals there have been
}

func (s *Status) setGeneration(g Generation) {
	s.Generation, s.Revision, s.Inputs, s.Documents, s.LoadedAt = g.Number, g.Revision, g.Inputs, g.Documents, g.LoadedAt
}

func (s *Status) generation() Generation {
	return Generation{s.Generation, s.Revision, s.Inputs, s.Documents, s.LoadedAt}
}

func (s *Status) setRefusal(r Refusal) {
	s.LastError, s.RefusedRevision, s.RefusedInputs, s.RefusedDocuments, s.RefusedAt = r.Err, r.Revision, r.Inputs, r.Documents, r.At
	s.Refusals++
}

func (s *Status) clearRefusal() {
	s.LastError, s.RefusedRevision, s.RefusedInputs, s.RefusedDocuments, s.RefusedAt = nil, "", "", nil, time.Time{}
}

func (s *Status) refusal() (Refusal, bool) {
	return Refusal{s.LastError, s.RefusedRevision, s.RefusedInputs, s.RefusedDocuments, s.RefusedAt}, s.LastError != nil
}

// PanicError is what a Build that panicked is refused with.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // of the goroutine at the panic; not part of the text, which must not vary
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic while building: %v", e.Value) }

// documentRevisions drops the bytes, so that a status never pins them.
func documentRevisions(docs []store.Document) []DocumentRevision {
	revs := make([]DocumentRevision, 0, len(docs))
	for _, d := range docs {
		revs = append(revs, DocumentRevision{Path: d.Path, Revision: d.Revision})
	}
	return revs
}

// holds reports whether revision is the set's own or one of its documents'.
func holds(set string, docs []DocumentRevision, revision string) bool {
	return set == revision || slices.ContainsFunc(docs, func(d DocumentRevision) bool { return d.Revision == revision })
}
