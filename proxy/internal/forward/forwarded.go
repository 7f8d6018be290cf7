package forward

// The Forwarded header as proxies in front write it (RFC 7239, section 4).

import (
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// Element is what one proxy says about the hop before it.
type Element struct{ For, Proto, Host string }

// CutElement cuts the last element off. Quotes are paired from the end: what
// is before, which any client may have written, cannot change how a trusted
// proxy's element is read.
func CutElement(line string) (before, last string, more bool) {
	quoted := false
	for i := len(line) - 1; i >= 0; i-- {
		switch {
		case line[i] == '"' && (!quoted || !escaped(line[:i])):
			quoted = !quoted
		case line[i] == ',' && !quoted:
			return line[:i], line[i+1:], true
		}
	}
	return "", line, false
}

// escaped says whether the byte after s is escaped by the backslashes at its end.
func escaped(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}

// ParseElement reads pairs of name and value; names in any case, unknown ones
// are skipped. A value without quotes may hold what a token may not, as many
// proxies write addresses with a colon, and there may be spaces between pairs.
// A name that is there twice is not ok.
func ParseElement(text string) (e Element, ok bool) {
	seen := map[string]bool{}
	for rest := text; ; {
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return e, true
		}
		if rest[0] == ';' {
			rest = rest[1:]
			continue
		}
		name, value, found := strings.Cut(rest, "=")
		name = httpsyntax.Lower(name)
		if !found || !httpsyntax.IsToken(name) || seen[name] {
			return Element{}, false
		}
		seen[name] = true
		if value, rest, ok = cutValue(value); !ok {
			return Element{}, false
		}
		switch name {
		case "for":
			e.For = value
		case "proto":
			e.Proto = value
		case "host":
			e.Host = value
		}
	}
}

// cutValue takes the value that s begins with: up to its closing quote, without
// the backslashes, or up to a semicolon. rest is empty or begins with one.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, ';')
		if end < 0 {
			end = len(s)
		}
		value = strings.TrimRight(s[:end], " \t")
		return value, s[end:], value != "" && !strings.ContainsAny(value, "\"\\ \t,=")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			rest = strings.TrimLeft(s[i+1:], " \t")
			return b.String(), rest, rest == "" || rest[0] == ';'
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
