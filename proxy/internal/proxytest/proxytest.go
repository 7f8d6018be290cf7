// Package proxytest has backends and clients for tests, and only tests import it: echo
// servers on gorilla/websocket (an echo on our own codec would prove nothing), raw backends
// and clients that send byte for byte what a test scripts, handshakes, certificates and a
// name server.
package proxytest
