package match

// What a rule captured of a path.

// Captures is what the winning rule of a Lookup captured. The zero value is
// ready to use and may be used for one lookup after another, but not by two
// goroutines at once. The texts are parts of the normalised path, escapes and
// all.
type Captures struct {
	path    string
	pattern *pattern
	spans   []int       // start and end of each capture, number 0 first; empty: not computed yet
	options pathOptions // for a path that is made of them
}

// reset makes c the captures of r, which may be nil. A regex is run again only
// when a capture is asked for.
func (c *Captures) reset(r *rule, path string) {
	c.path, c.pattern, c.spans, c.options = path, nil, c.spans[:0], 0
	if r != nil && r.path.names != nil {
		c.pattern = r.path
	}
}

// pathOptions are those of a path that is made of c, which may be nil.
func (c *Captures) pathOptions() pathOptions {
	if c == nil {
		return 0
	}
	return c.options
}

// Index returns the capture with that number, 1 being the first; 0 is the text
// that the whole pattern matched. A regex's group that took no part is "". It
// reports false if the rule has no such capture.
func (c *Captures) Index(i int) (string, bool) {
	if c.pattern == nil || i < 0 || i >= len(c.pattern.names) {
		return "", false
	}
	if len(c.spans) == 0 {
		c.spans = c.pattern.spans(c.spans, c.path)
	}
	start, end := c.spans[2*i], c.spans[2*i+1]
	if start < 0 {
		return "", true
	}
	return c.path[start:end], true
}

// Get returns the capture with that name: {name} of an exact path, (?P<name>)
// of a regex.
func (c *Captures) Get(name string) (string, bool) {
	if c.pattern == nil || name == "" {
		return "", false
	}
	for i, n := range c.pattern.names {
		if n == name {
			return c.Index(i)
		}
	}
	return "", false
}
