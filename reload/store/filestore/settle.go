// Waiting until files have stopped changing.
package filestore

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// How many pauses of Settle a reading may take. Most bursts of writes end. If a writer
// replaces whole contents for ever, a reading that was still by itself is taken after
// stillRounds. A file that grows from reading to reading is being written and is never
// taken; after growingRounds that is an error.
const (
	stillRounds   = 25  // 1.9 s at the default Settle
	growingRounds = 135 // 10 s
)

var errMoving = errors.New("the file is still being written")

// reading is a set of files read once: each path with its content or error.
type reading struct {
	files  []file
	inputs string // hash over the extra files
	err    error  // why the set as a whole could not be read
}

// file is one path of a reading.
type file struct {
	path string
	content
	err error
}

// settle calls take, with pauses, until two readings are equal. Errors must be equal too: a
// file that is missing for an instant is being replaced.
func settle(ctx context.Context, pause time.Duration, readOnce func() reading) (reading, error) {
	last := readOnce()
	if pause < 0 {
		return last, context.Cause(ctx)
	}
	for round := 1; ; round++ {
		if err := sleep(ctx, pause); err != nil {
			return reading{}, err
		}
		next := readOnce()
		switch {
		case next.equals(last):
			return next, nil
		case round >= growingRounds:
			return reading{}, errMoving
		case round >= stillRounds && next.isWhole(last):
			return next, nil
		}
		last = next
	}
}

// equals reports whether nothing has changed between two readings.
func (r reading) equals(last reading) bool {
	if len(r.files) != len(last.files) || r.inputs != last.inputs || text(r.err) != text(last.err) {
		return false
	}
	for i, f := range r.files {
		if !f.equals(last.files[i]) {
			return false
		}
	}
	return true
}

func (f file) equals(last file) bool {
	if f.err != nil || last.err != nil {
		return f.path == last.path && text(f.err) == text(last.err)
	}
	return f.path == last.path && f.still && f.id == last.id && f.revision == last.revision
}

// isWhole reports whether r may be taken although it differs from the reading before: no
// file changed while it was read, and none looks half written.
func (r reading) isWhole(last reading) bool {
	before := make(map[string]file, len(last.files))
	for _, f := range last.files {
		before[f.path] = f
	}
	for _, f := range r.files {
		if f.err == nil && (!f.still || f.partOf(before[f.path])) {
			return false
		}
	}
	return true
}

// partOf reports whether one content is the beginning of the other, as when a file grows
// or was just truncated. A file that was renamed into place was finished before.
func (f file) partOf(last file) bool {
	if f.revision == last.revision || f.id.ino != last.id.ino || last.err != nil {
		return false
	}
	return bytes.HasPrefix(f.data, last.data) || bytes.HasPrefix(last.data, f.data)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// sleep returns ctx's cause if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
