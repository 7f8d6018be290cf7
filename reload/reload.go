// Package reload keeps a value of any type in step with its source: wake, read,
// build, swap.
//
// A [Loop] waits for its store.Source to say that something may have changed,
// reads it, hands the snapshot to the Build function it was given, and puts the
// result into its [Cell] with one atomic store. Readers load the Cell without
// locks. When reading or building fails, the last good value stays, the error is
// reported once per distinct cause, and the next good snapshot is taken. The loop's
// goroutine is the only writer and ends only with its context.
//
// The package knows nothing of routes or proxies: Build says what is built, and whether
// it is good.
package reload
