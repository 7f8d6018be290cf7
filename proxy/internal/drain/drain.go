// Package drain keeps the set of open tunnels and ends or moves those that must go.
//
// The proxy adds every tunnel to one [Group]. After a reload it has the Group
// evaluate them all. Those that must go are scheduled over the window of their
// policy, so that their clients do not all come back at once: a tunnel that can
// redial and must only leave its backend is told to move, any other one to end.
// A later reload that lets a tunnel stay cancels what has been scheduled for it.
// Shutdown schedules the end of every tunnel.
//
// What an [Entry] does in which state is in state.go, without timers and locks.
package drain
