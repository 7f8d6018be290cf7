package reload

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

// slowly makes Build take a minute for what begins with "slow", unless it is cancelled.
func slowly(s **scene) func(*Options[built]) {
	return func(o *Options[built]) {
		build := o.Build
		o.Build = func(ctx context.Context, snap store.Snapshot, prev *built) (*built, []string, error) {
			if content := string(snap.Documents[0].Data); content[:4] == "slow" {
				select {
				case <-ctx.Done():
					(*s).note("cancelled %q: %v", content, context.Cause(ctx))
					return nil, nil, context.Cause(ctx)
				case <-time.After(time.Minute):
				}
			}
			return build(ctx, snap, prev)
		}
	}
}

func startedSlowly(t *testing.T) *scene {
	var s *scene
	s = newScene(t, "good", slowly(&s))
	if err := s.loop.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.noted()
	return s
}

func (s *scene) wantEvents(want ...string) {
	s.Helper()
	if got := s.noted(); !slices.Equal(got, want) {
		s.Errorf("events %q, want %q", got, want)
	}
}

func (s *scene) end() {
	s.cancel()
	if err := <-s.ended; !errors.Is(err, context.Canceled) {
		s.Errorf("Run: %v", err)
	}
}

func TestLaterChangeCancelsBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startedSlowly(t)
		defer s.end()
		s.source.set("slow one")
		time.Sleep(time.Second)
		s.wantEvents()
		s.source.set("next")
		synctest.Wait()
		s.wantEvents(`cancelled "slow one": superseded by a later change`, `published 2 "next"`)
		if status := s.loop.Status(); status.LastError != nil {
			t.Errorf("a build that was cancelled is told as refused: %v", status.LastError)
		}
	})
}

func TestForeignWakeCancelsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startedSlowly(t)
		defer s.end()
		s.source.set("slow one")
		for range 5 {
			time.Sleep(time.Second)
			signal(s.source.wake)
		}
		time.Sleep(time.Minute)
		s.wantEvents(`published 2 "slow one"`)
	})
}

func TestEndCancelsBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startedSlowly(t)
		s.source.set("slow one")
		time.Sleep(time.Second)
		s.end()
		s.wantEvents(`cancelled "slow one": context canceled`)
	})
}

// A source that changes faster than Build is followed all the same.
func TestChangesDoNotStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startedSlowly(t)
		defer s.end()
		for i := range 100 {
			s.source.set("slow " + string(rune('a'+i%26)))
			time.Sleep(10 * time.Second)
		}
		published := 0
		for _, event := range s.noted() {
			if event[:9] == "published" {
				published++
			}
		}
		if published < 5 {
			t.Errorf("%d of 100 changes in 1000 s were published", published)
		}
	})
}

// Wait returns that what was cancelled is superseded.
func TestWaitForWhatWasCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startedSlowly(t)
		defer s.end()
		s.source.set("slow one")
		time.Sleep(time.Second)
		s.source.set("next")
		verdict, err := s.loop.Wait(t.Context(), store.RevisionOf([]byte("slow one")))
		if err != nil || verdict.Outcome != Superseded {
			t.Errorf("%v, %v", verdict.Outcome, err)
		}
	})
}
