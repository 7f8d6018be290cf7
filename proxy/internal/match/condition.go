package match

// What a rule asks of a request besides host and path. The kinds of condition
// have files of their own and answer the same questions.

// condition is one entry of a rule's match. It is immutable.
type condition interface {
	// slot names the condition in the routes file's words. A rule has at most
	// one condition a slot.
	slot() string
	// holds reports whether r satisfies the condition.
	holds(r *Request) bool
	// why says, for a user, why the condition does not hold for r.
	why(r *Request) string
	// implies reports that every request which satisfies this condition
	// satisfies other too. other is of the same slot.
	implies(other condition) bool
	// meet makes w satisfy this condition and other, which is of the same slot
	// or nil. The answer no means that there is no such request.
	meet(j *judgement, other condition, w *Request) decision
	// wants appends what is known of the values that the condition admits: two
	// of a slot that admit no common value exclude each other.
	wants(dst []want) []want
}

// decision is the answer to a question that cannot always be decided. They are
// ordered: of several, the least counts.
type decision uint8

const (
	no decision = iota
	unknown
	yes
)

func decide(b bool) decision {
	if b {
		return yes
	}
	return no
}

// compileConditions compiles everything of r but its host and path.
func compileConditions(r *Rule) ([]condition, []Problem) {
	c := collector{rule: r}
	if r.Listener != "" {
		c.add("listener", listenerIs(r.Listener), nil)
	}
	if len(r.Methods) > 0 {
		methods, err := compileMethods(r.Methods)
		c.add("methods", methods, err)
	}
	if r.Upgrade != "" {
		upgrade, err := compileUpgrade(r.Upgrade)
		c.add("upgrade", upgrade, err)
	}
	if r.Subprotocol != "" {
		subprotocol, err := compileSubprotocol(r.Subprotocol)
		c.add("subprotocol", subprotocol, err)
	}
	c.addFields(inHeader, r.Headers)
	c.addFields(inQuery, r.Query)
	c.addFields(inCookie, r.Cookies)
	if len(r.Clients) > 0 {
		clients, err := compileClients(r.Clients)
		c.add("client", clients, err)
	}
	return c.conditions, c.problems
}

// collector gathers a rule's conditions, and what is wrong with the others.
type collector struct {
	rule       *Rule
	conditions []condition
	problems   []Problem
}

func (c *collector) add(slot string, cond condition, err error) {
	if err != nil {
		c.refuse(slot, err)
		return
	}
	c.conditions = append(c.conditions, cond)
}

func (c *collector) refuse(slot string, err error) {
	c.problems = append(c.problems, Problem{Kind: Invalid, Rule: c.rule.Name, Field: slot, Text: err.Error()})
}

// addFields adds the conditions of one place; a name may stand there once.
func (c *collector) addFields(in place, fields []Field) {
	taken := make(map[string]bool, len(fields))
	for _, f := range fields {
		cond, err := compileField(in, f)
		if err == nil && taken[cond.slot()] {
			err = errTwice(in, f.Name)
		}
		if err == nil {
			taken[cond.slot()] = true
		}
		c.add(in.word()+"."+f.Name, cond, err)
	}
}

// on returns r's condition of that slot, or nil.
func (r *rule) on(slot string) condition {
	const few = 8
	if len(r.conditions) > few {
		if r.bySlot == nil {
			r.bySlot = make(map[string]condition, len(r.conditions))
			for _, c := range r.conditions {
				r.bySlot[c.slot()] = c
			}
		}
		return r.bySlot[slot]
	}
	for _, c := range r.conditions {
		if c.slot() == slot {
			return c
		}
	}
	return nil
}
