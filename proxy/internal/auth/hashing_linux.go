package auth

import "golang.org/x/sys/unix"

// lowerPriority gives the calling thread the lowest share of a core. On Linux a nice value
// is a thread's own.
func lowerPriority() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) }
