package cli

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowReader is a log's reader that is blocked until goOn is closed.
type slowReader struct {
	goOn chan struct{}
	got  bytes.Buffer
	n    int
}

func (r *slowReader) Write(p []byte) (int, error) {
	<-r.goOn
	r.n++
	return r.got.Write(p)
}

func TestLogWriterBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowReader{goOn: make(chan struct{})}
		close(reader.goOn)
		l := &logWriter{to: reader}
		var want strings.Builder
		for i := range 100 {
			fmt.Fprintf(l, "line %d\n", i)
			fmt.Fprintf(&want, "line %d\n", i)
		}
		l.flush()
		if got := reader.got.String(); got != want.String() {
			t.Errorf("written: %q", got)
		}
		if reader.n != 1 {
			t.Errorf("%d writes for what came at once, want 1", reader.n)
		}
		l.flush() // nothing to wait for
		fmt.Fprint(l, "last\n")
		l.flush()
		if !strings.HasSuffix(reader.got.String(), "99\nlast\n") {
			t.Error("the line behind a pause is missing")
		}
	})
}

func TestLogWriterNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowReader{goOn: make(chan struct{})}
		l := &logWriter{to: reader}
		l.reportLost = func(lost int) { fmt.Fprintf(l, "%d lines lost\n", lost) }
		line := []byte(strings.Repeat("x", 1023) + "\n")
		for range 2 { // the first batch is being written, the second is pending
			for range maxPending / len(line) {
				_, _ = l.Write(line)
			}
			time.Sleep(2 * batchDelay)
			synctest.Wait()
		}
		for range 7 {
			_, _ = l.Write(line)
		}
		l.flush() // gives up
		close(reader.goOn)
		l.flush()
		got := reader.got.String()
		if n := strings.Count(got, "x\n"); n != 2*maxPending/len(line) {
			t.Errorf("%d lines written, want %d", n, 2*maxPending/len(line))
		}
		if !strings.HasSuffix(got, "\n7 lines lost\n") {
			t.Errorf("it ends with %q, want how many were lost", got[max(0, len(got)-40):])
		}
	})
}

func TestLogWriterConcurrent(t *testing.T) {
	var got bytes.Buffer
	l := &logWriter{to: &got}
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 200 {
				fmt.Fprintf(l, "%s\n", strings.Repeat(string(rune('a'+i)), 50))
			}
		})
	}
	writers.Wait()
	l.flush()
	count := 0
	for line := range strings.Lines(got.String()) {
		if len(line) != 51 || strings.Count(line, line[:1]) != 50 {
			t.Fatalf("broken line %q", line)
		}
		count++
	}
	if count != 8*200 {
		t.Errorf("%d lines, want %d", count, 8*200)
	}
}
