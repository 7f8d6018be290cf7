// Package proxytest is the outside world for tests: echo servers that speak
// through gorilla/websocket (an echo written with our own codec would prove
// nothing), raw backends that answer byte for byte what a test scripts, and
// handshake fixtures. Imported by tests only.
package proxytest
