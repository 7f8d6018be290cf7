// Package wsproto knows RFC 6455 as text and bytes: the opening handshake in
// both directions, the frame header, and close codes. It owns no sockets and
// starts no goroutines; everything here is a pure function or a small value
// that one goroutine uses at a time.
//
// Three ideas: handshake.go and its kin verify what a client asks and what
// a backend answers, strictly, because every lenient reading there has been
// request smuggling; frame.go walks frame headers through bytes
// that arrive in any split, without unmasking or buffering payloads; close.go
// names and validates close codes.
package wsproto
