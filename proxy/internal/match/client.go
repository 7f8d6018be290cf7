package match

// The condition on the client's address.

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// clientIn is the prefixes, masked; IPv4 ones never in their IPv6 form.
type clientIn []netip.Prefix

func compileClients(prefixes []netip.Prefix) (condition, error) {
	var in clientIn
	for _, p := range prefixes {
		if !p.IsValid() {
			return nil, fmt.Errorf("client %q: want a network such as 10.0.0.0/8", p)
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		in = append(in, p.Masked())
	}
	return in, nil
}

func (c clientIn) slot() string { return "client" }

func (c clientIn) holds(r *Request) bool {
	addr := r.Client.Unmap().WithZone("") // Prefix.Contains is never true of a zone
	for _, p := range c {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func (c clientIn) why(r *Request) string {
	if !r.Client.IsValid() {
		return fmt.Sprintf("client %s is asked for, and the request names no address", c)
	}
	return fmt.Sprintf("client %s is not in %s", r.Client, c)
}

// String lists the networks, at most three of them.
func (c clientIn) String() string {
	var b strings.Builder
	for i, p := range c {
		if i == 3 {
			fmt.Fprintf(&b, " and %d more", len(c)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// implies compares network by network: a union of several that covers one of
// c's is not seen.
func (c clientIn) implies(other condition) bool {
	for _, p := range c {
		if !other.(clientIn).covers(p) {
			return false
		}
	}
	return true
}

func (c clientIn) covers(p netip.Prefix) bool {
	for _, q := range c {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

func (c clientIn) meet(j *judgement, other condition, w *Request) decision {
	if other == nil {
		w.Client = c[0].Addr()
		return yes
	}
	o := other.(clientIn)
	j.pair -= len(c) + len(o)
	if len(c)*len(o) > 64 {
		return c.meetMany(o, w)
	}
	for _, p := range c {
		for _, q := range o {
			if p.Overlaps(q) {
				w.Client = narrower(p, q).Addr()
				return yes
			}
		}
	}
	return no
}

// meetMany is meet for long lists: sorted, a network and one within it stand
// beside each other but for others within the first.
func (c clientIn) meetMany(o clientIn, w *Request) decision {
	type entry struct {
		netip.Prefix
		second bool
	}
	all := make([]entry, 0, len(c)+len(o))
	for _, p := range c {
		all = append(all, entry{p, false})
	}
	for _, p := range o {
		all = append(all, entry{p, true})
	}
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var widest [2]netip.Prefix // of either list, the last that is in no other of its list
	for _, e := range all {
		mine, its := 0, 1
		if e.second {
			mine, its = 1, 0
		}
		if widest[its].IsValid() && widest[its].Overlaps(e.Prefix) {
			w.Client = e.Addr()
			return yes
		}
		if !widest[mine].IsValid() || !widest[mine].Overlaps(e.Prefix) {
			widest[mine] = e.Prefix
		}
	}
	return no
}

func narrower(p, q netip.Prefix) netip.Prefix {
	if p.Bits() > q.Bits() {
		return p
	}
	return q
}
