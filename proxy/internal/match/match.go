// Package match decides which route a request takes, and what of the request the
// route's texts may use.
//
// [Rule] is one route's conditions as plain data. [Compile] turns rules into an
// immutable [Tree], and [Tree.Lookup] answers with the index of the winning rule.
// Which rule wins never depends on the order of the rules: higher priority first,
// then the more specific host, then exact path over regex over prefix (exact:
// segment by segment, a literal beats a capture; regex: the longer literal
// beginning; prefix: the longer), then the rule with more conditions. What is still
// undecided is for [Judge] to refuse, with a request that proves it; [Tree.Explain]
// says, rule by rule, why a request goes where it goes.
//
// It knows nothing of YAML, of sockets or of HTTP servers. A Tree is safe for
// concurrent use; Lookup allocates nothing but for a regex over a query value
// with escapes.
//
// # Files
//
// What is asked and answered: match.go (rules, requests, problems).
//
// One normal form for what a request says: path.go, host.go.
//
// What a rule asks for: pattern.go and regex.go (its path), rule.go (its host, and the
// order of rules), condition.go (all else; one file for each kind: client.go, field.go,
// listener.go, method.go, upgrade.go).
//
// Looking a request up: tree.go, index.go, remember.go; explain.go.
//
// Judging a set, from what is asked of it to how: conflict.go (ambiguous and unreachable
// rules), judgement.go (what that may cost), describe.go (showing a request). Two rules
// that meet: blocks.go, traits.go and first_runes.go spare most pairs the walk in
// intersect.go, over the texts of inputs.go. A rule that hides another: cover.go,
// shadow_index.go, shadow_paths.go.
//
// What is made of a match: sent.go (the path that a route sends), captures.go, template.go
// (captures in a path or query), rewrite.go (targets and redirects), text.go (headers and
// bodies).
package match

import (
	"net/http"
	"net/netip"
)

// Rule is the conditions of one route. All that are given must hold. The zero
// Rule matches every request.
type Rule struct {
	Name        string         // the route's name, for Problems and Explain
	Priority    int            // higher wins before anything else is compared
	Listener    string         // name of a listener; "" is any
	Host        string         // "chat.example.com", "*.example.com" (one or more labels), "" is any; no port
	Path        Path           // at most one pattern
	Methods     []string       // upper case; none is any. GET also matches HEAD
	Headers     []Field        // names are case-insensitive; every value line must satisfy the condition
	Query       []Field        // decoded names and values; every value of the name must satisfy the condition
	Cookies     []Field        // names are case-sensitive; every value of the name must satisfy the condition
	Upgrade     string         // "", "any", "none" (must not upgrade), or a protocol in any case; see httpsyntax.NeverTunnelled
	Subprotocol string         // one of the offered Sec-WebSocket-Protocol tokens, case-sensitive; "" is any
	Clients     []netip.Prefix // the client's address is in one of them; none is any
}

// PathKind says how a Path's pattern is read.
type PathKind uint8

const (
	AnyPath PathKind = iota // no condition; captures nothing
	Exact                   // the whole path, segments may be {name} captures
	Prefix                  // whole segments: /a matches /a and /a/b, /a/ matches itself and below
	Regex                   // RE2, starts with ^, need not reach the end of the path
)

// Path is a pattern over the normalised path. Exact and Prefix patterns are
// normalised as paths are; a Regex must say what stands in a normal path, %20
// for a space, and is refused if it matches none.
type Path struct {
	Kind    PathKind
	Pattern string
}

// FieldOp says how a Field's value is compared.
type FieldOp uint8

const (
	Equal   FieldOp = iota // the value is exactly Value
	Matches                // Value, an RE2, matches anywhere in the value
	Present                // there is a value, whatever it is
)

// Field is a condition on one header, query parameter or cookie. There must be
// at least one value, and every value must satisfy it: which route wins must
// not depend on which of two values is looked at, so x=1 and x=2 exclude each
// other, and a request that says both takes neither.
type Field struct {
	Name  string
	Op    FieldOp
	Value string
}

// Request is what the matcher sees of a request.
type Request struct {
	Listener string
	Method   string
	Host     string      // as NormalizeHost returned it; "" if there is none
	Path     string      // as NormalizePath returned it
	Query    string      // the raw query, without "?"
	Header   http.Header // canonical names
	Upgrade  []string    // the tokens of the Upgrade header, in order, lower case; nil when there is none
	Client   netip.Addr
}

// ProblemKind says what is wrong with a set of rules.
type ProblemKind uint8

const (
	Invalid     ProblemKind = iota // the rule itself cannot be compiled
	Ambiguous                      // two rules, neither more specific, match the same request
	Unreachable                    // another rule wins for every request this one matches
)

// Problem is one reason why a set of rules is refused.
type Problem struct {
	Kind  ProblemKind
	Rule  string // the offending rule's name
	Other string // Ambiguous, Unreachable: the rule it clashes with
	Field string // Invalid: the condition in the routes file's words: "host", "path_regex", "headers.X-Room"
	Text  string // what is wrong, the bad value in %q, then what was wanted; no position, no rule name in front

	// Witness, for Ambiguous, is a request that both rules match; nil when
	// their overlap could not be decided (two large regexes).
	Witness *Request
}
