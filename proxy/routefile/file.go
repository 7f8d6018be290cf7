package routefile

import (
	"net/netip"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// File is one parsed routes file: plain data, owned by the caller, immutable
// by convention. Every record keeps its position.
type File struct {
	Path     string // as named by the caller; "-" for standard input
	Revision string // sha256 of the file's bytes, hex
	// RoutesWritten says that the file has the key routes, even if it is empty: an empty
	// one serves nothing on purpose, a missing one is a mistake.
	RoutesWritten bool

	Listeners      map[string]*Listener
	TrustedProxies []netip.Prefix
	Defaults       *Settings // nil: none given
	Shutdown       *Shutdown // nil: none given
	Pools          map[string]*Pool
	Routes         map[string]*Route

	tree   *tree          // of the document, for positions and plain values; nil: it has no mapping
	single map[string]Pos // of singleKeys
	data   []byte
	errs   Errors // what Parse found, for Check

	lines int // of data
	end   Pos // after its last character
}

// Pos is a place in a routes file. Line and Col are 1-based; Col counts characters.
type Pos = yamledit.Pos

// Record is the common part of everything with a name.
type Record struct {
	Name string // its key
	Pos  Pos    `json:"-"` // of the key; records are hashed as JSON, whatever their places

	invalid bool // Parse found mistakes in it, so that Check does not judge it
}

func (r *Record) markInvalid() { r.invalid = true }
func (r *Record) pos() Pos     { return r.Pos }

// Switch is a boolean that may be unset.
type Switch int8

const (
	Unset Switch = 0
	On    Switch = 1
	Off   Switch = -1
)
