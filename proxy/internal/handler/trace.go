package handler

// TRACE and OPTIONS. With Max-Forwards: 0 the proxy itself answers (RFC 9110, section
// 7.6.2).

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// checkTrace refuses a TRACE, unless the route names the method: the answer repeats all that
// the backend was sent, which may be secret from the client.
func (x *requestCtx) checkTrace() *refusal {
	switch {
	case x.r.Method != http.MethodTrace:
		return nil
	case !x.rt.AllowsTrace:
		rf := refuse(http.StatusMethodNotAllowed, "TRACE is not allowed here", nil)
		rf.header = http.Header{"Allow": {h1.Methods}}
		return rf
	case x.r.ContentLength != 0:
		return refuse(http.StatusBadRequest, "TRACE with a body", nil)
	}
	return nil
}

// ownOptions is what route returns for OPTIONS *, which no route has, where the proxy is
// to answer it.
var ownOptions = &refusal{}

// endsHere reports whether no proxy may pass the request on any more.
func (x *requestCtx) endsHere() bool {
	left, ok := forward.MaxForwards(x.r.Method, x.r.Header)
	return ok && left == 0
}

// answersMaxForwards answers a request that must not be forwarded again. It returns false,
// and does nothing, for any other.
func (x *requestCtx) answersMaxForwards() bool {
	if !x.endsHere() {
		return false
	}
	if x.r.Method == http.MethodTrace {
		x.w.Header().Set("Content-Type", "message/http")
		x.write(http.StatusOK, x.traceBody())
		return true
	}
	x.w.Header().Set("Allow", h1.Methods)
	x.write(http.StatusOK, nil)
	return true
}

// secret are the headers that a TRACE's answer leaves out (RFC 9110, section 9.3.8).
var secret = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// traceBody is the request as it came, but for the order of its lines.
func (x *requestCtx) traceBody() []byte {
	var b strings.Builder
	b.WriteString(x.r.Method + " " + x.r.RequestURI + " " + x.r.Proto + "\r\nHost: " + x.r.Host + "\r\n")
	h := x.r.Header.Clone()
	for name := range h {
		if slices.Contains(secret, name) || strings.HasPrefix(name, ":") {
			delete(h, name)
		}
	}
	for _, name := range x.names {
		spelling.Respell(h, name)
	}
	spelling.RespellHandshake(h)
	_ = h.Write(&b) // to memory
	b.WriteString("\r\n")
	return []byte(b.String())
}
