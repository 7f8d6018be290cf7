package statusapi

// Impact is what an edit would change and do to the open tunnels. Names are sorted.
type Impact struct {
	Added   []string          `json:"added"` // routes
	Changed []string          `json:"changed"`
	Removed []string          `json:"removed"`
	Renamed map[string]string `json:"renamed"` // old name -> new name

	Pools     NameChanges `json:"pools"`
	Listeners NameChanges `json:"listeners"`
	Settings  []string    `json:"settings"` // keys of the file besides its records that change

	// Tunnels that an edit before this one, or an operator, has told to go, or will tell, are
	// counted nowhere, unless they may stay now.
	Kept    int                    `json:"kept"`
	Drained int                    `json:"drained"` // would be told to go
	Moved   int                    `json:"moved"`   // of those: would go on with another backend (redial)
	Routes  map[string]RouteImpact `json:"routes"`  // those with tunnels that are counted, by the name that they have then
}

// NameChanges is the difference between two sets of records.
type NameChanges struct {
	Added   []string `json:"added"`
	Changed []string `json:"changed"`
	Removed []string `json:"removed"`
}

// RouteImpact is what an edit would do to one route's tunnels.
type RouteImpact struct {
	Kept    int    `json:"kept"`
	Drained int    `json:"drained"`
	Moved   int    `json:"moved,omitempty"`
	Cause   string `json:"cause,omitempty"`  // why most of them are drained
	Window  string `json:"window,omitempty"` // over which they are told, after 3 s
}

// Same says that the edit changes nothing but layout and comments.
func (i *Impact) Same() bool {
	return len(i.Added)+len(i.Changed)+len(i.Removed)+len(i.Renamed)+len(i.Settings) == 0 &&
		i.Pools.none() && i.Listeners.none() && i.Drained == 0
}

func (c NameChanges) none() bool { return len(c.Added)+len(c.Changed)+len(c.Removed) == 0 }
