// Package builtin is the backends that the proxy brings along, so that it can
// be tried without any other server: internal://echo.
//
// The echo is a server like any other: it is reached over a connection of its
// own, answers a handshake, and its tunnels are opened, counted, limited and
// drained like every tunnel.
package builtin

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
)

// DialEcho connects to a WebSocket echo of this process: a unix socket pair, so
// that a tunnel to it has descriptors as every other tunnel does. The server's
// end lives until the returned connection is closed, or its peer says goodbye.
func DialEcho() (net.Conn, error) {
	near, far, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("connecting to internal://echo: %w", err)
	}
	go serveEcho(far)
	return near, nil
}

func socketPair() (near, far net.Conn, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if near, err = connOf(fds[0]); err != nil {
		syscall.Close(fds[1])
		return nil, nil, err
	}
	if far, err = connOf(fds[1]); err != nil {
		near.Close()
		return nil, nil, err
	}
	return near, far, nil
}

// connOf makes a net.Conn of a descriptor, which it takes over.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "internal://echo")
	defer file.Close() // net.FileConn has its own copy
	return net.FileConn(file)
}

// Echo answers an HTTP request with what arrived: the body of a request that
// has one, else the request's line and headers as the backend would see them.
func Echo(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff") // what comes from a client is never a page of ours
	h.Set("Cache-Control", "no-store")
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	_, _ = io.WriteString(w, b.String())
}
