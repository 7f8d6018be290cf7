package handler

// The backend's side of a handshake: the request that it gets, and its answer, read
// strictly and verified.

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

	"github.com/tunnelform/tunnelform/proxy/internal/echo"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// connect connects to the backend.
func (a *handshake) connect() (err error) {
	if rf := a.makeHead(); rf != nil {
		return rf
	}
	a.result.conn, err = a.dial()
	return err
}

func (a *handshake) dial() (net.Conn, error) {
	if a.rt.Target.Internal == "echo" {
		return echo.Dial()
	}
	if conn := a.pins().Take(a.backend, a.rt.Target.TLSOf(a.backend)); conn != nil {
		a.login = true
		return conn, nil
	}
	ctx := upstream.WithConnectTimeout(a.ctx, a.rt.Policy.ConnectTimeout)
	return a.backend.Dial(ctx, a.rt.Target.TLSOf(a.backend))
}

// makeHead makes the request as the backend gets it.
func (a *handshake) makeHead() *refusal {
	path, query, err := a.backendTarget()
	if err != nil {
		return badPath(err)
	}
	h := a.policy.RequestHeader(a.r, a.forwardedClient(), a.id)
	if a.login = h1.LogsIn(h); a.login && a.noLogin() != nil {
		err := a.noLogin()
		return refuse(http.StatusBadGateway, err.Error(), err)
	}
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", a.protocol)
	if a.isWebSocket() {
		h.Set("Upgrade", websocket)
		a.offer = wsproto.OfferOf(h, a.rt.Lenient)
	}
	a.request = backendRequest{target: path + query, header: h, policy: a.policy, names: a.names}
	a.head = a.request.head(a.r.Method, a.policy.RequestHost(a.forwardedClient(), a.backend))
	a.begun = nil
	return nil
}

// backendRequest is the request that a backend gets, without its method and Host.
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

// backendAnswer is a backend's answer and the reader with the bytes behind its head.
type backendAnswer struct {
	*http.Response
	rest   *bufio.Reader
	strict *h1.HandshakeReader // beneath rest
	begun  *bytes.Reader       // beneath strict, before the connection; nil: nothing was read before
	agreed wsproto.Agreed      // of a WebSocket's 101
}

// unread is a copy of what was read from the connection and not from the answer yet.
func (a *backendAnswer) unread() []byte {
	buffered, _ := a.rest.Peek(a.rest.Buffered())
	all := slices.Clone(buffered)
	if a.begun != nil && a.begun.Len() > 0 {
		at := a.begun.Size() - int64(a.begun.Len())
		all = slices.Grow(all, a.begun.Len())[:len(all)+a.begun.Len()]
		_, _ = a.begun.ReadAt(all[len(buffered):], at) // from memory
	}
	return all
}

// endpoint is the backend's end of a tunnel, with the bytes that came behind the answer.
// The reader is not to be used again.
func (a *backendAnswer) endpoint() tunnel.Endpoint {
	early := a.unread()
	putAnswerReader(a.rest)
	a.rest = nil
	return tunnel.Endpoint{Early: early}
}

// exchangeHeads sends the request and reads the answer, after interim ones. A 101 is
// verified. Where an event loop has begun to read, it reads the rest.
func (a *handshake) exchangeHeads() (err error) {
	conn := a.result.conn
	defer a.deadline(conn)()
	from := io.Reader(conn)
	if a.begun != nil {
		from = io.MultiReader(a.begun, conn)
	} else if _, err := conn.Write(a.head); err != nil {
		return fmt.Errorf("sending the handshake: %w", err)
	}
	a.result.answer, err = a.readAnswer(from)
	return err
}

// answerReaders are reused when a tunnel is open. Those of other answers are left to the
// garbage collector.
var answerReaders = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

// putAnswerReader gives one back, which must not keep the connection in memory.
func putAnswerReader(r *bufio.Reader) {
	r.Reset(nil)
	answerReaders.Put(r)
}

func (a *handshake) readAnswer(from io.Reader) (*backendAnswer, error) {
	rest := answerReaders.Get().(*bufio.Reader)
	strict := h1.NewHandshakeReader(from, a.r.Method)
	rest.Reset(strict)
	for {
		resp, err := readResponse(rest, a.r.Method)
		if err != nil {
			putAnswerReader(rest)
			return nil, fmt.Errorf("reading the handshake's answer: %w", describeEOF(err))
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			agreed, err := a.verify(resp)
			return &backendAnswer{Response: resp, rest: rest, strict: strict, begun: a.begun, agreed: agreed}, err
		}
	}
}

// readResponse is http.ReadResponse, except for 1xx answers: those end with their head,
// whatever it says of a body (RFC 9112 section 6.3), and net/http refuses some of them.
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

// describeEOF explains an end of file.
func describeEOF(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the backend closed the connection without an answer")
	}
	return err
}

// deadline limits reads and writes by the route's handshake timeout, and ends them when
// the client goes or the routes change. lift removes both.
func (a *handshake) deadline(conn net.Conn) (lift func()) {
	if a.rt.HandshakeTimeout > 0 {
		_ = conn.SetDeadline(time.Now().Add(a.rt.HandshakeTimeout))
	}
	stop := context.AfterFunc(a.ctx, func() { _ = conn.SetDeadline(listen.ALongTimeAgo) })
	return func() {
		if stop() {
			_ = conn.SetDeadline(time.Time{})
		}
	}
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
