// Package upstream holds the pools and their backends.
//
// A [Backend] is one server, known by its [BackendKey]: pool name, scheme and
// authority. It outlives reloads: a new table takes from the old one the backends that
// both name, so that counts of open tunnels, and the verdict on its health, survive
// every edit that does not touch it. A [Pool] is a choice among backends under one
// balancing policy. Each policy has a file of its own, and pool.go lists them by name.
//
// # A choice
//
// [Pool.Pick] answers a [Choice] and counts it in the backend that it returns, under
// one lock: no two choices see the same counts. Pick decides which members are candidates
// before it asks the policy, in this order:
//
//   - Stickiness: the backend that the client is bound to, whatever its tier.
//   - Member.usable: neither drained nor disabled in the routes file, and
//     Backend.Available.
//   - Member.full: limits are checked and counted under the pool's lock, so that they
//     hold exactly.
//   - Choice.Exclude: the backends that a retry has tried.
//   - Tiers, spares and standbys (tier.go).
//
// The policy then sees the candidates' effective weights: in slow start a backend has
// only a part of its weight.
//
// # What feeds it
//
// [Backend.CheckHealth] has package health probe a backend and judge it (health_check.go);
// [Pool.Failed] and [Backend.Succeeded] tell it of the traffic. [Pool.PickOrWait] queues
// requests in front of a pool (queue.go). [Pool.SetMembers] takes what
// package discovery has found. [Pool.Shares] says which backends have more
// tunnels than their share (share.go).
//
// Every answer, to an ordinary request or a handshake, is read through the strict reader
// beneath net/http (package h1).
package upstream
