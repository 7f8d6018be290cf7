// Waiting until what is read has stopped moving.
package filestore

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// How many pauses of Settle a reading may take. A burst of writes ends; a writer
// that replaces whole contents for ever must not keep everyone from seeing any,
// so after wholeRounds a reading that was still by itself is taken. A file that
// grows from reading to reading is being written, and is never taken; after
// growingRounds that is an error, with the last good content kept by whoever
// reads.
const (
	wholeRounds   = 25  // 1.9 s at the default Settle
	growingRounds = 135 // 10 s
)

var errMoving = errors.New("the file is still being written")

// reading is one look at a set of files: each path with its content or the error
// it gave.
type reading struct {
	files  []file
	inputs string // hash over the extra files
	err    error  // why the set as a whole cannot be had
}

// file is one path of a reading.
type file struct {
	path string
	content
	err error
}

// settle takes readings, Settle apart, until two agree. Errors settle as well: a
// file that is missing for an instant is being replaced.
func settle(ctx context.Context, pause time.Duration, take func() reading) (reading, error) {
	last := take()
	if pause < 0 {
		return last, context.Cause(ctx)
	}
	for round := 1; ; round++ {
		if err := sleep(ctx, pause); err != nil {
			return reading{}, err
		}
		next := take()
		switch {
		case next.agrees(last):
			return next, nil
		case round >= growingRounds:
			return reading{}, errMoving
		case round >= wholeRounds && next.whole(last):
			return next, nil
		}
		last = next
	}
}

// agrees reports whether nothing has moved between two readings.
func (r reading) agrees(last reading) bool {
	if len(r.files) != len(last.files) || r.inputs != last.inputs || text(r.err) != text(last.err) {
		return false
	}
	for i, f := range r.files {
		if !f.agrees(last.files[i]) {
			return false
		}
	}
	return true
}

func (f file) agrees(last file) bool {
	if f.err != nil || last.err != nil {
		return f.path == last.path && text(f.err) == text(last.err)
	}
	return f.path == last.path && f.still && f.id == last.id && f.revision == last.revision
}

// whole reports whether r may be taken although it differs from the reading
// before: no file moved while it was read, and none looks half written.
func (r reading) whole(last reading) bool {
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

// partOf reports whether one content is the beginning of the other, as it is
// while a file grows or just after it was cut. A file that was renamed into
// place was finished before.
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

// sleep waits unless ctx ends.
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
