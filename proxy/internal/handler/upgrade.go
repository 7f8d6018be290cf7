package handler

// From a request that asks for a tunnel to the tunnel: a backend is asked, its 101 is
// verified, and only then does the client's connection stop being HTTP.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const websocket = "websocket"

// handshake is a request for a tunnel under way.
type handshake struct {
	*requestCtx
	protocol    string         // as the client spelled it
	offer       wsproto.Offer  // WebSocket only
	request     backendRequest // to the backend
	login       bool           // the backend's connection is the client's own
	entry       *drain.Entry
	reserved    bool          // reserve has succeeded, and its places are not released
	rateCharged *limits.Route // whose handshake rate was charged: once, even if it is routed again
}

// openTunnel answers a request for a tunnel, or ends with an open tunnel.
func (x *requestCtx) openTunnel(protocol string) {
	x.asksTunnel = true
	a := &handshake{requestCtx: x, protocol: protocol}
	if a.gate != nil {
		a.gate.Await()
	}
	defer a.release() // after a panic too, by which a request is left whose client has gone
	a.deliver(a.negotiate())
}

// result is what came of a negotiation: a backend's answer, which is verified if it is
// a 101, and the connection on which it came; or a *refusal, or the backend's error.
type result struct {
	conn   net.Conn
	answer *backendAnswer
	err    error
}

// opens reports whether a tunnel is to be opened.
func (s result) opens() bool {
	return s.err == nil && s.answer.StatusCode == http.StatusSwitchingProtocols
}

// negotiate finds a backend that answers the handshake. It writes nothing to the client.
func (a *handshake) negotiate() result {
	if rf := a.check(); rf != nil {
		return result{err: rf}
	}
	a.payForRetries()
	return a.negotiateWith(a.askBackend)
}

// ask makes the handshake with the backend that is reserved. The caller closes the
// connection.
type ask func() (net.Conn, *backendAnswer, error)

// negotiateWith asks one backend after the other until one answers, or none is left. An
// event loop that has begun the handshake has its own first ask.
//
//	reserve -> dial -> write -> read -> verify -> Succeeded
//	   ^                                  |
//	   +----- the backend is to blame: ---+
//	          exclude it, continue
func (a *handshake) negotiateWith(ask ask) result {
	var last error // of the backend before; nil: none was asked
	for {
		if !a.reserved {
			failed := a.backend
			switch err := a.reserveCurrent(); {
			case err != nil && last != nil:
				a.backend = failed // for the log
				return result{err: last}
			case err != nil:
				return result{err: err}
			}
		}
		conn, answer, err := ask()
		if err == nil {
			a.backend.Succeeded()
			return result{conn: conn, answer: answer}
		}
		if !blamesBackend(err) {
			return result{err: err}
		}
		a.rt.Target.Pool.Failed(a.backend, err)
		if rf := a.refuseBound(err); rf != nil {
			return result{err: rf}
		}
		if !a.mayTryAnother() {
			return result{err: err}
		}
		a.noteFailedBackend(err)
		a.release()
		last, ask = err, a.askBackend
	}
}

// deliver gives the result to the client.
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

func (a *handshake) isWebSocket() bool { return httpsyntax.EqualFold(a.protocol, websocket) }

// check refuses, before anything is dialled, what must not become a tunnel.
func (a *handshake) check() *refusal {
	if rf := a.checkRequest(); rf != nil {
		return &refusal{status: rf.Status, text: rf.Text, header: rf.Header}
	}
	if rf := wsproto.CheckOrigin(a.r.Header, a.forwardedClient().PublicHost(), a.rt.Origins); rf != nil {
		return refuse(rf.Status, rf.Text, fmt.Errorf("%s: %s", rf.Text, rf.Hint)).because(whyOrigin)
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

// reserveCurrent reserves under the routes that are current when it returns. Drain's
// Group evaluates the tunnels that it knows when a reload comes: one that is reserved
// later, under the old routes, would be missed. So it is routed again.
func (a *handshake) reserveCurrent() error {
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

// reserve counts the tunnel at its route, its backend and in drain's Group, before it
// exists. The error is a *refusal, forward.ErrClientGone, or upstream.ErrReplaced when
// the routes have changed while it waited for a backend.
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

		ID: a.id, Path: a.r.URL.Path, Protocol: a.protocol,
	})
	return nil
}

// overLimit is the answer to an error of limits.Tunnels.Admit. A full route is the
// server's state (503); a client that is over its share can change that (429).
func overLimit(err error) *refusal {
	switch {
	case errors.Is(err, limits.ErrRouteFull):
		return refuse(http.StatusServiceUnavailable, err.Error(), nil).because(whyRouteFull)
	case errors.Is(err, limits.ErrClientFull):
		return refuse(http.StatusTooManyRequests, err.Error(), nil).because(whyClientFull)
	}
	return refuse(http.StatusTooManyRequests, err.Error(), nil).because(whyClientRate)
}

// release undoes reserve, unless an open tunnel has taken over its places.
func (a *handshake) release() {
	if !a.reserved {
		return
	}
	a.reserved = false
	a.entry.Remove()
	a.backend.CloseTunnel()
	a.rt.Counts.Tunnels.Release(a.client)
}

// relay forwards an answer that is not a 101, as ordinary HTTP. The backend's connection
// is not used again, except one on which the client authenticates: it is pinned to the
// client, and the next handshake goes over it.
func (a *handshake) relay(conn net.Conn, answer *backendAnswer) {
	stop := context.AfterFunc(a.r.Context(), func() { conn.Close() })
	login := a.login || h1.AsksLogin(answer.Header)
	kept := false
	defer func() {
		if stop() && kept && login && answer.strict.Reusable() && len(answer.unread()) == 0 {
			a.pins().Give(a.backend, a.rt.Target.TLSOf(a.backend), conn)
			return
		}
		conn.Close()
	}()
	a.why = whyBackendSaid
	a.hint = a.hostHint(answer.StatusCode)
	a.spelled = answer.strict.Names()
	a.forwardTo(a.path, "", answer.Response)
	kept = true // it did not panic
}

// hostHint guesses why a backend answers 403: many servers compare Origin with Host.
func (a *handshake) hostHint(status int) string {
	sent := a.policy.RequestHost(a.forwardedClient(), a.backend)
	if status != http.StatusForbidden || a.r.Header.Get("Origin") == "" || httpsyntax.EqualFold(sent, a.r.Host) {
		return ""
	}
	return fmt.Sprintf("servers compare Origin with Host, and the backend was asked for %q, not for %q: try preserve_host: true", sent, a.r.Host)
}

// switchProtocols takes the connection from net/http, writes the 101, and opens the
// tunnel.
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

// hijack returns the client's connection with all bytes that came behind the head.
func (a *handshake) hijack() (tunnel.Endpoint, error) {
	var behind []byte
	switch {
	case a.gate == nil:
		return tunnel.Endpoint{}, errors.New("no connection to take over")
	case a.w.ResponseWriter == nil: // the connection never was net/http's
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
	a.policy.Rewriting.Cookies(answer.Header)
	a.policy.ResponseHeader(answer.Header)
	answer.Header.Set("Connection", "Upgrade")
	answer.Header.Set("Upgrade", upgrade)
	deleteEmpty(answer.Header, "Sec-Websocket-Protocol", "Sec-Websocket-Extensions")
	if a.rt.Target.Pool.SetsCookies() {
		a.setStickyCookie(answer.Header)
	}
	h := maps.Clone(answer.Header) // which the log looks at
	a.policy.SpellResponse(h, answer.strict.Names())
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

// deleteEmpty removes empty lines. They choose nothing, but browsers take an empty
// Sec-WebSocket-Protocol for a subprotocol that they did not offer.
func deleteEmpty(h http.Header, names ...string) {
	for _, name := range names {
		lines := slices.DeleteFunc(h[name], func(line string) bool { return line == "" })
		if h[name] = lines; len(lines) == 0 {
			delete(h, name)
		}
	}
}

// spec is the tunnel to be opened, without its connections. It logs the opening; from
// here on the tunnel's record releases what was reserved.
func (a *handshake) spec(answer *backendAnswer) tunnel.Spec {
	a.tunnelled, a.reserved = true, false
	a.h.Counters.Opened.Add(1)
	a.entry.SetSubprotocol(answer.Header.Get("Sec-Websocket-Protocol"))
	record := a.record()
	record.countOpened(a)
	record.logOpened(a, answer.Header)
	spec := tunnel.Spec{
		Backend:   answer.endpoint(nil),
		WebSocket: a.isWebSocket(),
		RSV:       answer.agreed.RSV,
		Limits:    a.rt.NewTunnelLimits(),
		Meter:     a.backend.Meter(),
		Done:      record.logClosed,
	}
	if a.mayRedial(answer.agreed) {
		a.entry.SetMovable()
		spec.Redial = a.redialer(record, answer.agreed).redial
	}
	return spec
}
