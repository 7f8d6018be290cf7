package cli

// What an edit changes and what it does to open tunnels, for the admin API and for diff.

import (
	"cmp"
	"maps"
	"slices"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// impactOf puts together what differs between routes and what becomes of tunnels, which is
// nil where there are none.
func impactOf(c proxy.Changes, tunnels *proxy.Impact) *statusapi.Impact {
	i := &statusapi.Impact{
		Added: list(c.Added), Changed: list(c.Changed), Removed: list(c.Removed), Settings: list(c.Settings),
		Pools: nameChanges(c.Pools), Listeners: nameChanges(c.Listeners),
		Renamed: c.Renamed, Routes: map[string]statusapi.RouteImpact{},
	}
	if tunnels == nil {
		return i
	}
	i.Kept, i.Drained, i.Moved = tunnels.Kept, tunnels.Drained, tunnels.Moved
	for name, r := range tunnels.Routes {
		route := statusapi.RouteImpact{Kept: r.Kept, Drained: r.Drained, Moved: r.Moved}
		if r.Drained > 0 {
			route.Cause, route.Window = causeText(r.Causes), r.Window.String()
		}
		i.Routes[name] = route
	}
	return i
}

func nameChanges(c proxy.NameChanges) statusapi.NameChanges {
	return statusapi.NameChanges{Added: list(c.Added), Changed: list(c.Changed), Removed: list(c.Removed)}
}

// list is never null in JSON.
func list(names []string) []string { return append([]string{}, names...) }

// causeText is the cause of most.
func causeText(causes map[string]int) string {
	most := slices.MaxFunc(slices.Sorted(maps.Keys(causes)), func(a, b string) int { return cmp.Compare(causes[a], causes[b]) })
	if len(causes) > 1 {
		most += ", and other causes"
	}
	return most
}
