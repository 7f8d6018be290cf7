package forward

// Header names as they were spelled. By now all that is decided by a name has been
// decided, by its canonical form.

import (
	"net/http"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// SpellRequest gives the names in a header of RequestHeader's the client's spelling
// back, in place, as the last step before it is written: what looks for a
// canonical name in h afterwards may miss it. Names that the route sets are spelled
// as the route does. What tells about the client is the proxy's own: in a
// stranger's spelling a backend might not find it.
func (p *Policy) SpellRequest(h http.Header, client spelling.Names) {
	p.Request.spell(h)
	for _, name := range client {
		if !aboutClient(name) && !p.Request.writes(name) {
			spelling.Respell(h, name)
		}
	}
	p.Request.spellDefaults(h)
	spelling.RespellHandshake(h)
}

// SpellResponse is SpellRequest for a backend's answer, or an answer of the proxy's.
func (p *Policy) SpellResponse(h http.Header, backend spelling.Names) {
	p.Response.spell(h)
	for _, name := range backend {
		if !p.Response.writes(name) {
			spelling.Respell(h, name)
		}
	}
	p.Response.spellDefaults(h)
	spelling.RespellHandshake(h)
}

// spellDefaults comes after the names that were sent: those are not the route's.
func (e *HeaderEdit) spellDefaults(h http.Header) {
	for _, line := range e.Default {
		spelling.Respell(h, line.Name)
	}
}

func (e *HeaderEdit) spell(h http.Header) {
	for _, lines := range [][]Header{e.Set, e.Add} {
		for _, line := range lines {
			spelling.Respell(h, line.Name)
		}
	}
}

// writes says whether the edit has a line of that name.
func (e *HeaderEdit) writes(name string) bool {
	for _, lines := range [][]Header{e.Set, e.Add} {
		for _, line := range lines {
			if httpsyntax.EqualFold(line.Name, name) {
				return true
			}
		}
	}
	return false
}
