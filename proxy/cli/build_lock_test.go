package cli

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestReloadWaitsForOneCheck: a reload goes before all other checks that wait.
func TestReloadWaitsForOneCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lock := newBuildLock()
		unlockFirst, err := lock.forCheck(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 4)
		run := func(name string, acquire func(context.Context) (func(), error)) {
			go func() {
				unlock, err := acquire(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				order <- name
				unlock()
			}()
			synctest.Wait()
		}
		for range 3 {
			run("check", lock.forCheck)
		}
		run("reload", lock.forReload)
		if len(order) > 0 {
			t.Error("two runments at a time")
		}
		unlockFirst()
		synctest.Wait()
		if first := <-order; first != "reload" {
			t.Errorf("the first is a %s", first)
		}
	})
}

func TestBuildLockContext(t *testing.T) {
	lock := newBuildLock()
	unlock, err := lock.forReload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := lock.forCheck(ctx); err != gone {
		t.Errorf("check: %v", err)
	}
	unlock()
	if unlock, err = lock.forCheck(t.Context()); err != nil {
		t.Fatalf("a check that gave up holds the lock: %v", err)
	}
	unlock()
}
