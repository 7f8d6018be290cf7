package match

// The texts that can occur where regexes are matched, as automata: a regex that
// matches only what no request can carry does not clash with anything.

import "regexp/syntax"

// inputAutomaton is an automaton; state 0 is its start.
type inputAutomaton struct {
	next     func(state uint8, r rune) (uint8, bool)
	final    func(state uint8) bool
	alphabet string // runes to try, those first that look best in an example
	complete bool   // no text has other runes

	class *[128]uint8 // tells the ASCII runes apart that next does
}

const printable = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_./,:;=+*!?@#$%&'()[]{}<>|~^`\"\\ "

// inputs is the values of a field.
func (in place) inputs() inputAutomaton {
	switch in {
	case inHeader:
		return headerInputs
	case inCookie:
		return cookieInputs
	}
	return anyInputs
}

var (
	headerInputs = inputAutomaton{next: headerNext, final: headerFinal, alphabet: printable}.classified(valueSpace)
	cookieInputs = inputAutomaton{next: cookieNext, final: headerFinal, alphabet: printable}.classified(valueSpace)
	anyInputs    = inputAutomaton{next: anyNext, final: anyFinal, alphabet: printable}.classified(0)
)

func anyNext(uint8, rune) (uint8, bool) { return 0, true }
func anyFinal(uint8) bool               { return true }

// classified fills l.class in. Words are told apart from the rest, for the
// machines do so too.
func (l inputAutomaton) classified(last uint8) inputAutomaton {
	l.class = new([128]uint8)
	refine(l.class, func(r rune) uint8 {
		if syntax.IsWordChar(r) {
			return 1
		}
		return 0
	})
	for state := range last + 1 {
		refine(l.class, func(r rune) uint8 {
			next, ok := l.next(state, r)
			if !ok {
				return 0xff
			}
			return next
		})
	}
	return l
}

// States of a header's value, which neither starts nor ends with a space (RFC
// 9110, section 5.5).
const (
	valueStart uint8 = iota
	valueText
	valueSpace
)

func headerNext(state uint8, r rune) (uint8, bool) {
	if r == ' ' || r == '\t' {
		return valueSpace, state != valueStart
	}
	return valueText, r > ' ' && r != 0x7f
}

func headerFinal(state uint8) bool { return state != valueSpace }

// cookieNext leaves quotes out, although a value may have some in its middle.
func cookieNext(state uint8, r rune) (uint8, bool) {
	next, ok := headerNext(state, r)
	return next, ok && r != ';' && r != '"'
}

// States of a normal path. Behind pathEscape and dotEscape there are sixteen
// more each, for the first digit of the escape.
const (
	pathStart  uint8             = iota
	pathSlash                    // behind a slash
	pathDot                      // the segment is "."
	pathDots                     // the segment is ".."
	pathText                     // the segment is something else
	pathEscape                   // behind "%"
	dotEscape  = pathEscape + 17 // behind "%" that follows a dot segment
)

// pathInputs is the paths that NormalizePath returns.
var pathInputs = inputAutomaton{
	next:     pathNext,
	final:    func(state uint8) bool { return state == pathSlash || state == pathText },
	alphabet: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_/.~,:;=+*!@$&'()%",
	complete: true,
}.classified(dotEscape + 16)

func pathNext(state uint8, r rune) (uint8, bool) {
	inDots := state == pathDot || state == pathDots
	switch {
	case state >= pathEscape:
		return pathNextInEscape(state, r)
	case state == pathStart:
		return pathSlash, r == '/'
	case r >= 0x80 || pathClass[r] != pathPlain:
		return 0, false
	case r == '/':
		return pathSlash, state == pathText
	case r == '%' && inDots:
		return dotEscape, true
	case r == '%':
		return pathEscape, true
	case r == '.' && (state == pathSlash || state == pathDot):
		return state + 1, true
	case r == ';' && inDots:
		return 0, false
	}
	return pathText, true
}

// pathNextInEscape takes the digits of an escape, in upper case.
func pathNextInEscape(state uint8, r rune) (uint8, bool) {
	if r >= 0x80 || 'a' <= r && r <= 'f' || hexValue(byte(r)) < 0 {
		return 0, false
	}
	if state == pathEscape || state == dotEscape {
		return state + 1 + uint8(hexValue(byte(r))), true
	}
	first := state - pathEscape - 1
	if state > dotEscape {
		first = state - dotEscape - 1
	}
	escape := []byte{'%', upperHex[first], byte(r)}
	return pathText, isNormalEscape(escape) && !(state > dotEscape && startsParameter(escape))
}
