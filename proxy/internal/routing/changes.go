package routing

// What a reload changed, and what that means for tunnels that are open.

import (
	"iter"
	"maps"
	"slices"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// Changes is the difference between two Tables, by route name, sorted.
type Changes struct {
	Added, Changed, Removed []string
	Renamed                 map[string]string // old name -> new name
	Pools, Listeners        NameChanges
	Settings                []string // keys of the file besides its records: shutdown, trusted_proxies
	Kept, Draining          int      // open tunnels
}

// NameChanges is the difference between two sets of records, by name, sorted.
type NameChanges struct{ Added, Changed, Removed []string }

// identity is what makes two routes the same: altogether, and under another name.
type identity struct{ digest, shape fingerprint }

// identities are those of the routes of a Table or of a Set.
type identities struct {
	names iter.Seq[string]
	of    func(name string) (id identity, known bool)
}

func (t *Table) identities() identities {
	return identities{maps.Keys(t.byName), func(name string) (identity, bool) {
		rt := t.byName[name]
		if rt == nil {
			return identity{}, false
		}
		return rt.identity, true
	}}
}

// Compare finds what differs. A route whose name is gone while exactly one new route has
// its match and target is renamed, not removed. If its settings differ it is changed too,
// under its new name.
func Compare(old, new *Table) Changes {
	c := compare(old.identities(), new.identities())
	c.Pools, c.Listeners = compareNames(old.poolHashes, new.poolHashes), compareNames(old.listenerHashes, new.listenerHashes)
	c.Settings = changedSettings(old.shutdown == new.shutdown, slices.Equal(old.trusted, new.trusted))
	return c
}

// CompareSets is Compare for two files of which no Table is made: what they name on the
// machine is not read.
func CompareSets(old, new *routefile.Set) Changes {
	c := compare(identitiesOf(old), identitiesOf(new))
	c.Pools = compareNames(hashesOf(old.Pools), hashesOf(new.Pools))
	c.Listeners = compareNames(hashesOf(old.Listeners), hashesOf(new.Listeners))
	c.Settings = changedSettings(old.Shutdown.Delay == new.Shutdown.Delay && old.Shutdown.Window == new.Shutdown.Window,
		slices.Equal(old.TrustedProxies, new.TrustedProxies))
	return c
}

// hashesOf are the hashes of records, whatever their places in the file.
func hashesOf[T any](records map[string]*T) map[string]fingerprint {
	hashes := make(map[string]fingerprint, len(records))
	for name, record := range records {
		hashes[name] = fingerprintOf(record)
	}
	return hashes
}

func compareNames(old, new map[string]fingerprint) (c NameChanges) {
	for name, now := range new {
		switch before, known := old[name]; {
		case !known:
			c.Added = append(c.Added, name)
		case before != now:
			c.Changed = append(c.Changed, name)
		}
	}
	for name := range old {
		if _, stays := new[name]; !stays {
			c.Removed = append(c.Removed, name)
		}
	}
	slices.Sort(c.Added)
	slices.Sort(c.Changed)
	slices.Sort(c.Removed)
	return c
}

func changedSettings(sameShutdown, sameTrusted bool) (names []string) {
	if !sameShutdown {
		names = append(names, "shutdown")
	}
	if !sameTrusted {
		names = append(names, "trusted_proxies")
	}
	return names
}

func identitiesOf(set *routefile.Set) identities {
	digests := make(map[*routefile.Settings]fingerprint)
	return identities{maps.Keys(set.Routes), func(name string) (identity, bool) {
		spec := set.Routes[name]
		if spec == nil {
			return identity{}, false
		}
		digest, known := digests[spec.Resolved]
		if !known {
			digest = settingsDigest(spec.Resolved, noContents)
			digests[spec.Resolved] = digest
		}
		return identify(spec, digest, noContents), true
	}}
}

// noContents is for sets whose files are not read.
func noContents([]string) (none fingerprint) { return none }

func compare(old, new identities) Changes {
	c := Changes{Renamed: make(map[string]string)}
	var gone []string
	for name := range old.names {
		if _, known := new.of(name); !known {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	added := make(map[fingerprint][]string) // new names, by shape, if some may be renamed
	for name := range new.names {
		now, _ := new.of(name)
		before, known := old.of(name)
		switch {
		case !known && len(gone) == 0:
			c.Added = append(c.Added, name)
		case !known:
			added[now.shape] = append(added[now.shape], name)
		case before.digest != now.digest:
			c.Changed = append(c.Changed, name)
		}
	}
	for _, name := range gone {
		before, _ := old.of(name)
		if names := added[before.shape]; len(names) == 1 {
			c.Renamed[name] = names[0]
			if now, _ := new.of(names[0]); now.digest != before.digest {
				c.Changed = append(c.Changed, names[0])
			}
			delete(added, before.shape)
			continue
		}
		c.Removed = append(c.Removed, name)
	}
	for _, names := range added {
		c.Added = append(c.Added, names...)
	}
	slices.Sort(c.Added)
	slices.Sort(c.Changed)
	return c
}

// Evaluator returns the evaluation of open tunnels when this Table comes after another one, from
// which it differs by the changes.
func (t *Table) Evaluator(c Changes) func(drain.Facts) drain.Decision {
	return func(f drain.Facts) drain.Decision { return t.Evaluate(f, c.Renamed) }
}

// Evaluate returns what becomes of an open tunnel when this Table becomes current. The
// tunnel stays while its route exists, its backend is still the route's and not drained,
// and its client, Origin and credential would still be let in; all else may change. One that
// is no longer allowed makes it forbidden, and it ends whatever its drain
// policy says. If only the backend is gone, a tunnel that can redial moves within the
// pool. renamed maps old names of routes to new ones.
func (t *Table) Evaluate(f drain.Facts, renamed map[string]string) drain.Decision {
	name, backend := f.Route, f.Backend
	if to, ok := renamed[name]; ok {
		name = to
	}
	rt := t.byName[name]
	if rt == nil {
		return drain.Decision{Drain: true, Route: name, Backend: backend, Cause: drain.RouteRemoved}
	}
	if backend.Pool == f.Route && !rt.HasBackend(backend) {
		// A target written in place is a pool with the name of its route, and is
		// renamed with it.
		backend.Pool = name
	}
	v := drain.Decision{Route: name, Backend: backend}
	switch {
	case !rt.allowsClient(f.Client):
		v.Forbidden, v.Cause = true, drain.ClientForbidden
	case !rt.allowsOrigin(f):
		v.Forbidden, v.Cause = true, drain.OriginForbidden
	case !rt.allowsIdentity(f):
		v.Forbidden, v.Cause = true, drain.CredentialGone
	default:
		v.Cause = rt.leaves(backend)
	}
	v.Drain = v.Cause != drain.Stays
	v.Move = !v.Forbidden && rt.LeadsTo(backend.Pool)
	return v
}
