// Package store is where routes files live: a file system, or a key-value
// store shared by a fleet. A [Store] holds one document and is read, replaced
// and watched; every implementation passes the suite in storetest.
//
// A [Source] is the reading side that a running proxy follows: it may span
// several documents (files and directories of files).
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Document is one routes file's bytes as they stood at one moment.
type Document struct {
	Path     string // where it was read; for messages and for resolving paths inside it
	Data     []byte
	Revision string // RevisionOf(Data)
}

// RevisionOf is the sha256 of the content in hex: what a revision is everywhere.
func RevisionOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ErrConflict says that the document is not at the revision the writer expected.
var ErrConflict = errors.New("the document has changed since it was read")

// ErrNotExist says that there is no document. It also matches fs.ErrNotExist
// where the store is a file system.
var ErrNotExist = errors.New("the document does not exist")

// Store holds one document. Safe for concurrent use, by several processes too.
type Store interface {
	// Read returns the document, or an error that matches ErrNotExist.
	Read(context.Context) (Document, error)
	// Write replaces the document if its revision still is prev ("" = it must
	// not exist), atomically, and returns the new revision. Otherwise the error
	// matches ErrConflict and nothing has changed.
	Write(ctx context.Context, data []byte, prev string) (revision string, err error)
	// Watch sends on the returned channel whenever the document may have
	// changed; wake-ups may be spurious and are coalesced. It watches until ctx
	// is done, whatever happens to the document; then the channel is closed.
	Watch(context.Context) (<-chan struct{}, error)
}

// Snapshot is everything a Source holds at one moment.
type Snapshot struct {
	Documents []Document // sorted by Path
	// Revision is the document's own for one named document; for anything else
	// the hash of the sorted (path, revision) pairs.
	Revision string
	// Inputs is a hash over the contents of the extra files named with Also
	// (certificates and the like): a change in them is a change too.
	Inputs string
}

// Source is what a reload loop follows.
type Source interface {
	// Read returns a settled snapshot, or an error that names the path.
	Read(context.Context) (Snapshot, error)
	// Also replaces the list of extra files whose changes count.
	Also(paths []string)
	// Watch is as Store's.
	Watch(context.Context) (<-chan struct{}, error)
}
