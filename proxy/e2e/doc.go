// Package e2e tests the built binary from outside, one scenario a file. It has
// no code of its own, only tests.
//
// A scenario starts the proxy with a routes file, talks to it over real sockets
// with real backends (package proxytest), and reads what it did from its log:
//
//	func TestEcho(t *testing.T) {
//		p := start(t, web+`
//	routes:
//	  echo: {match: {path: /echo}, to: "internal://echo"}
//	`)
//		conn := dial(t, p.ws("/echo"))
//		echo(t, conn, "hello")
//		conn.Close()
//		p.waitLog("tunnel closed", fields{"route": "echo", "closed_by": "client"})
//	}
//
// The harness, by file:
//
//   - binary_test.go builds the binary once, under the race detector when the
//     tests are.
//   - process_test.go is the proxy under test: [start], edits of its files, its
//     addresses, its end. Every proxy is stopped with its test, and a data race, a
//     panic or a line of its log that is not JSON fails that test.
//   - log_test.go waits for log lines. Waiting for a line is how a scenario waits
//     for anything: nothing here sleeps.
//   - client_test.go talks WebSocket and HTTP to it.
//
// Deadlines are generous on purpose: they end a hung test, they never decide one.
package e2e
