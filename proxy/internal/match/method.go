package match

// The condition on the request's method.

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// methodIn is the sorted set of the methods admitted, HEAD added where GET is
// (RFC 9110, section 9.3.2: HEAD is GET without the content).
type methodIn []string

func compileMethods(methods []string) (condition, error) {
	var set methodIn
	for _, m := range methods {
		if err := checkMethod(m); err != nil {
			return nil, err
		}
		set = append(set, m)
		if m == http.MethodGet {
			set = append(set, http.MethodHead)
		}
	}
	slices.Sort(set)
	return slices.Compact(set), nil
}

// checkMethod refuses lower case letters, although a method may have them: a
// method is case-sensitive (RFC 9110, section 9.1) and "get" is a mistake.
func checkMethod(m string) error {
	if err := checkToken(m); err != nil {
		return fmt.Errorf("method %w", err)
	}
	if upper := strings.ToUpper(m); upper != m {
		return fmt.Errorf("method %q: want upper case, %q", m, upper)
	}
	return nil
}

// checkToken is RFC 9110, section 5.6.2.
func checkToken(s string) error {
	if s == "" {
		return errors.New(`"": want a name`)
	}
	if !httpsyntax.IsToken(s) {
		return fmt.Errorf("%q: want letters, digits and !#$%%&'*+-.^_`|~ only", s)
	}
	return nil
}

func (m methodIn) slot() string          { return "methods" }
func (m methodIn) holds(r *Request) bool { return slices.Contains(m, r.Method) }

func (m methodIn) has(method string) bool {
	_, found := slices.BinarySearch(m, method)
	return found
}

func (m methodIn) why(r *Request) string {
	return fmt.Sprintf("method %s is not one of %s", r.Method, strings.Join(m, ", "))
}

func (m methodIn) implies(other condition) bool {
	for _, method := range m {
		if !other.(methodIn).has(method) {
			return false
		}
	}
	return true
}

// meet keeps w's own method, GET, where it can.
func (m methodIn) meet(j *judgement, other condition, w *Request) decision {
	common := m
	if other != nil {
		j.pair -= len(m) + len(other.(methodIn))
		common = slices.DeleteFunc(slices.Clone(m), func(method string) bool {
			return !other.(methodIn).has(method)
		})
	}
	if len(common) == 0 {
		return no
	}
	if !slices.Contains(common, w.Method) {
		w.Method = common[0]
	}
	return yes
}
