// Package upstream is the other side of the proxy: pools and their backends.
//
// A [Backend] is one server, known by its [Identity]: pool name, scheme and
// authority. It outlives reloads: whoever builds a new table takes the backends
// that are still named from the old one, so that counts of open tunnels, and
// whatever else was learned of a server, survive every edit that does not touch
// it. A [Pool] is an immutable choice among backends under one balancing
// policy; each policy stands in a file of its own.
//
// Every answer is read through a strict gate beneath net/http (gate.go says
// why), for ordinary requests and for handshakes alike.
package upstream
