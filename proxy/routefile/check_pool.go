package routefile

import (
	"github.com/tunnelform/tunnelform/proxy/internal/match"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// What Check asks of a pool's own keys, and of the routes that send to it.

// checkBalance wants balance: hash and the hash beside each other, and the capture
// that is hashed in every route to the pool.
func (c *checker) checkBalance(p placed[*Pool]) {
	name, record := p.it.Name, recordOf("pool", p.it.Name)
	hashes := p.it.Balance == "hash"
	switch {
	case p.it.spoilt:
	case hashes && p.it.Hash == (HashKey{}):
		c.at(p.file, []string{"pools", name, "balance"}, record, "balance hash without hash: say what to go by, such as hash: {client: true}")
	case !hashes && p.it.Hash != (HashKey{}):
		c.at(p.file, []string{"pools", name, "hash"}, record, "hash without effect: wanted balance: hash beside it")
	}
}

// checkHashedCapture wants of a route to a pool what the pool hashes.
func (c *checker) checkHashedCapture(r placed[*Route]) {
	pool := c.pools[r.it.To.Host].it
	if r.it.To.Scheme != "pool" || pool == nil || pool.Hash.Capture == "" || r.it.spoilt {
		return
	}
	if checkCaptured(pool.Hash.Capture, r.it.Match.pattern()) != nil {
		c.at(r.file, []string{"routes", r.it.Name, "to"}, recordOf("route", r.it.Name),
			"to %q: the pool hashes the capture %q, which the route's path does not have", yamledit.Clip(r.it.To.Raw), pool.Hash.Capture)
	}
}

func checkCaptured(capture string, p match.Path) error {
	template := "/{" + capture + "}"
	if isDigits(capture) {
		template = "/${" + capture + "}"
	}
	t, err := match.ParseTemplate(template)
	if err != nil {
		return err
	}
	return match.CheckRefs(t, p)
}
