// Package echo is the server behind internal://echo, with which the proxy can be tried
// without any other.
//
// To the proxy it is a backend like any other: it has a connection per tunnel and answers
// a handshake, so its tunnels are opened, counted, limited and drained like all others.
package echo

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

// Dial connects to the WebSocket echo: over a unix socket pair, as the tunnel engines need
// descriptors. The server ends when the returned connection is closed, or after a Close
// frame.
func Dial() (net.Conn, error) {
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

// connOf takes over the descriptor.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "internal://echo")
	defer file.Close() // net.FileConn has its own copy
	return net.FileConn(file)
}

// ServeHTTP responds with what arrived: the body of a request that has one, else the
// request line and the headers as a backend would see them.
func ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff") // a client must not make a page of our origin
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
