package match

// Whether one rule hides another: it takes precedence, and every request that
// the other matches, it matches too. What is said here is certain; a regex that
// covers another in a way which is not seen here is not reported.

import "strings"

// hides reports whether no request that matches b is b's, because it is a's.
func hides(a, b *rule) bool {
	return compareRules(a, b) < 0 && a.host.covers(b.host) && a.path.covers(b.path) && asksNoMore(a, b)
}

// isPeer reports whether a and b, of one list of an index, differ in their
// conditions alone. Peers do not hide each other: the one with more conditions
// takes precedence, and asks for something that the other does not. Behind a
// peer of b, a list has only peers and rules of a lower priority.
func isPeer(a, b *rule) bool {
	return a.path.kind != Regex && a.priority == b.priority && a.host == b.host && a.path.samePaths(b.path)
}

// asksNoMore reports whether b's conditions imply all of a's.
func asksNoMore(a, b *rule) bool {
	for _, c := range a.conditions {
		if other := b.on(c.slot()); other == nil || !other.implies(c) {
			return false
		}
	}
	return true
}

// covers reports whether h matches every host that o matches.
func (h hostPattern) covers(o hostPattern) bool {
	return h == "" || h == o || o != "" && h.matches(o.sample())
}

// HostsMeet reports whether a host can match both of two host patterns. What is wrong
// with one counts as not said.
func HostsMeet(a, b string) bool {
	ha, _ := compileHost(a)
	hb, _ := compileHost(b)
	return ha.covers(hb) || hb.covers(ha)
}

// sample is a host that o matches and that a pattern matches only if it covers o.
// It is for looking patterns up, not for showing.
func (h hostPattern) sample() string {
	if suffix, ok := h.suffix(); ok {
		return "\x00" + suffix
	}
	return string(h)
}

// samePaths reports whether p and o match the same paths, as far as their
// texts show it.
func (p *pattern) samePaths(o *pattern) bool {
	if p.kind != o.kind {
		return false
	}
	if p.kind == Regex {
		return p.text == o.text
	}
	return p.shape == o.shape
}

// covers reports whether p certainly matches every path that o matches.
func (p *pattern) covers(o *pattern) bool {
	switch {
	case p.kind == AnyPath || p.samePaths(o):
		return true
	case p.kind == Exact:
		return (o.kind == Exact || o.isLiteral()) && p.matches(o.sample())
	case p.kind == Prefix:
		return p.matches(o.sample())
	case p.end == endsAnywhere:
		return strings.HasPrefix(o.sample(), p.literal)
	}
	return o.isLiteral() && p.matches(o.sample())
}

// isLiteral reports whether p matches one path only.
func (p *pattern) isLiteral() bool {
	return p.kind == Exact && p.segments == nil || p.kind == Regex && p.end == endsThere
}

// sample stands for all paths that p matches: it starts with what they all start
// with and has, where they differ, a byte that no path has. So a prefix or a
// literal that matches it matches them all.
func (p *pattern) sample() string {
	switch {
	case p.kind == AnyPath:
		return "/"
	case p.kind == Prefix:
		return p.text
	case p.kind == Regex && p.end == endsThere:
		return p.literal
	case p.kind == Regex && p.literal == "":
		return "/\x00"
	case p.kind == Regex:
		return p.literal + "\x00"
	}
	return strings.ReplaceAll(p.shape, "{}", "\x00")
}
