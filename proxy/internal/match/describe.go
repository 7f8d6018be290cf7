package match

// A request in the words of RFC 9112, for those who must be shown one.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// example renders r on one line: the request line, then its headers, then what
// no header says.
func (r *Request) example() string {
	parts := []string{r.requestLine(), "Host: " + r.Host}
	if len(r.Upgrade) > 0 {
		parts = append(parts, "Connection: upgrade", "Upgrade: "+strings.Join(r.Upgrade, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			parts = append(parts, name+": "+value)
		}
	}
	text := strings.Join(parts, ", ")
	if r.Listener != "" {
		text += fmt.Sprintf(", on listener %s", r.Listener)
	}
	if r.Client.IsValid() {
		text += fmt.Sprintf(", from %s", r.Client)
	}
	return text
}

func (r *Request) requestLine() string {
	target := r.Path
	if r.Query != "" {
		target += "?" + r.Query
	}
	return r.Method + " " + target + " HTTP/1.1"
}
