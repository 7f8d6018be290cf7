// Logins that authenticate a connection and not a request: NTLM, and Negotiate as IIS
// speaks it. After one, all that comes by the connection is taken for that user's.

package h1

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// LogsIn reports whether a request's header logs its connection in.
func LogsIn(h http.Header) bool { return slices.ContainsFunc(h["Authorization"], namesLogin) }

// AsksLogin reports whether an answer's header asks for such a login, or continues one.
func AsksLogin(h http.Header) bool { return slices.ContainsFunc(h["Www-Authenticate"], namesLogin) }

// namesLogin looks for the schemes in a list of challenges or in credentials. A quoted
// string that looks like one costs a connection of its own, no more.
func namesLogin(value string) bool {
	for element := range strings.SplitSeq(value, ",") {
		scheme, _, _ := strings.Cut(strings.Trim(element, " \t"), " ")
		scheme, _, _ = strings.Cut(scheme, "\t")
		if httpsyntax.EqualFold(scheme, "ntlm") || httpsyntax.EqualFold(scheme, "negotiate") {
			return true
		}
	}
	return false
}
