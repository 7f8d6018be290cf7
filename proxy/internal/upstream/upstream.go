// Package upstream is the other side of the proxy: pools and their backends.
//
// A [Backend] is one server, known by its [BackendKey]: pool name, scheme and
// authority. It outlives reloads: whoever builds a new table takes the backends
// that are still named from the old one, so that counts of open tunnels, and
// whatever else was learned of a server, survive every edit that does not touch
// it. A [Pool] is a choice among backends under one balancing policy; each policy
// stands in a file of its own.
//
// # A choice
//
// [Pool.Pick] answers a [Choice] and counts it in the backend that it names, in
// one turn: no two choices see the same counts. Who comes into question is
// decided before the policy is asked, in this order:
//
//   - Stickiness: the backend that the client is bound to, whatever its tier.
//   - Member.open: neither drained nor disabled in the routes file, and
//     Backend.Available, which probes and failures feed (setTrouble). Reading it is
//     one atomic load.
//   - Member.full: what the member may have at once, asked and counted in the
//     pool's turn, so that a limit holds exactly.
//   - Choice.Exclude: what a retry has tried.
//   - Tiers, spares and standbys (tier.go).
//
// A policy then sees the candidates' effective weights: a backend that starts
// slowly is given a part of its own (setWarmth).
//
// # What feeds it
//
// [Backend.Watch] has a backend asked by a [Probe] (health.go, probe_*.go) and sets
// how failures of what it is sent eject it (eject.go; [Pool.Failed] and
// [Backend.Succeeded] tell of them) and how it comes back (rise.go). Verdicts belong to
// the backend and outlive edits; asking ends with Close. [Pool.PickOrWait] lets a
// bounded line wait in front of a pool (queue.go). [Lookup] finds the members of pools
// that name none (resolve.go); whoever asks calls [Pool.SetMembers]. [Pool.Shares] says
// who has more tunnels than its share (share.go).
//
// Every answer is read through a strict gate beneath net/http (gate.go says
// why), for ordinary requests and for handshakes alike.
package upstream
