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
// routes, so a file counts only when it has stopped changing: it is read twice,
// Settle apart, and both readings must be equal in content, size, inode and times.
//
// # Writing
//
// A writer locks a file beside the document (".NAME.lock"), compares the revision, and
// renames a finished, synced file into place. On Linux it compares what it has replaced
// once more, since an editor does not take the lock. Symbolic links are followed and left
// as they are; mode and owner are kept.
//
// # Watching
//
// A watch on a file dies when the file is replaced, so the directories are
// watched: the one that holds the file and the one that holds each symbolic link
// on the way to it (Kubernetes swaps the link "..data" and nothing else). Links change and
// directories are replaced, so the watches are set again after each such event. Changes
// without an event (on a network file system, through shared memory, of an ancestor, or
// when inotify has no watches left) are found by comparing contents every Poll.
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
	// Settle is how long a file must stay the same before its content counts,
	// and the least time between two wake-ups. 0 means 75 ms; negative means
	// that the first reading counts.
	Settle time.Duration
	// Poll is how often contents are compared, whatever the file system
	// notifies. 0 means 5 s, negative means never.
	Poll time.Duration
	// NoNotify turns file system notifications off and leaves polling alone.
	NoNotify bool
	// InPlace allows a write that is not atomic if the file cannot be replaced because
	// it is a mount of its own: its content is overwritten, and a reader may see part of
	// it, as may remain after a crash. All other writes stay atomic.
	InPlace bool
	// Log receives warnings about watching, each once. nil discards them.
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
