package cli

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestReloadWaitsForOneCheck, however many wait.
func TestReloadWaitsForOneCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		leaveFirst, err := turns.check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 4)
		judge := func(name string, enter func(context.Context) (func(), error)) {
			go func() {
				leave, err := enter(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				order <- name
				leave()
			}()
			synctest.Wait()
		}
		for range 3 {
			judge("check", turns.check)
		}
		judge("reload", turns.reload)
		if len(order) > 0 {
			t.Error("two judgements at a time")
		}
		leaveFirst()
		synctest.Wait()
		if first := <-order; first != "reload" {
			t.Errorf("the first is a %s", first)
		}
	})
}

func TestTurnEndsWithItsContext(t *testing.T) {
	turns := newTurns()
	leave, err := turns.reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := turns.check(ctx); err != gone {
		t.Errorf("check: %v", err)
	}
	leave()
	if leave, err = turns.check(t.Context()); err != nil {
		t.Fatalf("a check that gave up keeps its turn: %v", err)
	}
	leave()
}
