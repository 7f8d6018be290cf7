package handler

// One request: what is known of it, which route it takes, and its line in the log.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/auth"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// requestCtx is one request under way. It belongs to its handler's goroutine.
type requestCtx struct {
	h        *Handler
	listener string      // the key of its socket
	slot     listen.Slot // of its connection
	gate     *h1.Conn    // nil on HTTP/2, and while an event loop has the connection
	w        *recorder
	r        *http.Request
	names    spelling.Names // of r.Header, as the client spelled them
	id       string
	began    time.Time

	peer   netip.AddrPort
	secure bool // it came over TLS

	// Set by admit, of a route with authentication.
	grant    *auth.Grant   // nil while nobody has been let in
	received *http.Request // as the client sent it; r is what the backend gets. nil until admit

	// Set by route; all of one Table.
	trusted  bool             // the peer is a trusted proxy
	reported forward.Reported // what trusted proxies say
	client   netip.Addr       // the peer, or the one that a trusted proxy names
	table    *routing.Table
	host     string          // normalised
	rt       *routing.Route  // nil: none matches
	policy   *forward.Policy // rt's, with the placeholders of this request filled in
	path     match.SentPath  // for the backend, before the route's rewriting
	query    string          // with its "?"
	captures match.Captures

	backend   *upstream.Backend    // picked; for the log
	tried     []*upstream.Backend  // those before that have failed
	ticket    upstream.QueueTicket // in the queue of its pool
	hint      string               // what may help against the backend's answer; for the log
	err       error                // what went wrong, with all details; for the log
	spelled   spelling.Names       // of the answer's header, as the backend spelled them
	tunnelled bool                 // it became a tunnel, which has lines of its own

	asksTunnel bool   // it is a handshake
	why        string // it was refused, if that is not plain from the status; for the metrics
}

// newRequest returns the context of a request. Nothing may be written before w has a
// ResponseWriter.
func (h *Handler) newRequest(s *listen.Socket, r *http.Request, gate *h1.Conn, peer netip.AddrPort) *requestCtx {
	x := &requestCtx{
		h:        h,
		listener: s.Key(),
		slot:     s.Slot(),
		gate:     gate,
		r:        r,
		began:    time.Now(),
		peer:     peer,
		secure:   r.TLS != nil,
	}
	x.w = &recorder{head: x.beforeHead}
	return x
}

// answerWhileReading lets the proxy's own answers go out before the body has come. Otherwise
// net/http waits for up to 256 KiB of it first.
func (x *requestCtx) answerWhileReading() {
	if x.gate != nil && x.r.ContentLength != 0 {
		_ = http.NewResponseController(x.w).EnableFullDuplex() // HTTP/1.1 always can
	}
}

// finish ends the answer and logs the request, unless it became a tunnel.
func (x *requestCtx) finish() {
	if x.tunnelled {
		return
	}
	aborted := recover()
	switch {
	case aborted == nil:
		x.w.end()
	case aborted != http.ErrAbortHandler:
		x.h.logBug(x.id, aborted)
	}
	x.countReset()
	x.logRequest(aborted)
	x.drainBody()
}

// drainTimeout is how long the rest of a request's body may take after the answer.
const drainTimeout = 5 * time.Second

// drainBody reads the rest of a body that is not needed, so that the client can use the
// connection again. It has a time limit, or a client could keep the connection and its slot
// for ever: net/http's own reading has none, and after EnableFullDuplex it does not leave
// the connection usable.
func (x *requestCtx) drainBody() {
	if x.gate == nil || !x.gate.DrainBody(drainTimeout) {
		return
	}
	_ = http.NewResponseController(x.w).Flush() // the client may be waiting for it
	_ = x.r.Body.Close()                        // an error is the gate's to remember
}

// logBug logs a panic, which can only be a bug of ours. net/http logs it too, but among its
// messages about clients, which few read.
func (h *Handler) logBug(id string, what any) {
	h.Log.Error("bug", "id", id, "panic", fmt.Sprint(what), "stack", string(debug.Stack()))
}

// beforeHead runs before the head of an answer that is not a 101 is written.
func (x *requestCtx) beforeHead(h http.Header) {
	x.closeUnlessReusable(h)
	x.spell(h)
}

// spell gives the names of an answer's header their spelling. HTTP/2 has lower case
// only.
func (x *requestCtx) spell(h http.Header) {
	switch {
	case x.r.ProtoMajor != 1:
	case x.policy != nil:
		x.policy.SpellResponse(h, x.spelled)
	default:
		spelling.RespellHandshake(h)
	}
}

// closeUnlessReusable closes the connection behind the answer if it has to be: if
// bytes followed the head of a request for an upgrade, they were meant for a
// tunnel that did not come to be, and must never be read as a request.
func (x *requestCtx) closeUnlessReusable(h http.Header) {
	if x.gate == nil || x.gate.Resume() {
		return
	}
	h.Set("Connection", "close")
	if len(h["Upgrade"]) > 0 { // of a 426
		h.Add("Connection", "Upgrade")
	}
}

// route finds the request's route in a Table.
func (x *requestCtx) route(t *routing.Table) *refusal {
	x.table, x.rt, x.policy, x.backend, x.grant = t, nil, nil, nil, nil
	if x.received != nil {
		x.r = x.received
	}
	contradiction := x.identify(t.Trusted())
	if x.id == "" { // one that is routed again has been logged under it, and sent to backends
		x.id = x.requestID()
	}
	if contradiction != nil {
		return refuse(http.StatusBadRequest, "X-Forwarded-* and Forwarded contradict each other", contradiction)
	}
	if rf := x.checkClientStillAllowed(); rf != nil {
		return rf
	}
	if rf := x.checkHTTP2(); rf != nil {
		return rf
	}
	if x.r.RequestURI == "*" && x.endsHere() {
		return ownOptions
	}
	var raw string
	raw, x.query = h1.CutTarget(x.r.RequestURI)
	path, err := match.NormalizePath(raw)
	if err != nil {
		return badPath(err)
	}
	if x.host, err = match.NormalizeHost(x.r.Host); err != nil {
		return refuse(http.StatusBadRequest, "bad host", err)
	}
	request := match.Request{
		Listener: x.listenerName(),
		Method:   x.r.Method,
		Host:     x.host,
		Path:     path,
		Query:    strings.TrimPrefix(x.query, "?"),
		Header:   x.r.Header,
		Upgrade:  wsproto.UpgradeTokens(x.r.Header),
		Client:   x.client,
	}
	if x.rt, x.path, err = t.Lookup(&request, raw, &x.captures); x.rt == nil {
		return refuse(http.StatusNotFound, "no route matches this request", nil)
	}
	if err != nil {
		return badPath(err)
	}
	if x.policy, err = x.rt.Policy.For(x.values); err != nil {
		return unfit(err)
	}
	if rf := x.checkTrace(); rf != nil {
		return rf
	}
	return x.checkHead()
}

// values are what placeholders stand for in the route's texts.
func (x *requestCtx) values() *match.Values {
	client := x.forwardedClient()
	v := &match.Values{
		Scheme:    client.Proto(),
		RequestID: x.id,
		User:      x.user(),
		Listener:  x.listenerName(),
		Captures:  &x.captures,
	}
	v.Host, _ = match.NormalizeHost(client.PublicHost()) // a host that is none is ""
	if x.client.IsValid() {
		v.Client = x.client.String()
	}
	if x.peer.IsValid() && x.client == x.peer.Addr() { // a proxy in front says no port
		v.ClientPort = strconv.Itoa(int(x.peer.Port()))
	}
	return v
}

// unfit refuses a request of which a text would be made that cannot be sent.
func unfit(err error) *refusal {
	return refuse(http.StatusBadRequest, "what the route makes of the request cannot be sent", err)
}

// checkHTTP2 checks a request over HTTP/2, which has passed no gate.
func (x *requestCtx) checkHTTP2() *refusal {
	if x.r.ProtoMajor < 2 {
		return nil
	}
	v := h1.CheckHTTP2(x.r)
	if v == nil {
		return nil
	}
	rf := refuse(v.Status, v.Reason, nil)
	if v.Status == http.StatusMethodNotAllowed {
		rf.header = http.Header{"Allow": {h1.Methods}}
	}
	return rf
}

// checkHead holds the request's head to the route's own limit, and on HTTP/2,
// where there is no gate, to the listener's.
func (x *requestCtx) checkHead() *refusal {
	limit := x.rt.HeaderBytes
	if l := x.table.Listener(x.listener); l != nil && x.r.ProtoMajor == 2 && (limit == 0 || limit > int64(l.Limits.Head.HeadBytes)) {
		limit = int64(l.Limits.Head.HeadBytes)
	}
	if l := x.table.Listener(x.listener); l != nil && x.r.ProtoMajor == 2 && headerLines(x.r) > l.Limits.Head.Fields {
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "the request has too many header lines", nil)
	}
	if limit > 0 && headBytes(x.r) > limit {
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "the request's head is too large", nil)
	}
	return nil
}

// headerLines is how many lines the header has; those of Cookie have been put
// together.
func headerLines(r *http.Request) (n int) {
	for _, values := range r.Header {
		n += len(values)
	}
	return n
}

// headBytes is about what the head took on the wire.
func headBytes(r *http.Request) int64 {
	size := int64(len(r.RequestURI))
	for name, values := range r.Header {
		for _, v := range values {
			size += int64(len(name) + len(v) + len(": \r\n"))
		}
	}
	return size
}

func (x *requestCtx) listenerName() string {
	if l := x.table.Listener(x.listener); l != nil {
		return l.Name
	}
	return "" // an old connection of a listener that has gone
}

// requestID is a new id, or the one that a trusted proxy gave.
func (x *requestCtx) requestID() string {
	if id := x.forwardedClient().RequestID(x.r.Header); id != "" {
		return id
	}
	return newID()
}

// newID is random enough to find one request in a log.
func newID() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// forwardedClient is what package forward is told of the client.
func (x *requestCtx) forwardedClient() forward.Client {
	c := forward.Client{Addr: x.peer, Trusted: x.trusted, Secure: x.secure, Host: x.r.Host, Reported: x.reported, Identity: x.identityHeader()}
	if x.r.TLS != nil && len(x.r.TLS.VerifiedChains) > 0 {
		c.Certificate = x.r.TLS.PeerCertificates[0]
	}
	return c
}

func badPath(err error) *refusal {
	return refuse(http.StatusBadRequest, "bad path: "+err.Error(), err)
}

// refuse answers in the proxy's own name.
func (x *requestCtx) refuse(rf *refusal) {
	x.err, x.why = rf.cause, rf.why
	if x.err == nil {
		x.err = fmt.Errorf("%s", rf.text)
	}
	rf.answer(x.w, x.r, x.id, x.errorPage(rf.status))
}

// errorPage is the own body that the routes file has for an answer of the proxy's. One that
// cannot be sent to this client is none.
func (x *requestCtx) errorPage(status int) ownBody {
	var answers *forward.ErrorAnswers
	switch {
	case x.rt != nil:
		answers = &x.rt.Policy.Errors
	case x.table != nil:
		answers = x.table.Unmatched()
	default:
		return ownBody{}
	}
	page := answers.Page(status)
	if page == nil {
		return ownBody{}
	}
	data, err := page.Body(x.values)
	if err != nil {
		return ownBody{}
	}
	return ownBody{page.ContentType, data}
}

// loggedPath is the path as it came: decoded, it would not show which slashes were
// encoded.
func (x *requestCtx) loggedPath() string {
	path, _ := h1.CutTarget(x.r.RequestURI)
	return path
}

// logRequest logs the request. aborted is what the handler has panicked with:
// http.ErrAbortHandler cuts an answer short, anything else is a bug of ours.
func (x *requestCtx) logRequest(aborted any) {
	x.countRequest()
	attrs := []slog.Attr{
		slog.String("id", x.id),
		slog.String("method", x.r.Method),
		slog.String("host", x.r.Host),
		slog.String("path", x.loggedPath()),
		slog.String("client", clientText(x.client)),
	}
	if x.rt != nil {
		attrs = append(attrs, slog.String("route", x.rt.Name))
	}
	if user := x.user(); user != "" {
		attrs = append(attrs, slog.String("user", user))
	}
	if x.backend != nil {
		attrs = append(attrs, slog.String("backend", x.backend.Key().String()))
	}
	attrs = append(attrs, slog.Int("status", x.w.status), slog.Int64("bytes", x.w.bytes),
		slog.Float64("duration", time.Since(x.began).Seconds()))
	level := slog.LevelInfo
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	if x.hint != "" {
		attrs = append(attrs, slog.String("hint", x.hint))
	}
	attrs = append(attrs, x.agentAttrs()...)
	gone := errors.Is(x.err, forward.ErrClientGone)
	if x.w.status >= 500 || aborted != nil && !gone {
		level = slog.LevelWarn
	}
	if gone { // which costs a client nothing
		x.h.logLimiter.log(x.h.Log, level, logKind{"request", x.listenerName()}, attrs...)
	} else {
		x.h.Log.LogAttrs(context.Background(), level, "request", attrs...)
	}
	if aborted != nil {
		panic(aborted)
	}
}

// agentAttrs are what an access log has besides, if there is one.
func (x *requestCtx) agentAttrs() []slog.Attr {
	if !x.h.LogAgents {
		return nil
	}
	attrs := []slog.Attr{slog.String("proto", x.r.Proto)}
	header := x.r.Header
	if x.rt != nil && x.rt.Auth != nil { // one that was refused still has its credential
		header = header.Clone()
		auth.CutHeader(header, x.rt.Auth.Hidden())
	}
	for _, h := range [2][2]string{{"referer", "Referer"}, {"user_agent", "User-Agent"}} {
		if text := header.Get(h[1]); text != "" {
			attrs = append(attrs, slog.String(h[0], text))
		}
	}
	return attrs
}

// recorder notes what an answer was, and lets head have the last word on its header.
type recorder struct {
	http.ResponseWriter
	head   func(http.Header)
	status int
	bytes  int64
	send   *h1.SendWatch // of a stream of HTTP/2; HTTP/1.1's is the gate's
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.head(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.write(p)
	w.bytes += int64(n)
	return n, err
}

// streamPart is how much of an answer is written to a stream at a time: timeouts.send is
// for each part.
const streamPart = 4 << 10

func (w *recorder) write(p []byte) (written int, err error) {
	if w.send == nil {
		return w.ResponseWriter.Write(p)
	}
	for len(p) > 0 && err == nil {
		var n int
		w.send.Begin()
		n, err = w.ResponseWriter.Write(p[:min(len(p), streamPart)])
		w.send.End()
		written, p = written+n, p[n:]
	}
	return written, err
}

// FlushError is what http.ResponseController calls.
func (w *recorder) FlushError() error {
	if w.send != nil {
		w.send.Begin()
		defer w.send.End()
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// end writes the head of an answer without a body: net/http would do so past the recorder.
func (w *recorder) end() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
}

// Unwrap is how http.ResponseController finds Flush and Hijack.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
