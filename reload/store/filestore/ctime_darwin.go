package filestore

import (
	"syscall"
	"time"
)

// ctime is when the inode last changed. Unlike mtime nobody can set it.
func ctime(s *syscall.Stat_t) time.Time { return time.Unix(s.Ctimespec.Unix()) }
