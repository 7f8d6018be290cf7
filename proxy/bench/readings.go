package main

// When a proxy has read its configuration: the kernel knows, no proxy has to be
// asked.

import (
	"encoding/binary"
	"strings"
	"syscall"
)

// readings watches the files of one directory. One goroutine at a time.
type readings struct{ fd int }

func watchReadings(dir string) (*readings, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_CLOSE_NOWRITE); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return &readings{fd}, nil
}

func (r *readings) close() { syscall.Close(r.fd) }

// any says whether there was a reading since it was asked last.
func (r *readings) any() (found bool) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := syscall.Read(r.fd, buffer)
		if err != nil || n <= 0 {
			return found // EAGAIN: that was all
		}
		for _, name := range watchedNames(buffer[:n]) {
			switch name {
			case "routes.yaml", "nginx.conf", "haproxy.cfg", "Caddyfile":
				found = true
			}
		}
	}
}

// watchedNames are the names in a buffer of inotify's: each event has 16 bytes,
// the last four of which are the length of the name that follows, padded by NULs.
func watchedNames(b []byte) (names []string) {
	for len(b) >= syscall.SizeofInotifyEvent {
		length := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[syscall.SizeofInotifyEvent:]
		if length > len(b) {
			return names
		}
		names = append(names, strings.TrimRight(string(b[:length]), "\x00"))
		b = b[length:]
	}
	return names
}
