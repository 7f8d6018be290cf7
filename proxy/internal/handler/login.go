package handler

// Backends that authenticate connections (NTLM): a client's connection is pinned to one of
// its own towards them, where that is safe.

import (
	"io"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// pins are the connections to backends that belong to the client's connection; nil if it
// cannot have any.
func (x *requestCtx) pins() *upstream.Pins {
	if x.gate == nil || x.noLogin() != nil {
		return nil
	}
	return x.gate.Attach(func() io.Closer { return new(upstream.Pins) }).(*upstream.Pins)
}

// noLogin returns why the client cannot authenticate a connection to a backend: its own
// carries requests of many users, or many at once. nil if it can.
func (x *requestCtx) noLogin() error {
	switch {
	case x.r.ProtoMajor > 1:
		return &forward.LoginError{Why: "not over HTTP/2, where requests share a connection; write http2: false at the listener"}
	case x.trusted && !x.rt.PinThroughProxy:
		return &forward.LoginError{Why: "not through a trusted proxy, whose connections may carry many users; " +
			"if it keeps a connection for each client, write ntlm: pin_through_proxy"}
	}
	return nil
}
