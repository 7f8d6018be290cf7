package cli

// Texts of strangers on a terminal.

import (
	"strconv"
	"strings"
	"unicode"
)

// printable replaces what a terminal would obey, or show in another order, by its escape:
// control characters, and the marks that turn the direction of writing.
func printable(text string) string {
	if !strings.ContainsFunc(text, isUnprintable) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isUnprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isUnprintable(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsGraphic(r) }
