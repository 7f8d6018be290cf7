package provider

// Records of one plan that take each other's places in the file: a name or a match that
// another record leaves. They can only be written together, and Terraform must have all
// of them under way for that.

import (
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// maxExchanged bounds the records of one plan that take or leave such places.
// Terraform has ten operations under way by default, and each record that waits is one:
// two are left for records that do not wait.
const maxExchanged = 8

// place is a name or a match in the file: no two records may have the same.
type place struct {
	section routefile.Section
	name    string // or
	match   string // see matchOf
}

// exchange finds the places that records of one plan leave and others take. The zero
// value is ready.
type exchange struct {
	taken, left map[place]map[string]bool // by which records
	exchanged   map[string]bool
	reported    bool

	doc     *document // that holders is of
	holders map[string]string
}

// matchOf is equal for equal matches, whatever their spelling.
func matchOf(p routefile.Plain) string {
	match, _ := p["match"].(routefile.Plain)
	return routefile.InRoutes.Fingerprint(routefile.Plain{"match": match})
}

// holder is the name of the route that has a match in the file; "" if there is none.
func (x *exchange) holder(doc *document, match string) string {
	if x.doc != doc {
		x.doc, x.holders = doc, map[string]string{}
		for name := range doc.file.Routes {
			x.holders[matchOf(doc.file.Plain(routefile.InRoutes, name))] = name
		}
	}
	return x.holders[match]
}

// add notes the places that a planned record leaves and takes. name is "" for a record
// that is deleted, and priorName for one that is new; match is "" if it is not known.
func (x *exchange) add(doc *document, s routefile.Section, priorName, name, match string) {
	if x.taken == nil {
		x.taken, x.left, x.exchanged = map[place]map[string]bool{}, map[place]map[string]bool{}, map[string]bool{}
	}
	member := "new " + string(s) + " " + name
	if priorName != "" {
		member = "old " + string(s) + " " + priorName
	}
	note := func(to map[place]map[string]bool, at place) {
		if to[at] == nil {
			to[at] = map[string]bool{}
		}
		to[at][member] = true
		if len(x.taken[at]) > 0 && len(x.left[at]) > 0 {
			for _, side := range []map[string]bool{x.taken[at], x.left[at]} {
				for one := range side {
					x.exchanged[one] = true
				}
			}
		}
	}
	if name != priorName {
		if priorName != "" && doc.fingerprint(recordID{s, priorName}) != "" {
			note(x.left, place{section: s, name: priorName})
		}
		if name != "" && doc.fingerprint(recordID{s, name}) != "" {
			note(x.taken, place{section: s, name: name})
		}
	}
	if s != routefile.InRoutes {
		return
	}
	before := ""
	if doc.fingerprint(recordID{s, priorName}) != "" {
		before = matchOf(doc.file.Plain(s, priorName))
	}
	if before != "" && before != match && (name == "" || match != "") {
		note(x.left, place{section: s, match: before})
	}
	if holder := x.holder(doc, match); match != "" && match != before && holder != "" && holder != priorName {
		note(x.taken, place{section: s, match: match})
	}
}

// addToExchange notes a planned record's places. It returns an error, once a run, if too
// many records take each other's.
func (ps *planState) addToExchange(doc *document, s routefile.Section, priorName, name, match string) (diags diag.Diagnostics) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	x := &ps.exchange
	if x.add(doc, s, priorName, name, match); len(x.exchanged) > maxExchanged && !x.reported {
		x.reported = true
		var some []string
		for one := range x.exchanged {
			some = append(some, one)
		}
		slices.Sort(some)
		diags.Append(tooManyExchanged(some))
	}
	return diags
}
