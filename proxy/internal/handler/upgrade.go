package handler

// What a client gets of its handshake: the tunnel, the backend's answer as ordinary HTTP,
// or an error. Only when the 101 is written does its connection stop being HTTP.

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

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// openTunnel answers a request for a tunnel, or ends with an open tunnel.
func (x *requestCtx) openTunnel(protocol string) {
	x.asksTunnel = true
	a := &handshake{requestCtx: x, protocol: protocol}
	if a.gate != nil {
		a.gate.Await()
	}
	defer a.release() // after a panic too, by which a request is left whose client has gone
	a.negotiate()
	a.deliver()
}

// deliver gives the result to the client.
func (a *handshake) deliver() {
	s := a.result
	if !s.opens() {
		if s.err != nil {
			a.giveUp(s.err)
		} else {
			a.relay(s.conn, s.answer)
		}
		return
	}
	client, err := a.hijack()
	if err != nil {
		s.close()
		a.fail(forward.Status(err), err)
		return
	}
	a.open(client)
}

// A result that net/http's handler is to deliver waits in the gate.
var _ listen.Deferred = (*handshake)(nil)

// takeDeferred returns the handshake whose result was deferred to the handler of a request,
// nil if there is none.
func takeDeferred(gate *h1.Conn) *handshake {
	if gate == nil {
		return nil
	}
	a, _ := gate.TakeHandoff().(*handshake)
	return a
}

// resume delivers the result. net/http has read the same request again.
func (a *handshake) resume(gate *h1.Conn, w http.ResponseWriter, r *http.Request) {
	a.gate, a.w.ResponseWriter, a.r = gate, w, r
	if a.rt != nil { // nil: the routes have changed, and none matches any more
		a.limitSilence()
	}
	defer a.finish()
	defer a.release()
	a.deliver()
}

// Drop implements listen.Deferred.
func (a *handshake) Drop() {
	a.result.close()
	a.release()
	a.w.status, a.err = forward.StatusClientGone, forward.ErrClientGone
	a.logRequest(nil)
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
	a.forwardTo(a.path.Text, "", answer.Response)
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

// hijack takes the client's connection from net/http, with all bytes that came behind the
// head.
func (a *handshake) hijack() (tunnel.Endpoint, error) {
	if a.gate == nil {
		return tunnel.Endpoint{}, errors.New("no connection to take over")
	}
	_, buffered, err := http.NewResponseController(a.w).Hijack()
	if err != nil {
		return tunnel.Endpoint{}, err
	}
	behind, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	conn, held, eof := a.gate.Detach()
	return tunnel.Endpoint{Conn: conn, Early: slices.Concat(behind, held), EOF: eof}, nil
}

// open writes the 101 and opens the tunnel. If it cannot, a panic of ours included, it
// closes both connections.
func (a *handshake) open(client tunnel.Endpoint) {
	defer func() {
		if !a.tunnelled {
			client.Conn.Close()
			a.result.close()
			a.slot.Release()
		}
	}()
	a.w.status = http.StatusSwitchingProtocols
	if err := a.tell101(client.Conn, a.result.answer); err != nil {
		a.err = fmt.Errorf("writing the 101: %w", err)
		return
	}
	spec := a.spec()
	spec.Client, spec.Backend.Conn = client, a.result.conn
	a.entry.Opened(a.h.Engine.Open(spec))
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
	a.setGrantedCookies(answer.Header)
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

// spec is the tunnel to be opened, without its connections. It logs the opening, and is
// the last step before it: from here on the tunnel's record releases what was reserved.
func (a *handshake) spec() tunnel.Spec {
	answer, record := a.result.answer, a.record()
	spec := tunnel.Spec{
		Backend:   answer.endpoint(),
		WebSocket: a.isWebSocket(),
		RSV:       answer.agreed.RSV,
		Limits:    a.rt.NewTunnelLimits(),
		Meter:     a.backend.Meter(),
		Tally:     record.route.Tally(a.listenerName(), a.rt.Histograms),
		Done:      record.logClosed,
	}
	if a.mayRedial(answer.agreed) {
		a.entry.SetMovable()
		spec.Redial = a.redialer(record, answer.agreed).redial
	}
	a.entry.SetSubprotocol(answer.Header.Get("Sec-Websocket-Protocol"))
	record.logOpened(a, answer.Header)
	record.countOpened(a)
	a.tunnelled, a.reserved = true, false
	a.h.Counters.Opened.Add(1)
	return spec
}
