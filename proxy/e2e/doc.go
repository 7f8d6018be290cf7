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
//   - harness_proxy_test.go is the proxy under test: start it (start, startFiles,
//     spawn), edit its routes (edit, spoil, restore, write), find it (ws, http,
//     address), end it (signal, exit, cut). Every proxy is cut at its test's end;
//     a data race, a panic or a line of its log that is not JSON fails that test.
//   - harness_log_test.go waits for lines of its log, which is how a scenario waits for
//     anything: nothing here sleeps.
//   - harness_backend_test.go is servers that remember what they were asked. Package
//     proxytest has more: raw ones, certificates, bare clients.
//   - harness_process_test.go is servers that can be stopped and killed.
//   - harness_client_test.go talks WebSocket and HTTP, and bytes that are neither.
//   - harness_configmap_test.go swaps files as Kubernetes does.
//   - harness_binary_test.go builds the binary once, under the race detector when the
//     tests are.
//
// A proxy's log is printed when its test fails. Deadlines are generous on
// purpose: they end a hung test, they never decide one.
package e2e
