package drain

import (
	"fmt"
	"strings"
	"testing"
)

var stateNames = [...]string{
	"staying", "moveScheduled", "endScheduled", "forbidScheduled", "shutdownScheduled",
	"moveNotified", "searching", "connecting", "connectingToLeave", "ending", "removed",
}

var eventNames = [...]string{
	"mayStay", "mustMove", "mustEnd", "isForbidden", "isShutdown",
	"isDue", "startsMove", "choosesTarget", "hasMoved", "mustEndNow", "isRemoved",
}

// TestStates is every state with every event: the state after it, and the actions. What
// is not listed changes nothing.
func TestStates(t *testing.T) {
	want := map[string]string{
		"staying mustMove":    "moveScheduled schedule",
		"staying mustEnd":     "endScheduled schedule",
		"staying isForbidden": "forbidScheduled schedule",
		"staying isShutdown":  "shutdownScheduled schedule",
		"staying startsMove":  "searching cancel",
		"staying mustEndNow":  "ending cancel notify",
		"staying isRemoved":   "removed cancel",

		"moveScheduled mayStay":     "staying cancel",
		"moveScheduled mustEnd":     "endScheduled",
		"moveScheduled isForbidden": "forbidScheduled schedule",
		"moveScheduled isShutdown":  "shutdownScheduled schedule",
		"moveScheduled isDue":       "moveNotified notify",
		"moveScheduled startsMove":  "searching cancel",
		"moveScheduled hasMoved":    "staying cancel",
		"moveScheduled mustEndNow":  "ending cancel notify",
		"moveScheduled isRemoved":   "removed cancel",

		"endScheduled mayStay":     "staying cancel",
		"endScheduled mustMove":    "moveScheduled",
		"endScheduled isForbidden": "forbidScheduled schedule",
		"endScheduled isShutdown":  "shutdownScheduled schedule",
		"endScheduled isDue":       "ending notify",
		"endScheduled mustEndNow":  "ending cancel notify",
		"endScheduled isRemoved":   "removed cancel",

		"forbidScheduled mayStay":    "staying cancel",
		"forbidScheduled mustMove":   "moveScheduled schedule",
		"forbidScheduled mustEnd":    "endScheduled schedule",
		"forbidScheduled isShutdown": "shutdownScheduled schedule",
		"forbidScheduled isDue":      "ending notify",
		"forbidScheduled mustEndNow": "ending cancel notify",
		"forbidScheduled isRemoved":  "removed cancel",

		"shutdownScheduled isShutdown": "shutdownScheduled schedule",
		"shutdownScheduled isDue":      "ending notify",
		"shutdownScheduled mustEndNow": "ending cancel notify",
		"shutdownScheduled isRemoved":  "removed cancel",

		"moveNotified mustEnd":     "endScheduled schedule",
		"moveNotified isForbidden": "forbidScheduled schedule",
		"moveNotified isShutdown":  "shutdownScheduled schedule",
		"moveNotified startsMove":  "searching cancel",
		"moveNotified hasMoved":    "staying cancel",
		"moveNotified mustEndNow":  "ending cancel notify",
		"moveNotified isRemoved":   "removed cancel",

		"searching mustEnd":       "endScheduled schedule",
		"searching isForbidden":   "forbidScheduled schedule",
		"searching isShutdown":    "shutdownScheduled schedule",
		"searching choosesTarget": "connecting",
		"searching hasMoved":      "staying cancel",
		"searching mustEndNow":    "ending cancel notify",
		"searching isRemoved":     "removed cancel",

		"connecting mustMove":    "connectingToLeave remember",
		"connecting mustEnd":     "endScheduled schedule",
		"connecting isForbidden": "forbidScheduled schedule",
		"connecting isShutdown":  "shutdownScheduled schedule",
		"connecting hasMoved":    "staying cancel",
		"connecting mustEndNow":  "ending cancel notify",
		"connecting isRemoved":   "removed cancel",

		"connectingToLeave mayStay":       "connecting",
		"connectingToLeave mustEnd":       "endScheduled schedule",
		"connectingToLeave isForbidden":   "forbidScheduled schedule",
		"connectingToLeave isShutdown":    "shutdownScheduled schedule",
		"connectingToLeave choosesTarget": "connecting",
		"connectingToLeave hasMoved":      "moveScheduled schedule",
		"connectingToLeave mustEndNow":    "ending cancel notify",
		"connectingToLeave isRemoved":     "removed cancel",

		"ending isRemoved": "removed cancel",
	}
	for s := range state(len(stateNames)) {
		for ev := range event(len(eventNames)) {
			given := stateNames[s] + " " + eventNames[ev]
			after, does := s.on(ev)
			got, expected := strings.TrimSpace(stateNames[after]+" "+does.text()), want[given]
			if expected == "" {
				expected = stateNames[s]
			}
			if got != expected {
				t.Errorf("%s: %s, want %s", given, got, expected)
			}
			delete(want, given)
		}
	}
	if len(want) != 0 {
		t.Errorf("no such states or events: %v", want)
	}
}

func (a actions) text() string {
	var all []string
	for bit, name := range []string{"cancel", "schedule", "notify", "remember"} {
		if a&(1<<bit) != 0 {
			all = append(all, name)
		}
	}
	if extra := a >> 4; extra != 0 {
		all = append(all, fmt.Sprint("unknown ", extra))
	}
	return strings.Join(all, " ")
}
