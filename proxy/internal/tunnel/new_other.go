//go:build !linux

package tunnel

// New returns the best engine for this system: the portable one.
func New() Engine { return Portable() }
