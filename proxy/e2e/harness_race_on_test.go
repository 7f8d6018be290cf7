//go:build race

package e2e

// raceDetector says that these tests run under the race detector: the binary
// under test is then built with it too.
const raceDetector = true
