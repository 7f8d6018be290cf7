package routefile

import (
	"errors"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// The key of balance: hash.

// HashKey is the part of a request that a pool hashes: one of these, or none.
type HashKey struct {
	Header  string
	Cookie  string
	Query   string
	Capture string // a name or a number
	Client  bool
}

func hashKeys() []*Key {
	return []*Key{
		key("header", "The value of this header.",
			text(func(h *HashKey) *string { return &h.Header }, checkToken), example("X-User")),
		key("cookie", "The value of this cookie.",
			text(func(h *HashKey) *string { return &h.Cookie }, checkToken), example("session")),
		key("query", "The value of this query parameter.",
			text(func(h *HashKey) *string { return &h.Query }, checkNotEmpty), example("room")),
		key("capture", "The capture of the route's path with this name or number. Every route to the pool must have it.",
			value(func(h *HashKey) *string { return &h.Capture }, checkCapture), example("room")),
		key("client", "The client's address. Only true is allowed.",
			onlyTrue(func(h *HashKey) *bool { return &h.Client }, "remove the key instead"), example("true")),
	}
}

// checkCapture accepts the name of a capture, or its number.
func checkCapture(s string) error {
	if isDigits(s) && s[0] != '0' || isCaptureName(s) {
		return nil
	}
	return errors.New("wanted the name of a capture, or its number from 1 on")
}

// isCaptureName reports whether s may be the name in {name} and (?P<name>).
func isCaptureName(s string) bool {
	for i := range len(s) {
		if !httpsyntax.IsAlphanumeric(s[i]) && s[i] != '_' || i == 0 && '0' <= s[0] && s[0] <= '9' {
			return false
		}
	}
	return s != ""
}

// checkBalance reports a hash without balance: hash, and the other way round.
func (c *checker) checkBalance(p placed[*Pool]) {
	name, record := p.it.Name, recordOf("pool", p.it.Name)
	hashes := p.it.Balance == "hash"
	switch {
	case p.it.invalid:
	case hashes && p.it.Hash == (HashKey{}):
		c.at(p.file, []string{"pools", name, "balance"}, record, "balance: hash needs something to hash, such as hash: {client: true}")
	case !hashes && p.it.Hash != (HashKey{}):
		c.at(p.file, []string{"pools", name, "hash"}, record, "hash has no effect without balance: hash")
	}
}

// checkHashedCapture reports a route to a pool that lacks the capture which the pool hashes.
func (c *checker) checkHashedCapture(r placed[*Route]) {
	pool := c.pools[r.it.To.Host].it
	if r.it.To.Scheme != "pool" || pool == nil || pool.Hash.Capture == "" || r.it.invalid {
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
