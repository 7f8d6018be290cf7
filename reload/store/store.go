// Package store says how routes files are stored. A [Store] holds one document, which is
// read, replaced and watched; every implementation passes the suite in storetest. A
// [Source] is what a running proxy follows: one or more documents (files and directories
// of files).
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Document is the content of one routes file at one moment.
type Document struct {
	Path     string // where it was read; for messages and for resolving paths inside it
	Data     []byte
	Revision string // RevisionOf(Data)
}

// RevisionOf returns the revision of a content: its sha256 in hex.
func RevisionOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ErrConflict says that the document is not at the revision the writer expected.
var ErrConflict = errors.New("the document has changed since it was read")

// ErrNotExist says that there is no document.
var ErrNotExist = errors.New("the document does not exist")

// Store holds one document. Safe for concurrent use, by several processes too.
type Store interface {
	// Read returns the document, or an error that matches ErrNotExist.
	Read(context.Context) (Document, error)
	// Write replaces the document if its revision still is prev ("" = it must
	// not exist), atomically, and returns the new revision. Otherwise the error
	// matches ErrConflict and nothing has changed.
	Write(ctx context.Context, data []byte, prev string) (revision string, err error)
	// Watch sends on the returned channel whenever the document may have changed.
	// Wake-ups may be spurious and are coalesced. It watches until ctx is done, even
	// while there is no document, and then closes the channel.
	Watch(context.Context) (<-chan struct{}, error)
}

// Snapshot is everything a Source holds at one moment.
type Snapshot struct {
	Documents []Document // sorted by Path
	// Revision is that of the document if the source is one document, and else the hash
	// of the sorted (path, revision) pairs.
	Revision string
	// Inputs is a hash over the contents of the extra files (see Also).
	Inputs string
}

// Source is what a reload loop follows.
type Source interface {
	// Read returns a settled snapshot, or an error that names the path.
	Read(context.Context) (Snapshot, error)
	// Also replaces the list of extra files, such as certificates, whose changes count.
	Also(paths []string)
	// Watch is as Store's.
	Watch(context.Context) (<-chan struct{}, error)
}
