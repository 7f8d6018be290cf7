//go:build !linux

package tunnel

// ReadFigures reads the figures of tunnels.
func ReadFigures(tunnels []Tunnel) []Figures {
	all := make([]Figures, len(tunnels))
	for i, t := range tunnels {
		all[i] = figuresOf(t)
	}
	return all
}
