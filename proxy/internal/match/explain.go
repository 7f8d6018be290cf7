package match

// Why a request goes where it goes.

// Verdict is what Explain says of one rule.
type Verdict struct {
	Index   int    // into the rules given to Compile
	Rule    string // its name
	Matches bool   // every condition holds
	Wins    bool   // it is the one that Lookup answers: the first that matches
	Reason  string // the first condition that does not hold and why, in the routes file's words; "" when all do
	Behind  string // if it matches and does not win: by which rule of precedence the winner goes before it
}

// Explain tests r against every rule, one by one, and answers in order of
// precedence. Conditions are looked at in the order host, path, listener,
// methods, upgrade, subprotocol, headers, query, cookies, client.
func (t *Tree) Explain(r *Request) []Verdict {
	verdicts := make([]Verdict, 0, len(t.ranked))
	var winner *rule
	for _, rule := range t.ranked {
		reason := rule.why(r)
		v := Verdict{Index: rule.index, Rule: rule.name, Matches: reason == "", Reason: reason}
		switch {
		case !v.Matches:
		case winner == nil:
			v.Wins, winner = true, rule
		default:
			v.Behind = whyBefore(winner, rule)
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// why says why the rule does not match, or "".
func (r *rule) why(req *Request) string {
	if !r.host.matches(req.Host) {
		return r.whyHost(req.Host)
	}
	if !r.path.matches(req.Path) {
		return r.path.why(req.Path)
	}
	for _, c := range r.conditions {
		if !c.holds(req) {
			return c.why(req)
		}
	}
	return ""
}
