// Package forward carries ordinary HTTP to a backend: a thin layer over
// httputil.ReverseProxy (Rewrite, never Director, and never its upgrade path:
// tunnels are not built here, golang/go#80875).
//
// It also owns what the tunnel's handshake shares with HTTP: which request
// headers go to a backend, which come back, and what is said about the client.
package forward
