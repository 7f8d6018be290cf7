package tunnel

// TCP sockets as mere descriptors, for connections that an event loop has from
// their beginning to their end: Go's net would register each with its own poller,
// ask for its addresses and set its options, a dozen calls in all.

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen listens on a TCP address. What is accepted has small messages sent at once
// and is asked for a sign of life when it is silent, as connections of Go's have:
// it inherits that.
func Listen(address string) (net.Listener, error) {
	config := net.ListenConfig{
		KeepAlive: -1,
		Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { prepareSocket(int(fd)) })
		},
	}
	config.SetMultipathTCP(false) // which nobody here speaks, and every packet would pay for
	return config.Listen(context.Background(), "tcp", address)
}

// prepareSocket sends small messages at once, and finds out within three minutes
// that a silent peer is gone: after 15 seconds of silence it is asked, nine times
// at most. No option is worth failing for.
func prepareSocket(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9)
}

// Acceptor accepts connections as mere descriptors. Safe for concurrent use.
type Acceptor struct {
	file   *os.File // a second descriptor: net's listeners let nobody else wait
	raw    syscall.RawConn
	closed atomic.Bool
}

// NewAcceptor returns an Acceptor for a listening socket, which stays its owner's;
// ln itself may go on accepting, too. Close the Acceptor before ln.
func NewAcceptor(ln *net.TCPListener) (*Acceptor, error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return nil, err
	}
	dup := -1
	if e := raw.Control(func(fd uintptr) { dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); e != nil || err != nil {
		return nil, cmp.Or(err, e)
	}
	reserve.keep()
	a := &Acceptor{file: os.NewFile(uintptr(dup), "listener")}
	a.raw, err = a.file.SyscallConn()
	return a, err
}

// Close ends an Accept under way with net.ErrClosed.
func (a *Acceptor) Close() error {
	a.closed.Store(true)
	return a.file.Close()
}

// Accept waits for a connection.
func (a *Acceptor) Accept() (conn Descriptor, peer netip.AddrPort, err error) {
	var failed error
	fd := -1
	err = a.raw.Read(func(listening uintptr) bool {
		fd, peer, failed = accept(int(listening))
		return failed != unix.EAGAIN
	})
	switch {
	case err != nil && a.closed.Load():
		return conn, peer, net.ErrClosed
	case err == nil && failed != nil:
		err = os.NewSyscallError("accept4", failed)
	}
	return Descriptor{fd: int32(fd)}, peer, err
}

func accept(listening int) (fd int, peer netip.AddrPort, err error) {
	for {
		fd, from, err := unix.Accept4(listening, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case unix.EINTR, unix.ECONNABORTED: // that one has gone; there may be others
			continue
		case nil:
			return fd, addrPort(from), nil
		}
		return -1, peer, err
	}
}

func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// dial begins to connect.
func dial(to netip.AddrPort) (fd int, err error) {
	family, addr := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())})
	if to.Addr().Is4() {
		family, addr = unix.AF_INET, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	prepareSocket(fd)
	if err := unix.Connect(fd, addr); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, os.NewSyscallError("connect", err)
	}
	return fd, nil
}
