// Package proxy is the proxy as a whole: a [Server] that serves whatever [Table] is
// current.
//
//	*routefile.Set -Build-> *Table -(atomic swap, by the caller)-> Server.Adopt
//
// The Table is package routing's, sockets are package listen's, and a request's way is
// package handler's. The Server holds them together: it binds addresses before a Table is
// current (server.go), has open tunnels evaluated after (Adopt), has backends probed and
// logs their health (health_log.go), rebalances pools (rebalance.go), and stops.
//
// Who owns what: the Table belongs to the caller that swaps it (the command line's reload
// loop); open tunnels to the drain.Group; a tunnel's bytes to the tunnel engine. Nothing
// here reads the routes file or knows where it lives. Where to begin a change of any of
// it is a table in docs/design/floor-plan.md.
package proxy

import (
	"context"
	"log"
	"log/slog"
	"net"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// SocketFile says who may connect to a unix socket.
type SocketFile = listen.SocketFile

// Listen listens on "host:port" or "unix:/path"; f is for the latter. A unix socket on which
// no process listens is what a killed process leaves behind: it is replaced.
func Listen(address string, f SocketFile) (net.Listener, error) { return listen.Listen(address, f) }

// DebugLog returns an http.Server's ErrorLog that logs at the level debug.
func DebugLog(to *slog.Logger) *log.Logger { return listen.DebugLog(to) }

// Table is what to serve: immutable, safe for concurrent use, made by Build.
type Table = routing.Table

// Changes is the difference between two Tables, by route name, sorted.
type Changes = routing.Changes

// NameChanges is the difference between two sets of records, by name, sorted.
type NameChanges = routing.NameChanges

// Impact is what an edit would do to the open tunnels.
type Impact = drain.Impact

// CompareSets returns the difference between two sets of which no Table is made.
func CompareSets(old, new *routefile.Set) Changes { return routing.CompareSets(old, new) }

// Build makes a Table of a checked set. It takes over from prev what outlives reloads
// (backends, pools' places, counts); prev may be nil and is not changed. Build reads
// certificates and dials nothing. Its error is routefile.Errors.
func Build(set *routefile.Set, prev *Table) (*Table, error) { return routing.Build(set, prev) }

// BuildContext is Build for as long as ctx lasts; then the error is ctx's cause.
func BuildContext(ctx context.Context, set *routefile.Set, prev *Table) (*Table, error) {
	return routing.BuildContext(ctx, set, prev)
}
