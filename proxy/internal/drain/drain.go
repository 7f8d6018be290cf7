// Package drain keeps the set of open tunnels and decides when each must end.
//
// The proxy adds every tunnel to one [Group]. After a reload it asks the Group
// to judge them all; those that must go are told so one after the other, spread
// over their policy's window, so that their clients do not all come back at
// once. A tunnel that a later reload finds welcome again before its turn has
// come is left alone. Shutdown is the same with another code, whatever a
// route's policy says. A tunnel that has lost its place with its backend alone, and
// may redial, has its turn in the same way, but to move (move.go).
package drain
