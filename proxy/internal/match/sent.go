package match

// From the path that was matched to the one that is sent. They are the same but for
// what a route asks for, and then a path that two readers could read differently is
// refused.

import (
	"errors"
	"fmt"
	"strings"
)

// PathRules is what a route says of paths. The zero value sends what was matched.
type PathRules struct {
	EncodedSlashes bool // paths with an encoded slash are taken, else refused
	KeepSlashes    bool // paths are sent as they came, with their runs of slashes
}

// SentPath is a request's path as its route sends it.
type SentPath struct {
	Text   string // escaped
	Prefix int    // the bytes that the rule's Prefix has matched; what follows is empty or starts with a slash, or they end with one
}

var (
	errEncodedSlash = errors.New("an encoded slash, which this route does not take")
	errSlashesDots  = errors.New("double slashes and a dot segment: want one of them at most")
	errSlashWithin  = errors.New("double slashes in the part that the route matches")
)

// PathFor returns the path to send for a request that a rule, by its index, has won.
// raw is the path as it came, which NormalizePath has made r.Path of; c, which may be
// nil, becomes what the rule captures of the path to send. An error is for a proxy to
// answer with 400.
//
// A route that keeps slashes gets the path as it came, unless the order of merging
// and resolving would make a difference to it, or unless its own pattern does not
// match the path with all its slashes: what the pattern's author wrote has to be
// there. Dot segments are resolved all the same, for that is what was matched.
func (t *Tree) PathFor(rule int, r *Request, raw string, rules PathRules, c *Captures) (SentPath, error) {
	p := t.byIndex[rule].path
	sent := SentPath{Text: r.Path}
	if c != nil && rules.KeepSlashes {
		c.options = keepSlashes
	}
	switch {
	case !rules.EncodedSlashes && hasEncodedSlash(raw):
		return SentPath{}, fmt.Errorf("path %q: %w", raw, errEncodedSlash)
	case rules.KeepSlashes && raw != r.Path:
		path, err := p.keep(raw, c)
		if err != nil {
			return SentPath{}, fmt.Errorf("path %q: %w", raw, err)
		}
		sent.Text = path
	}
	if p.kind == Prefix {
		sent.Prefix = endOfPrefix(sent.Text, p.text)
	}
	return sent, nil
}

// hasEncodedSlash takes a path whose escapes are well formed.
func hasEncodedSlash(raw string) bool {
	return strings.Contains(raw, "%2F") || strings.Contains(raw, "%2f")
}

// keep returns the path to send for raw, with its slashes, whose normal form p matches.
func (p *pattern) keep(raw string, c *Captures) (string, error) {
	doubled := strings.Contains(raw, "//")
	switch {
	case !hasDots(raw):
	case doubled:
		return "", errSlashesDots
	default:
		return NormalizePath(raw)
	}
	unmerged, err := rewritePath(raw, keepSlashes)
	if err != nil {
		return "", err
	}
	if !p.matches(unmerged) {
		return "", errSlashWithin
	}
	if c != nil {
		c.path, c.spans = unmerged, c.spans[:0]
	}
	return encodeInvalid(raw), nil
}

// encodeInvalid encodes what no URI may have raw, and nothing else. Brackets are of a
// URI, if not of a path: an address of IPv6 in a URL within the path has them.
func encodeInvalid(raw string) string {
	out := make([]byte, 0, len(raw))
	for i := range len(raw) {
		if b := raw[i]; pathClass[b] == pathEncode && b != '[' && b != ']' {
			out = appendEscape(out, b)
		} else {
			out = append(out, b)
		}
	}
	return string(out)
}

// endOfPrefix returns where in path, which may have escapes that are not normal, a
// prefix ends: behind as many slashes as it has, and behind the segment that it ends
// with.
func endOfPrefix(path, prefix string) int {
	end := 0
	for range strings.Count(prefix, "/") {
		end += strings.IndexByte(path[end:], '/') + 1
	}
	if strings.HasSuffix(prefix, "/") {
		return end
	}
	if next := strings.IndexByte(path[end:], '/'); next >= 0 {
		return end + next
	}
	return len(path)
}
