// What Wait answers.
package reload

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

func revision(content string) string { return store.RevisionOf([]byte(content)) }

func (s *scene) wantVerdict(content string, want Outcome) Verdict {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	v, err := s.loop.Wait(ctx, revision(content))
	if err != nil || v.Outcome != want {
		s.Errorf("Wait for %q: %v, %v, want %v", content, v.Outcome, err, want)
	}
	return v
}

func TestWait(t *testing.T) {
	for name, script := range map[string]func(*scene){
		"served": func(s *scene) {
			if v := s.wantVerdict("one", Served); v.Generation.Number != 1 {
				s.Errorf("generation %+v, want 1", v.Generation)
			}
		},
		"written without a wake-up": func(s *scene) {
			s.source.change(func() { s.source.data = "two" })
			s.wantVerdict("two", Served)
			s.serves("two")
		},
		"rejected": func(s *scene) {
			s.source.set("bad line")
			if v := s.wantVerdict("bad line", Rejected); v.Refusal.Err.Error() != "bad line" || v.Generation.Number != 1 {
				s.Errorf("verdict %+v, want the refusal and generation 1", v)
			}
		},
		"served while something else is refused": func(s *scene) {
			s.source.set("bad line")
			s.wantVerdict("bad line", Rejected)
			s.wantVerdict("one", Served)
		},
		"superseded": func(s *scene) {
			s.source.set("two")
			s.wantVerdict("two", Served)
			s.wantVerdict("one", Superseded)
			s.source.set("bad line")
			s.wantVerdict("bad line", Rejected)
			s.source.set("two")
			s.wantVerdict("bad line", Superseded)
		},
		"written again": func(s *scene) {
			s.source.set("two")
			s.wantVerdict("two", Served)
			s.source.change(func() { s.source.data = "one" }) // superseded a moment ago, and now on its way
			s.wantVerdict("one", Served)
		},
		"not there yet": func(s *scene) {
			ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
			defer cancel()
			if v, err := s.loop.Wait(ctx, revision("later")); !errors.Is(err, context.DeadlineExceeded) {
				s.Errorf("Wait for what never comes: %v, %v, want %v", v, err, context.DeadlineExceeded)
			}
			go func() {
				time.Sleep(10 * time.Second) // faked
				s.source.set("later")
			}()
			s.wantVerdict("later", Served)
		},
		"nobody knows while the source is away": func(s *scene) {
			s.source.set("two")
			s.wantVerdict("two", Served)
			s.source.fail("gone")
			go func() {
				time.Sleep(10 * time.Second) // faked
				s.source.set("one")
			}()
			s.wantVerdict("one", Served)
		},
		"a verdict comes after the callbacks": func(s *scene) {
			s.source.set("bad line")
			s.wantVerdict("bad line", Rejected)
			s.after(0, "published 1 \"one\"", "refused bad line")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, "one")
				if err := s.loop.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.run()
				script(s)
				s.stop()
			})
		})
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var h history
	for i := range 3 * longestHistory {
		h.add(sighting{set: string(rune('A' + i))})
		h.add(sighting{set: string(rune('A' + i))})
		h.add(sighting{})
	}
	if len(h) != longestHistory || h.has("A") || !h.has(string(rune('A'+3*longestHistory-1))) {
		t.Errorf("history %v, want the last %d", h, longestHistory)
	}
}
