package health

import "context"

// TCP is the probe that connects, with the TLS handshake where there is one.
func TCP(ctx context.Context, t Target) error {
	conn, err := t.Dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}
