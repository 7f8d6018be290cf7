package routefile

import (
	"cmp"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
)

// Captures in a route's target and redirect.

// templateText is a text of a route that may use captures.
type templateText struct {
	key, below string // "to" and "", or "redirect" and "to"
	raw        string
	path       string // its parts that are templates
	query      string
	parse      func(string) (*match.Template, error)
}

// templatesOf returns the texts of r that may use captures.
func templatesOf(r *Route) []templateText {
	var all []templateText
	if r.To != nil {
		all = append(all, templateText{key: "to", raw: r.To.Raw, path: r.To.Path, query: r.To.Query, parse: match.ParseTemplate})
	}
	if r.Redirect != nil {
		path, query := splitRedirect(r.Redirect.To)
		all = append(all, templateText{key: "redirect", below: "to", raw: r.Redirect.To, path: path, query: query, parse: match.ParseLocationTemplate})
	}
	return all
}

// check reports whether the templates are well formed and use only captures of the
// pattern, which may not have been read if the route is invalid.
func (w templateText) check(p match.Path, invalid bool) error {
	path, err := w.parse(w.path)
	if err != nil {
		return err
	}
	query, err := w.parse(w.query)
	if err != nil {
		return err
	}
	if w.path != "" {
		if err := path.CheckPath(); err != nil {
			return err
		}
	}
	if invalid && p.Kind == match.AnyPath {
		return nil
	}
	return withHint(cmp.Or(checkRefs(path, p), checkRefs(query, p)))
}

// checkRefs does not compile a pattern without need.
func checkRefs(t *match.Template, p match.Path) error {
	if len(t.Refs()) == 0 {
		return nil
	}
	return match.CheckRefs(t, p)
}
