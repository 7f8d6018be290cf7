package e2e

// The proxy's log, as it comes: one JSON object a line. Waiting for a line is
// how a scenario waits for anything.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// line is one line of the log. Numbers are json.Number.
type line map[string]any

// text is the field's value as text, "" when the line does not have it.
func (l line) text(key string) string {
	value, ok := l[key]
	if !ok {
		return ""
	}
	return fmt.Sprint(value)
}

// number is the field's value, which must be a whole number.
func (l line) number(t testing.TB, key string) int64 {
	t.Helper()
	var n int64
	if _, err := fmt.Sscan(l.text(key), &n); err != nil {
		t.Fatalf("log line %v: %s is %q, wanted a number", l, key, l.text(key))
	}
	return n
}

// fields are the values that a line must have; others do not matter. They are
// compared as text, so that 1012 is the log's 1012.
type fields map[string]any

func (f fields) match(l line) bool {
	for key, want := range f {
		if _, ok := l[key]; !ok || l.text(key) != fmt.Sprint(want) {
			return false
		}
	}
	return true
}

// logbook collects the log of one process. One goroutine writes it (collect);
// its other methods may be called concurrently.
type logbook struct {
	mu    sync.Mutex // guards what follows
	lines []line
	noise []string      // lines that were not JSON
	more  chan struct{} // closed and replaced when anything came
	ended bool
}

func newLogbook() *logbook { return &logbook{more: make(chan struct{})} }

// collect reads the process's standard error until it ends.
func (b *logbook) collect(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		raw, err := in.ReadBytes('\n')
		// A process that ends waits for two seconds at most for a reader that is behind: its
		// last line may break off.
		brokenOff := err != nil && bytes.HasPrefix(raw, []byte("{"))
		if len(raw) > 0 && !brokenOff {
			b.add(raw)
		}
		if err != nil {
			b.end()
			return
		}
	}
}

func (b *logbook) add(raw []byte) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	entry := line{}
	err := decoder.Decode(&entry)

	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.noise = append(b.noise, strings.TrimRight(string(raw), "\n"))
	} else {
		b.lines = append(b.lines, entry)
	}
	b.wakeLocked()
}

func (b *logbook) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.wakeLocked()
}

func (b *logbook) wakeLocked() {
	close(b.more)
	b.more = make(chan struct{})
}

// all are the lines so far.
func (b *logbook) all() []line {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines)
}

// mark is a place in the log: what stands before it is not looked at.
type mark int

func (b *logbook) mark() mark {
	b.mu.Lock()
	defer b.mu.Unlock()
	return mark(len(b.lines))
}

// find returns the lines from m on with this message and these fields, whether
// the log has ended, and a channel that is closed when there is more to see.
func (b *logbook) find(m mark, message string, f fields) (found []line, ended bool, more <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, entry := range b.lines[m:] {
		if entry.text("msg") == message && f.match(entry) {
			found = append(found, entry)
		}
	}
	return found, b.ended, b.more
}

// wait returns once n lines from m on match, or with an error when the log ends
// or patience does.
func (b *logbook) wait(m mark, n int, message string, f fields) ([]line, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		found, ended, more := b.find(m, message, f)
		if len(found) >= n {
			return found, nil
		}
		if ended {
			return found, fmt.Errorf("the log ended with %d lines %q %v, wanted %d", len(found), message, f, n)
		}
		select {
		case <-more:
		case <-late.C:
			return found, fmt.Errorf("%d lines %q %v after %v, wanted %d", len(found), message, f, patience, n)
		}
	}
}

// other is every line that was not JSON.
func (b *logbook) other() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.noise)
}

// allowNoise forgets what was printed beside the log, where that is as it should be.
func (b *logbook) allowNoise() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.noise = nil
}

// dump prints the whole log, for a failed test.
func (b *logbook) dump(t testing.TB, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	for _, entry := range b.lines {
		encoded, _ := json.Marshal(entry) // it was decoded from JSON
		fmt.Fprintf(&out, "  %s\n", encoded)
	}
	for _, noise := range b.noise {
		fmt.Fprintf(&out, "  not JSON: %s\n", noise)
	}
	t.Logf("log of %s:\n%s", name, out.String())
}
