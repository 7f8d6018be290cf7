package handler

import "testing"

// TestPhases is the table of a handshake's phases: what follows each outcome.
func TestPhases(t *testing.T) {
	for p, want := range map[phase][4]phase{
		//           succeeded    rerouted   anotherBackend  failed
		reserving:   {connecting, reserving, reserving, settled},
		connecting:  {awaitAnswer, reserving, reserving, settled},
		awaitAnswer: {settled, reserving, reserving, settled},
	} {
		for o, want := range want {
			if got := p.after(outcome(o)); got != want {
				t.Errorf("phase %d, outcome %d: %d, want %d", p, o, got, want)
			}
		}
	}
}
