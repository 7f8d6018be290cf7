package match

// The condition on the listener that a request came in by.

import "fmt"

type listenerIs string

func (l listenerIs) slot() string                 { return "listener" }
func (l listenerIs) holds(r *Request) bool        { return r.Listener == string(l) }
func (l listenerIs) implies(other condition) bool { return l == other }

func (l listenerIs) why(r *Request) string {
	if r.Listener == "" {
		return fmt.Sprintf("listener %s is asked for, and the request names none", string(l))
	}
	return fmt.Sprintf("listener %s is not %s", string(l), r.Listener)
}

func (l listenerIs) meet(j *judgement, other condition, w *Request) decision {
	w.Listener = string(l)
	return decide(other == nil || l == other)
}
