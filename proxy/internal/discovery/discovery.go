// Package discovery finds the members of pools that the routes file does not list:
// by DNS, as addresses of a name or as SRV records.
//
// A [Lookup] asks once (dns.go). [Pollers] ask again and again, give the answers to
// the pools, and report what changed (poller.go). A [Registry] remembers each pool's
// backends, so that their counts survive (registry.go). Polling outlives reloads by
// the pool's name, and so does the last good answer: while a name server is away,
// nothing changes.
//
// The package knows pools and backends, and nothing of routes or tunnels: what a
// change of members means for them is for the receiver of its [Events].
package discovery
