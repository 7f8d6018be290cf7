package upstream

// The least of the probes: somebody accepts connections there, and speaks TLS
// where TLS is to be spoken.

import "context"

// ProbeTCP connects, and hangs up.
func ProbeTCP(t TLS) Probe {
	return func(ctx context.Context, b *Backend) error {
		conn, err := b.Dial(ctx, t)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
