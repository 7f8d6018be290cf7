package routefile

import (
	"cmp"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
)

// Captures in a route's target and redirect.

// written is a text of a route that captures may stand in.
type written struct {
	key, below string // "to" and "", or "redirect" and "to"
	raw        string
	path       string // its parts that are templates
	query      string
}

// templatesOf lists the texts of r that captures may stand in.
func templatesOf(r *Route) []written {
	var all []written
	if r.To != nil {
		all = append(all, written{key: "to", raw: r.To.Raw, path: r.To.Path, query: r.To.Query})
	}
	if r.Redirect != nil {
		path, query := splitRedirect(r.Redirect.To)
		all = append(all, written{key: "redirect", below: "to", raw: r.Redirect.To, path: path, query: query})
	}
	return all
}

// check says whether the templates are well formed and refer only to what the
// pattern captures; the pattern of a route that is spoilt may not have been read.
func (w written) check(p match.Path, spoilt bool) error {
	path, err := match.ParseTemplate(w.path)
	if err != nil {
		return err
	}
	query, err := match.ParseTemplate(w.query)
	if err != nil {
		return err
	}
	if w.path != "" {
		if err := path.CheckPath(); err != nil {
			return err
		}
	}
	if spoilt && p.Kind == match.AnyPath {
		return nil
	}
	return cmp.Or(checkRefs(path, p), checkRefs(query, p))
}

// checkRefs spares the compilation of a pattern that nothing refers to.
func checkRefs(t *match.Template, p match.Path) error {
	if len(t.Refs()) == 0 {
		return nil
	}
	return match.CheckRefs(t, p)
}
