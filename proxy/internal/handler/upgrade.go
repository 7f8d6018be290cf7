package handler

// From a request that asks for a tunnel to the tunnel: the attempt is judged,
// the backend is asked, its 101 is verified, and only then does the connection
// stop being HTTP.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/echo"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const websocket = "websocket"

// handshake is one attempt at a tunnel under way.
type handshake struct {
	*requestCtx
	protocol    string         // as the client spelled it
	offer       wsproto.Offer  // WebSocket only
	request     backendRequest // of the backend
	login       bool           // the backend's connection is the client's own
	entry       *drain.Entry
	reserved    bool          // what reserve has taken
	rateCharged *limits.Route // whose handshake rate was charged: an attempt that is routed again is charged once
}

// openTunnel carries out an attempt: it answers the request, or ends with an open tunnel.
func (x *requestCtx) openTunnel(protocol string) {
	a := &handshake{requestCtx: x, protocol: protocol}
	if a.gate != nil {
		a.gate.Await()
	}
	defer a.release() // after a panic too: it is how a client that has gone is left
	a.deliver(a.negotiate())
}

// result is what came of an attempt: a backend's answer, verified where it is a
// 101, with the connection it came by; or why there is none, a *refusal or what
// went wrong with the backend.
type result struct {
	conn   net.Conn
	answer *backendAnswer
	err    error
}

// negotiate asks for the tunnel. It writes nothing to the client.
func (a *handshake) negotiate() result {
	if rf := a.check(); rf != nil {
		return result{err: rf}
	}
	a.payForRetries()
	return a.negotiateAdmitted()
}

// negotiateAdmitted is the rest of settle for an attempt that was checked and counted.
func (a *handshake) negotiateAdmitted() result {
	if err := a.admit(); err != nil {
		return result{err: err}
	}
	return a.shakeHands()
}

// deliver tells the client what came of it.
func (a *handshake) deliver(s result) {
	switch {
	case s.err != nil:
		a.giveUp(s.err)
	case s.opens():
		a.switchProtocols(s.conn, s.answer)
	default:
		a.relay(s.conn, s.answer)
	}
}

// opens says that a tunnel is to be opened.
func (s result) opens() bool {
	return s.err == nil && s.answer.StatusCode == http.StatusSwitchingProtocols
}

func (a *handshake) isWebSocket() bool { return httpsyntax.EqualFold(a.protocol, websocket) }

// check refuses, before anything is dialled, what must not become a tunnel.
func (a *handshake) check() *refusal {
	if rf := a.checkRequest(); rf != nil {
		return &refusal{status: rf.Status, text: rf.Text, header: rf.Header}
	}
	if rf := wsproto.CheckOrigin(a.r.Header, a.forwardedClient().PublicHost(), a.rt.Origins); rf != nil {
		return refuse(rf.Status, rf.Text, fmt.Errorf("%s: %s", rf.Text, rf.Hint))
	}
	return nil
}

func (a *handshake) checkRequest() *wsproto.Refusal {
	if a.isWebSocket() {
		return wsproto.CheckRequest(a.r, a.rt.Lenient)
	}
	if a.r.ContentLength != 0 || len(a.r.TransferEncoding) > 0 {
		return &wsproto.Refusal{Status: http.StatusBadRequest, Text: "a request for an upgrade must not have a body"}
	}
	return nil
}

// admit finds a backend and makes a place for the tunnel among the open ones.
// A reload between the request's look at the Table and that place would be
// missed by the tunnel: then the request is routed again.
func (a *handshake) admit() error {
	for {
		err := a.reserve()
		now := a.h.Current()
		if !errors.Is(err, upstream.ErrReplaced) && (err != nil || now == a.table) {
			return err
		}
		a.release()
		if rf := a.route(now); rf != nil {
			return rf
		}
		if a.rt.Target == nil || !httpsyntax.EqualFold(a.rt.Upgrade.Protocol(a.r), a.protocol) {
			return refuse(http.StatusServiceUnavailable, "the routes have just changed", nil)
		}
		if rf := a.check(); rf != nil {
			return rf
		}
	}
}

// reserve takes the tunnel's places. The error is a *refusal,
// forward.ErrClientGone, or upstream.ErrReplaced: the routes have changed while the
// attempt waited.
func (a *handshake) reserve() error {
	if a.rt.Target.Pool == nil {
		return refuse(http.StatusNotFound, "there is no tunnel to internal://"+a.rt.Target.Internal, nil)
	}
	allowed := a.rt.Limits
	if a.rateCharged == a.rt.Counts {
		allowed.HandshakesPerSecond = 0
	}
	if err := a.rt.Counts.Tunnels.Admit(allowed, a.client, time.Now()); err != nil {
		return overLimit(err)
	}
	a.rateCharged = a.rt.Counts
	backend, err := a.pickBackend(true)
	if err != nil {
		a.rt.Counts.Tunnels.Release(a.client)
		return a.noBackend(err)
	}
	a.backend, a.reserved = backend, true
	a.entry = a.h.Tunnels.Reserve(drain.Facts{
		Route:   a.rt.Name,
		Backend: backend.Key(),
		Client:  a.client,
		Host:    a.forwardedClient().PublicHost(),
		Origin:  a.r.Header.Get("Origin"),
		Policy:  a.rt.Drain,

		CloseTimeout: a.rt.Tunnel.CloseTimeout,
	})
	return nil
}

// overLimit answers what limits.Tunnels.Admit returned. A full route is the server's
// state (503); a client that is over its share can do something about it (429).
func overLimit(err error) *refusal {
	if errors.Is(err, limits.ErrRouteFull) {
		return refuse(http.StatusServiceUnavailable, err.Error(), nil)
	}
	return refuse(http.StatusTooManyRequests, err.Error(), nil)
}

// release takes back what reserve has taken, unless a tunnel holds it now.
func (a *handshake) release() {
	if !a.reserved {
		return
	}
	a.reserved = false
	a.entry.Remove()
	a.backend.CloseTunnel()
	a.rt.Counts.Tunnels.Release(a.client)
}

// shakeHands asks one backend, or several, until there is an answer to pass on
// or nobody left to be asked.
func (a *handshake) shakeHands() result {
	conn, answer, err := a.askBackend()
	if err != nil {
		return a.negotiateAfter(err) // which asks the next; tryAnother bounds how many
	}
	a.backend.Succeeded()
	return result{conn: conn, answer: answer}
}

// negotiateAfter goes on after a backend that was asked in vain.
func (a *handshake) negotiateAfter(err error) result {
	if !a.tryAnother(err) {
		return result{err: err}
	}
	return a.shakeHands()
}

// askBackend makes the handshake. The connection is the caller's.
func (a *handshake) askBackend() (net.Conn, *backendAnswer, error) {
	head, rf := a.requestHead()
	if rf != nil {
		return nil, nil, rf
	}
	conn, err := a.dial()
	if err != nil {
		return nil, nil, err
	}
	answer, err := a.ask(conn, head)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, answer, nil
}

func (a *handshake) dial() (net.Conn, error) {
	if a.rt.Target.Internal == "echo" {
		return echo.Dial()
	}
	if conn := a.pins().Take(a.backend, a.rt.Target.TLSOf(a.backend)); conn != nil {
		a.login = true
		return conn, nil
	}
	ctx := upstream.WithConnectTimeout(a.r.Context(), a.rt.Policy.ConnectTimeout)
	return a.backend.Dial(ctx, a.rt.Target.TLSOf(a.backend))
}

// requestHead is the handshake's request as the backend gets it.
func (a *handshake) requestHead() ([]byte, *refusal) {
	path, query, err := a.rt.Target.Rewrite.Apply(a.path, a.r.URL.RawQuery, a.prefixLen, &a.captures)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "bad path: "+err.Error(), err)
	}
	if query != "" {
		path += "?" + query
	}
	h := a.rt.Policy.RequestHeader(a.r, a.forwardedClient(), a.id)
	if a.login = h1.LogsIn(h); a.login && a.noLogin() != nil {
		err := a.noLogin()
		return nil, refuse(http.StatusBadGateway, err.Error(), err)
	}
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", a.protocol)
	if a.isWebSocket() {
		h.Set("Upgrade", websocket)
		a.offer = wsproto.OfferOf(h, a.rt.Lenient)
	}
	a.request = backendRequest{target: path, header: h, policy: a.rt.Policy, names: a.names}
	return a.request.head(a.r.Method, a.rt.Policy.RequestHost(a.forwardedClient(), a.backend)), nil
}

// backendRequest is a handshake's request, but for its method and Host.
type backendRequest struct {
	target string      // path and query
	header http.Header // by canonical names
	policy *forward.Policy
	names  spelling.Names // the client's
}

func (q backendRequest) head(method, host string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, q.target, host)
	if method != http.MethodGet && method != http.MethodHead {
		b.WriteString("Content-Length: 0\r\n")
	}
	h := maps.Clone(q.header)
	q.policy.SpellRequest(h, q.names)
	_ = h.Write(&b) // to memory
	b.WriteString("\r\n")
	return []byte(b.String())
}

// backendAnswer is a backend's answer with what came behind its head.
type backendAnswer struct {
	*http.Response
	rest   *bufio.Reader
	strict *h1.HandshakeReader // beneath rest
	agreed wsproto.Agreed      // of a WebSocket's 101
}

// endpoint is the backend's end of a tunnel, with what came behind the answer, whose
// reader is done with.
func (a *backendAnswer) endpoint(conn net.Conn) tunnel.Endpoint {
	early, _ := a.rest.Peek(a.rest.Buffered())
	early = slices.Clone(early)
	answerReaders.Put(a.rest)
	a.rest = nil
	return tunnel.Endpoint{Conn: conn, Early: early}
}

// ask sends the handshake and reads the answer, interim ones skipped. A 101 is
// verified here: what this returns without an error may be believed.
func (a *handshake) ask(conn net.Conn, head []byte) (*backendAnswer, error) {
	defer a.deadline(conn)()
	if _, err := conn.Write(head); err != nil {
		return nil, a.orClientGone(fmt.Errorf("sending the handshake: %w", err))
	}
	return a.readAnswer(conn)
}

// readRest is the end of ask for somebody who has sent the handshake and read begun
// of its answer.
func (a *handshake) readRest(conn net.Conn, begun []byte) (*backendAnswer, error) {
	defer a.deadline(conn)()
	return a.readAnswer(io.MultiReader(bytes.NewReader(begun), conn))
}

// answerReaders are lent to answers until their tunnel is open. Those of other
// answers are the collector's.
var answerReaders = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

func (a *handshake) readAnswer(from io.Reader) (*backendAnswer, error) {
	rest := answerReaders.Get().(*bufio.Reader)
	strict := h1.NewHandshakeReader(from, a.r.Method)
	rest.Reset(strict)
	for {
		resp, err := readResponse(rest, a.r.Method)
		if err != nil {
			answerReaders.Put(rest)
			return nil, a.orClientGone(fmt.Errorf("reading the handshake's answer: %w", describeEOF(err)))
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			agreed, err := a.verify(resp)
			return &backendAnswer{Response: resp, rest: rest, strict: strict, agreed: agreed}, err
		}
	}
}

// readResponse is http.ReadResponse, but for 1xx answers: they end with their head,
// whatever it says of a body (RFC 9112 section 6.3), and net/http refuses some that
// say it oddly.
func readResponse(from *bufio.Reader, method string) (*http.Response, error) {
	const informational = "HTTP/1.1 1"
	if begins, _ := from.Peek(len(informational)); string(begins) != informational {
		return http.ReadResponse(from, &http.Request{Method: method})
	}
	head := textproto.NewReader(from)
	line, err := head.ReadLine()
	if err != nil {
		return nil, err
	}
	_, status, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(status, " ")
	resp := &http.Response{Status: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	if resp.StatusCode, err = strconv.Atoi(code); err != nil {
		return nil, fmt.Errorf("malformed status %q", code)
	}
	header, err := head.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	resp.Header = http.Header(header)
	resp.Header.Del("Content-Length")
	resp.Header.Del("Transfer-Encoding")
	return resp, nil
}

// describeEOF says in words what an end of file means here.
func describeEOF(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the backend closed the connection without an answer")
	}
	return err
}

// deadline bounds the handshake by the route's limit and by the client's
// patience; the function it returns lifts the bounds.
func (a *handshake) deadline(conn net.Conn) (lift func()) {
	if a.rt.HandshakeTimeout > 0 {
		_ = conn.SetDeadline(time.Now().Add(a.rt.HandshakeTimeout))
	}
	stop := context.AfterFunc(a.r.Context(), func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() {
		if stop() {
			_ = conn.SetDeadline(time.Time{})
		}
	}
}

// orClientGone turns the error that a client's departure caused into that departure.
func (a *handshake) orClientGone(err error) error {
	if a.r.Context().Err() != nil {
		return forward.ErrClientGone
	}
	return err
}

func (a *handshake) verify(resp *http.Response) (none wsproto.Agreed, err error) {
	switch {
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return none, nil
	case a.isWebSocket():
		return wsproto.CheckResponse(resp.StatusCode, resp.Header, a.offer)
	}
	return none, wsproto.CheckUpgradeResponse(resp.Header, a.protocol)
}

// relay passes on an answer that is not a 101, as ordinary HTTP. The backend's
// connection is not used again: what it thinks of the handshake is its own affair.
// But one on which the client logs in is the client's own from then on, and the next
// handshake goes by it.
func (a *handshake) relay(conn net.Conn, answer *backendAnswer) {
	stop := context.AfterFunc(a.r.Context(), func() { conn.Close() })
	login := a.login || h1.AsksLogin(answer.Header)
	kept := false
	defer func() {
		if stop() && kept && login && answer.strict.Reusable() && answer.rest.Buffered() == 0 {
			a.pins().Give(a.backend, a.rt.Target.TLSOf(a.backend), conn)
			return
		}
		conn.Close()
	}()
	a.hint = a.hostHint(answer.StatusCode)
	a.spelled = answer.strict.Names()
	a.forwardTo(a.path, "", answer.Response)
	kept = true // it did not panic
}

// hostHint guesses why a backend refuses a page: many servers compare its Origin
// with the Host that they were asked for.
func (a *handshake) hostHint(status int) string {
	sent := a.rt.Policy.RequestHost(a.forwardedClient(), a.backend)
	if status != http.StatusForbidden || a.r.Header.Get("Origin") == "" || httpsyntax.EqualFold(sent, a.r.Host) {
		return ""
	}
	return fmt.Sprintf("servers compare Origin with Host, and the backend was asked for %q, not for %q: try preserve_host: true", sent, a.r.Host)
}

// switchProtocols takes the connection from net/http, tells the client, and
// opens the tunnel.
func (a *handshake) switchProtocols(conn net.Conn, answer *backendAnswer) {
	client, err := a.hijack()
	if err != nil {
		conn.Close()
		a.fail(forward.Status(err), err)
		return
	}
	a.w.status = http.StatusSwitchingProtocols
	if err := a.tell101(client.Conn, answer); err != nil {
		client.Conn.Close()
		conn.Close()
		a.slot.Release()
		a.err = fmt.Errorf("writing the 101: %w", err)
		return
	}
	spec := a.spec(answer)
	spec.Client, spec.Backend.Conn = client, conn
	a.entry.Opened(a.h.Engine.Open(spec))
}

// hijack returns the client's connection with every byte that came behind the
// request's head.
func (a *handshake) hijack() (tunnel.Endpoint, error) {
	var behind []byte
	switch {
	case a.gate == nil:
		return tunnel.Endpoint{}, errors.New("no connection to take over")
	case a.w.ResponseWriter == nil: // net/http, which would do this, has never seen the connection
		_ = a.gate.SetReadDeadline(time.Time{})
	default:
		_, buffered, err := http.NewResponseController(a.w).Hijack()
		if err != nil {
			return tunnel.Endpoint{}, err
		}
		behind, _ = buffered.Reader.Peek(buffered.Reader.Buffered())
	}
	conn, held, eof := a.gate.Detach()
	return tunnel.Endpoint{Conn: conn, Early: slices.Concat(behind, held), EOF: eof}, nil
}

// tell101Timeout bounds writing a few hundred bytes to a client that has just
// sent its request.
const tell101Timeout = 10 * time.Second

func (a *handshake) tell101(conn net.Conn, answer *backendAnswer) error {
	_ = conn.SetWriteDeadline(time.Now().Add(tell101Timeout))
	_, err := conn.Write(a.head101(answer))
	_ = conn.SetWriteDeadline(time.Time{})
	return err
}

// head101 is the 101 as the client gets it.
func (a *handshake) head101(answer *backendAnswer) []byte {
	upgrade := answer.Header.Get("Upgrade")
	a.rt.Policy.ResponseHeader(answer.Header)
	answer.Header.Set("Connection", "Upgrade")
	answer.Header.Set("Upgrade", upgrade)
	deleteEmpty(answer.Header, "Sec-Websocket-Protocol", "Sec-Websocket-Extensions")
	if a.rt.Target.Pool.SetsCookies() {
		a.setStickyCookie(answer.Header)
	}
	h := maps.Clone(answer.Header) // which the log looks at
	a.rt.Policy.SpellResponse(h, answer.strict.Names())
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 " + reason101(answer.Status) + "\r\n")
	_ = h.Write(&b) // to memory
	b.WriteString("\r\n")
	return b.Bytes()
}

// reason101 is the reason phrase of a status "101 phrase", if it has one without
// control characters (RFC 9112, section 4), or else the usual one.
func reason101(status string) string {
	_, phrase, _ := strings.Cut(status, " ")
	control := func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
	if phrase = strings.Trim(phrase, " \t"); phrase == "" || strings.ContainsFunc(phrase, control) {
		return http.StatusText(http.StatusSwitchingProtocols)
	}
	return phrase
}

// deleteEmpty removes empty lines, which choose nothing: browsers take an empty
// Sec-WebSocket-Protocol for one that they did not offer.
func deleteEmpty(h http.Header, names ...string) {
	for _, name := range names {
		lines := slices.DeleteFunc(h[name], func(line string) bool { return line == "" })
		if h[name] = lines; len(lines) == 0 {
			delete(h, name)
		}
	}
}

// spec is the tunnel to be opened, but for its connections: what it has taken is
// its own from here on, and its first line is in the log.
func (a *handshake) spec(answer *backendAnswer) tunnel.Spec {
	a.tunnelled, a.reserved = true, false
	a.h.Counters.Opened.Add(1)
	story := a.record()
	story.logOpened(a, answer.Header)
	spec := tunnel.Spec{
		Backend:   answer.endpoint(nil),
		WebSocket: a.isWebSocket(),
		RSV:       answer.agreed.RSV,
		Limits:    a.rt.NewTunnelLimits(),
		Meter:     a.backend.Meter(),
		Done:      story.logClosed,
	}
	if a.mayRedial(answer.agreed) {
		a.entry.SetMovable()
		spec.Redial = a.redialer(story, answer.agreed).redial
	}
	return spec
}
