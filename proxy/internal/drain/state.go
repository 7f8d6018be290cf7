package drain

// The state of one tunnel and what each event does to it: a pure function, tested as a
// table.

// state is where a tunnel is between staying and its end.
type state uint8

const (
	staying           state = iota
	moveScheduled           // it will be told to move to another backend
	endScheduled            // it will be told to end
	forbidScheduled         // as endScheduled, but as a client that is no longer allowed
	shutdownScheduled       // as endScheduled, whatever a later evaluation says
	moveNotified            // it has been told to move, and has not begun to
	searching               // it has left its backend and looks for another
	connecting              // it has chosen another
	connectingToLeave       // which it must leave again, by a later evaluation
	ending                  // it has been told to end
	removed
)

// event is what happens to a tunnel. The first four are evaluations.
type event uint8

const (
	mayStay event = iota
	mustMove
	mustEnd
	isForbidden // it must end because its client or Origin is no longer allowed
	isShutdown
	isDue         // the time that was scheduled has come
	startsMove    // it has left its backend
	choosesTarget // it connects to another backend
	hasMoved
	mustEndNow // the time of a drain by hand (hand.go) or of a credential's expiry (expiry.go) has come
	isRemoved
)

// actions is what is to be done after a change of state.
type actions uint8

const (
	cancel   actions = 1 << iota // stop the timer, if one runs
	schedule                     // start a timer in place of the one that runs
	notify                       // tell the tunnel to move or to end
	remember                     // when it was found that it must leave again
)

// on returns the state after an event. A tunnel that must end does so wherever it is:
// a move never delays it.
func (s state) on(ev event) (state, actions) {
	if s == removed {
		return s, 0
	}
	switch ev {
	case mayStay, mustMove, mustEnd, isForbidden:
		return s.onEvaluation(ev)
	case isShutdown:
		if s != ending {
			return shutdownScheduled, schedule
		}
	case isDue:
		switch {
		case s == moveScheduled:
			return moveNotified, notify
		case s.isScheduled():
			return ending, notify
		}
	case startsMove:
		if s == staying || s == moveScheduled || s == moveNotified {
			return searching, cancel
		}
	case choosesTarget:
		if s == searching || s == connectingToLeave {
			return connecting, 0 // evaluations of the one before do not count
		}
	case hasMoved:
		switch {
		case s == connectingToLeave:
			return moveScheduled, schedule
		case s == moveScheduled, s.isMoving():
			return staying, cancel
		}
	case mustEndNow:
		if s != ending {
			return ending, cancel | notify
		}
	case isRemoved:
		return removed, cancel
	}
	return s, 0
}

func (s state) onEvaluation(ev event) (state, actions) {
	switch {
	case s == shutdownScheduled, s == ending:
	case ev == mayStay && s.isScheduled():
		return staying, cancel
	case ev == mayStay && s == connectingToLeave:
		return connecting, 0
	case ev == mustMove && (s == staying || s == forbidScheduled):
		return moveScheduled, schedule
	case ev == mustMove && s == endScheduled:
		return moveScheduled, 0 // at the same time
	case ev == mustMove && s == connecting:
		return connectingToLeave, remember
	case ev == mustEnd && s == moveScheduled:
		return endScheduled, 0 // at the same time
	case ev == mustEnd && s != endScheduled:
		return endScheduled, schedule
	case ev == isForbidden && s != forbidScheduled:
		return forbidScheduled, schedule
	}
	return s, 0
}

// isScheduled says that a timer runs.
func (s state) isScheduled() bool { return s >= moveScheduled && s <= shutdownScheduled }

// isMoving says that the tunnel is between two backends, or has been told to be.
func (s state) isMoving() bool { return s >= moveNotified && s <= connectingToLeave }

// mustEnd says that the tunnel is draining: it has been told to end, or will be.
func (s state) mustEnd() bool {
	return s == endScheduled || s == forbidScheduled || s == shutdownScheduled || s == ending
}
