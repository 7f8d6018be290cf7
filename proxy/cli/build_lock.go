package cli

import "context"

// buildLock lets one set of routes files be checked or built at a time: each takes memory
// by the size of the files, and two at once are no faster than one after the other. A
// reload waits for at most one check, however many wait.
type buildLock struct {
	building chan struct{} // holds a token while a reload or a check runs
	checks   chan struct{} // and while a check runs or is the next
}

func newBuildLock() buildLock {
	return buildLock{building: make(chan struct{}, 1), checks: make(chan struct{}, 1)}
}

// forReload locks for a reload. The error is ctx's cause.
func (l buildLock) forReload(ctx context.Context) (unlock func(), err error) {
	if err := acquire(ctx, l.building); err != nil {
		return nil, err
	}
	return func() { <-l.building }, nil
}

// forCheck locks for a check. The error is ctx's cause.
func (l buildLock) forCheck(ctx context.Context) (unlock func(), err error) {
	if err := acquire(ctx, l.checks); err != nil {
		return nil, err
	}
	if err := acquire(ctx, l.building); err != nil {
		<-l.checks
		return nil, err
	}
	return func() { <-l.building; <-l.checks }, nil
}

func acquire(ctx context.Context, token chan<- struct{}) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case token <- struct{}{}:
		return nil
	}
}
