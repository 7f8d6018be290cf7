// Package storetest is the suite that every store.Store passes. An
// implementation's own tests call [Run] and add what is particular to it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

// Document is one document, not yet written, in the store under test.
type Document struct {
	// Open returns another handle to it, as for another process.
	Open func(t *testing.T) store.Store
	// Remove removes it without the store; nil if that is not possible.
	Remove func(t *testing.T)
}

// patience is how long something may take that must happen.
const patience = time.Minute

// Run runs the suite. fresh is called once for each test.
func Run(t *testing.T, fresh func(t *testing.T) Document) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Document)
	}{
		{"missing", testMissing},
		{"create", testCreate},
		{"replace", testReplace},
		{"conflict", testConflict},
		{"same content", testSameContent},
		{"empty", testEmpty},
		{"own copy", testOwnCopy},
		{"binary", testBinary},
		{"removed", testRemoved},
		{"ended context", testEndedContext},
		{"one creator wins", testOneCreatorWins},
		{"concurrent writers", testConcurrentWriters},
		{"watch wakes", testWatchWakes},
		{"watch before there is anything", testWatchBefore},
		{"watch survives removal", testWatchSurvivesRemoval},
		{"watch coalesces", testWatchCoalesces},
		{"watch ends with its context", testWatchEnds},
		{"two watches", testTwoWatches},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

func testMissing(t *testing.T, d Document) {
	_, err := d.Open(t).Read(t.Context())
	if !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Read of nothing: error %v, want one that matches ErrNotExist", err)
	}
	_, err = d.Open(t).Write(t.Context(), []byte("a"), store.RevisionOf([]byte("b")))
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("Write over nothing at a revision: error %v, want one that matches ErrConflict", err)
	}
	_, err = d.Open(t).Read(t.Context())
	if !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Read after a refused Write: error %v, want one that matches ErrNotExist", err)
	}
}

func testCreate(t *testing.T, d Document) {
	s := d.Open(t)
	write(t, s, "one", "")
	wantContent(t, s, "one")
	wantContent(t, d.Open(t), "one")
	wantConflict(t, s, "two", "")
	wantContent(t, s, "one")
}

func testReplace(t *testing.T, d Document) {
	s := d.Open(t)
	rev := write(t, s, "one", "")
	for i := range 5 {
		content := strings.Repeat("line\n", i) + "end\n"
		rev = write(t, s, content, rev)
		wantContent(t, s, content)
	}
}

func testConflict(t *testing.T, d Document) {
	s, other := d.Open(t), d.Open(t)
	one := write(t, s, "one", "")
	two := write(t, other, "two", one)
	wantConflict(t, s, "three", one)
	wantContent(t, s, "two")
	write(t, s, "three", two)
	wantContent(t, other, "three")
}

func testSameContent(t *testing.T, d Document) {
	s := d.Open(t)
	one := write(t, s, "one", "")
	if again := write(t, s, "one", one); again != one {
		t.Errorf("revision %q after writing the same content, want %q", again, one)
	}
	wantConflict(t, s, "one", store.RevisionOf([]byte("another")))
	wantContent(t, s, "one")
}

// An empty document is a document.
func testEmpty(t *testing.T, d Document) {
	s := d.Open(t)
	rev := write(t, s, "", "")
	wantContent(t, s, "")
	wantConflict(t, s, "one", "")
	write(t, s, "one", rev)
	wantContent(t, s, "one")
}

func testOwnCopy(t *testing.T, d Document) {
	s := d.Open(t)
	data := []byte("one")
	if _, err := s.Write(t.Context(), data, ""); err != nil {
		t.Fatal(err)
	}
	copy(data, "???")
	read(t, s).Data[0] = 'Y'
	wantContent(t, s, "one")
}

func testBinary(t *testing.T, d Document) {
	s := d.Open(t)
	all := make([]byte, 256<<10)
	for i := range all {
		all[i] = byte(i * (i >> 8))
	}
	write(t, s, string(all), "")
	if doc := read(t, s); !bytes.Equal(doc.Data, all) {
		t.Errorf("read %d bytes that differ from the %d written", len(doc.Data), len(all))
	}
}

func testRemoved(t *testing.T, d Document) {
	if d.Remove == nil {
		t.Skip("documents of this store cannot be removed")
	}
	s := d.Open(t)
	rev := write(t, s, "one", "")
	d.Remove(t)
	if _, err := s.Read(t.Context()); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Read after removal: error %v, want one that matches ErrNotExist", err)
	}
	wantConflict(t, s, "two", rev)
	write(t, s, "three", "")
	wantContent(t, s, "three")
}

func testEndedContext(t *testing.T, d Document) {
	s := d.Open(t)
	rev := write(t, s, "one", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Write(ctx, []byte("two"), rev); !errors.Is(err, context.Canceled) {
		t.Errorf("Write under an ended context: error %v, want %v", err, context.Canceled)
	}
	if _, err := s.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Read under an ended context: error %v, want %v", err, context.Canceled)
	}
	wantContent(t, s, "one")
}

func testOneCreatorWins(t *testing.T, d Document) {
	const creators = 8
	var wg sync.WaitGroup
	won := make(chan string, creators)
	for i := range creators {
		s := d.Open(t)
		wg.Go(func() {
			content := fmt.Sprintf("creator %d", i)
			_, err := s.Write(t.Context(), []byte(content), "")
			switch {
			case err == nil:
				won <- content
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("%s: %v", content, err)
			}
		})
	}
	wg.Wait()
	close(won)
	var winners []string
	for w := range won {
		winners = append(winners, w)
	}
	if len(winners) != 1 {
		t.Fatalf("winners %q, want one", winners)
	}
	wantContent(t, d.Open(t), winners[0])
}

// Every writer adds its lines one at a time to what it reads. No line may be lost, however
// often they conflict.
func testConcurrentWriters(t *testing.T, d Document) {
	const writers, lines = 6, 5
	write(t, d.Open(t), "", "")
	var wg sync.WaitGroup
	for i := range writers {
		s := d.Open(t)
		wg.Go(func() {
			for j := range lines {
				if err := Append(t.Context(), s, fmt.Sprintf("writer %d line %d\n", i, j)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	content := string(read(t, d.Open(t)).Data)
	for i := range writers {
		for j := range lines {
			if line := fmt.Sprintf("writer %d line %d\n", i, j); strings.Count(content, line) != 1 {
				t.Errorf("line %q is there %d times, want once", line, strings.Count(content, line))
			}
		}
	}
}

// Append adds a line to the document, again after each conflict.
func Append(ctx context.Context, s store.Store, line string) error {
	for {
		doc, err := s.Read(ctx)
		if err != nil {
			return err
		}
		_, err = s.Write(ctx, append(bytes.Clone(doc.Data), line...), doc.Revision)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func testWatchWakes(t *testing.T, d Document) {
	s := d.Open(t)
	rev := write(t, s, "start", "")
	wake := watch(t, d.Open(t))
	for i := range 5 {
		content := fmt.Sprintf("content %d", i)
		rev = write(t, s, content, rev)
		follow(t, s, wake, content)
	}
}

func testWatchBefore(t *testing.T, d Document) {
	s := d.Open(t)
	wake := watch(t, s)
	rev := write(t, s, "one", "")
	follow(t, s, wake, "one")
	write(t, s, "two", rev)
	follow(t, s, wake, "two")
}

func testWatchSurvivesRemoval(t *testing.T, d Document) {
	if d.Remove == nil {
		t.Skip("documents of this store cannot be removed")
	}
	s := d.Open(t)
	write(t, s, "start", "")
	wake := watch(t, s)
	for i := range 3 {
		d.Remove(t)
		followTo(t, wake, "nothing", func() bool {
			_, err := s.Read(t.Context())
			return errors.Is(err, store.ErrNotExist)
		})
		content := fmt.Sprintf("content %d", i)
		write(t, s, content, "")
		follow(t, s, wake, content)
	}
}

// Wake-ups that are not received neither pile up nor block, and the last write is still
// seen.
func testWatchCoalesces(t *testing.T, d Document) {
	s := d.Open(t)
	rev := write(t, s, "start", "")
	wake := watch(t, s)
	for i := range 100 {
		rev = write(t, s, fmt.Sprintf("content %d", i), rev)
	}
	if len(wake) > 1 {
		t.Errorf("%d wake-ups are waiting, want at most one", len(wake))
	}
	follow(t, s, wake, "content 99")
	write(t, s, "after", rev)
	follow(t, s, wake, "after")
}

func testWatchEnds(t *testing.T, d Document) {
	ctx, cancel := context.WithCancel(t.Context())
	wake, err := d.Open(t).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	deadline := time.After(patience)
	for {
		select {
		case _, open := <-wake:
			if !open {
				return
			}
		case <-deadline:
			t.Fatal("the channel is still open after the context ended, want it closed")
		}
	}
}

func testTwoWatches(t *testing.T, d Document) {
	s := d.Open(t)
	rev := write(t, s, "start", "")
	first, second := watch(t, s), watch(t, s)
	write(t, s, "one", rev)
	follow(t, s, first, "one")
	follow(t, s, second, "one")
}

func read(t *testing.T, s store.Store) store.Document {
	t.Helper()
	doc, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func write(t *testing.T, s store.Store, content, prev string) string {
	t.Helper()
	rev, err := s.Write(t.Context(), []byte(content), prev)
	if err != nil {
		t.Fatal(err)
	}
	if want := store.RevisionOf([]byte(content)); rev != want {
		t.Fatalf("Write returned revision %q, want %q", rev, want)
	}
	return rev
}

func wantContent(t *testing.T, s store.Store, content string) {
	t.Helper()
	doc := read(t, s)
	if string(doc.Data) != content {
		t.Errorf("read %q, want %q", doc.Data, content)
	}
	if want := store.RevisionOf(doc.Data); doc.Revision != want {
		t.Errorf("read revision %q, want %q", doc.Revision, want)
	}
}

func wantConflict(t *testing.T, s store.Store, content, prev string) {
	t.Helper()
	if _, err := s.Write(t.Context(), []byte(content), prev); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Write at revision %q: error %v, want one that matches ErrConflict", prev, err)
	}
}

// watch watches until the end of the test, and then waits for the end of the watch.
func watch(t *testing.T, s store.Store) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	wake, err := s.Watch(ctx)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for range wake { // until it is closed
		}
	})
	return wake
}

// follow reads only at wake-ups, until content is there.
func follow(t *testing.T, s store.Store, wake <-chan struct{}, content string) {
	t.Helper()
	followTo(t, wake, fmt.Sprintf("%q", content), func() bool {
		doc, err := s.Read(t.Context())
		return err == nil && string(doc.Data) == content
	})
}

func followTo(t *testing.T, wake <-chan struct{}, what string, reached func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, open := <-wake:
			if !open {
				t.Fatal("the watch has ended before its context")
			}
			if reached() {
				return
			}
		case <-deadline:
			t.Fatalf("no wake-up led to %s", what)
		}
	}
}
