package match

// Queries that lose parameters on the way to a target.

import (
	"net/url"
	"slices"
	"strings"
)

// RemoveParameters returns a query, with its "?", without the parameters of these names, and
// all else as it is. Names are compared decoded. Unlike for a condition a semicolon separates parameters
// too: a backend that reads it so must not find there what was to be removed.
func RemoveParameters(query string, names []string) string {
	if len(names) == 0 || len(query) < 2 {
		return query
	}
	var kept strings.Builder
	separator := "?"
	for rest := query[1:]; ; {
		end := strings.IndexAny(rest, "&;")
		parameter := rest
		if end >= 0 {
			parameter = rest[:end]
		}
		if !isNamed(parameter, names) {
			if kept.Len() == 0 {
				separator = "?"
			}
			kept.WriteString(separator + parameter)
		}
		if end < 0 {
			return kept.String()
		}
		separator, rest = rest[end:end+1], rest[end+1:]
	}
}

func isNamed(parameter string, names []string) bool {
	raw, _, _ := strings.Cut(parameter, "=")
	name, err := url.QueryUnescape(raw)
	return err == nil && slices.Contains(names, name)
}
