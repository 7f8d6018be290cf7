package tunnel

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// pollHangup asks poll(2), which knows of a peer's end whatever is still to be read.
type pollHangup struct {
	raw syscall.RawConn
	ask func(fd uintptr) // look, bound once
	set [1]unix.PollFd
}

func hangupOf(c net.Conn) hangup {
	raw := rawOf(c)
	if raw == nil {
		return nil
	}
	h := &pollHangup{raw: raw}
	h.ask = h.look
	return h
}

func (h *pollHangup) peerHungUp() bool {
	h.set[0].Revents = 0
	err := h.raw.Control(h.ask)
	return err != nil || h.set[0].Revents != 0 // an error: it is closed here
}

func (h *pollHangup) look(fd uintptr) {
	h.set[0].Fd, h.set[0].Events = int32(fd), unix.POLLRDHUP
	if _, err := unix.Poll(h.set[:], 0); err != nil {
		h.set[0].Revents = 0
	}
}

// bare is the connection that Under has covered.
func bare(c net.Conn) net.Conn {
	if u, ok := c.(*nonblockingConn); ok {
		return u.Conn
	}
	return c
}
