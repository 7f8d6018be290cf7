package cli

// Judgements, one at a time: each takes memory by the size of the files, and two
// take no less time than one after the other.

import "context"

// turns lets one judgement go at a time. A reload waits for no more than the check
// that is under way.
type turns struct {
	judging chan struct{} // a token while somebody judges
	checks  chan struct{} // and while a check does or is the next
}

func newTurns() turns {
	return turns{judging: make(chan struct{}, 1), checks: make(chan struct{}, 1)}
}

// reload waits for a reload's turn, which ends with leave. The error is ctx's cause.
func (t turns) reload(ctx context.Context) (leave func(), err error) {
	if err := enter(ctx, t.judging); err != nil {
		return nil, err
	}
	return func() { <-t.judging }, nil
}

// check waits for the turn of a check behind those that came before.
func (t turns) check(ctx context.Context) (leave func(), err error) {
	if err := enter(ctx, t.checks); err != nil {
		return nil, err
	}
	if err := enter(ctx, t.judging); err != nil {
		<-t.checks
		return nil, err
	}
	return func() { <-t.judging; <-t.checks }, nil
}

func enter(ctx context.Context, room chan<- struct{}) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case room <- struct{}{}:
		return nil
	}
}
