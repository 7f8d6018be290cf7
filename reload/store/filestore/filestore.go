// Package filestore keeps routes files on a file system.
//
// A [Store] is one file that is read, replaced and watched; writers of any
// number of processes may share it. A [Source] is the set of files and
// directories that a running proxy follows.
//
// # Reading
//
// Only regular files are read, opened so that nothing can block, and up to a
// size. A list of routes that is half written is usually a valid file with fewer
// routes, so a file counts only once it has stopped moving: it is read twice,
// Settle apart, and both readings must agree in content, size, inode and times.
//
// # Writing
//
// A writer takes a lock on a file beside the document (".NAME.lock"), compares
// the revision, and puts a finished, synced file in its place; on Linux it looks at
// what it displaced there, since an editor takes no lock. Symbolic links
// are followed and left as they are; mode and owner are kept.
//
// # Watching
//
// A watch on a file dies when the file is replaced, so the directories are
// watched: the one that holds the file and the one that holds each symbolic link
// on the way to it (Kubernetes swaps the link "..data" and nothing else). Links
// are re-pointed and directories replaced, so the watches are put anew after
// each such event. What no event tells of (files changed on a network file
// system or through shared memory, an ancestor replaced, inotify out of watches)
// is found by comparing contents every Poll.
package filestore

import (
	"log/slog"
	"time"
)

// Options are how files are read and watched. The zero value is meant for use.
type Options struct {
	// MaxSize is the largest file that is read or written, in bytes. 0 means
	// 16 MiB, negative means no limit.
	MaxSize int64
	// Settle is how long a file must have kept still before its content counts,
	// and the least time between two wake-ups. 0 means 75 ms; negative means
	// that the first reading counts.
	Settle time.Duration
	// Poll is how often contents are compared, whatever the file system
	// notifies. 0 means 5 s, negative means never.
	Poll time.Duration
	// NoNotify turns file system notifications off and leaves polling alone.
	NoNotify bool
	// InPlace accepts a write that is not atomic where the file cannot be
	// replaced because it is a mount of its own: its content is overwritten, and
	// a reader, or a crash, may see part of it. Everywhere else writes stay
	// atomic.
	InPlace bool
	// Log receives what an operator should know about the watching, each thing
	// once. nil discards it.
	Log *slog.Logger

	atStep func(step string) // called before each step of a write, for tests
}

const (
	defaultMaxSize = 16 << 20
	defaultSettle  = 75 * time.Millisecond
	defaultPoll    = 5 * time.Second
)

func (o Options) withDefaults() Options {
	if o.MaxSize == 0 {
		o.MaxSize = defaultMaxSize
	}
	if o.Settle == 0 {
		o.Settle = defaultSettle
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.atStep == nil {
		o.atStep = func(string) {}
	}
	return o
}
