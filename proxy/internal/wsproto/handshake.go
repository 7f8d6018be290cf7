// The opening handshake as a server sees it: what a client's request must look
// like (RFC 6455 section 4.2.1). handshake_response.go is the other direction.

package wsproto

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// Version is the only value of Sec-WebSocket-Version there is (RFC 6455
// section 4.1).
const Version = "13"

// keyGUID is appended to a key before hashing (RFC 6455 section 1.3).
const keyGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Refusal is the answer to a request that must not become a tunnel. It is
// immutable; many requests may share one.
type Refusal struct {
	Status int         // 400, 403 or 426
	Text   string      // one line for the client, lower case, no full stop
	Hint   string      // for the log only: what to write in the routes file, or ""
	Header http.Header // to send with the answer, may be nil; read only
}

// Error is Text, so that a Refusal can travel as an error.
func (r *Refusal) Error() string { return r.Text }

func badRequest(text string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Text: text}
}

// AsksUpgrade reports whether a request may ask for an upgrade at all:
// HTTP/1.1 or later 1.x, Connection with the token upgrade, and at least one
// token in Upgrade (RFC 9110 section 7.8). Which tokens a route allows is not
// asked here.
func AsksUpgrade(r *http.Request) bool {
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 || !httpsyntax.HasToken(r.Header["Connection"], "upgrade") {
		return false
	}
	for range Tokens(r.Header, "Upgrade") {
		return true
	}
	return false
}

// CheckRequest returns nil when r is a valid WebSocket opening handshake over
// HTTP/1.1 (RFC 6455 section 4.2.1): GET, a Host, one key, version 13, and no
// body: nor a header that could announce one, but for a Content-Length of zero,
// because a backend that frames such a request differently would see a second
// request in the tunnel's bytes.
//
// Subprotocols and extensions are not looked at: what the client offers is for
// the backend to judge, and what the backend chooses is compared with the offer
// in [CheckResponse].
//
// It does not look at Connection and Upgrade: see [AsksUpgrade]. A route whose
// upgrade is "unchecked" requires neither, yet everything here.
func CheckRequest(r *http.Request, l Lenient) *Refusal {
	switch {
	case r.Method != http.MethodGet:
		return badRequest("a WebSocket handshake must be a GET")
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return badRequest("a WebSocket handshake must be HTTP/1.1")
	case r.Host == "":
		return badRequest("a WebSocket handshake must have a Host")
	}
	if ref := checkNoBody(r); ref != nil {
		return ref
	}
	if ref := CheckVersion(r.Header); ref != nil {
		return ref
	}
	return checkKey(r.Header, l)
}

// Lenient is what a route forgives. Each field concerns the two ends alone:
// nothing that decides where a message ends can be forgiven.
type Lenient struct {
	Subprotocol bool // the backend may choose a subprotocol that was not offered
	Key         bool // the client's key need not be 16 bytes in base64
}

// framingHeaders are forbidden in a handshake, whatever their value.
var framingHeaders = [...]string{"Transfer-Encoding", "Trailer", "Expect"}

// checkNoBody also looks at the fields into which net/http moves some of the
// framing headers.
func checkNoBody(r *http.Request) *Refusal {
	for _, name := range framingHeaders {
		if len(r.Header[name]) > 0 {
			return badRequest("a WebSocket handshake must not have " + name)
		}
	}
	for _, length := range r.Header["Content-Length"] {
		if strings.Trim(length, "0") != "" || length == "" {
			return badRequest("a WebSocket handshake must not have a Content-Length other than 0")
		}
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 || len(r.Trailer) > 0 {
		return badRequest("a WebSocket handshake must not have a body")
	}
	return nil
}

// CheckVersion asks for exactly one Sec-WebSocket-Version line that says 13.
// Another version, or none, is answered 426 with the version that is spoken
// here (RFC 6455 section 4.4); two lines are 400.
func CheckVersion(h http.Header) *Refusal {
	lines := h["Sec-Websocket-Version"]
	switch {
	case len(lines) > 1:
		return badRequest("more than one Sec-WebSocket-Version")
	case len(lines) == 1 && lines[0] == Version:
		return nil
	}
	return &Refusal{
		Status: http.StatusUpgradeRequired,
		Text:   "Sec-WebSocket-Version must be " + Version,
		Header: http.Header{"Sec-Websocket-Version": {Version}},
	}
}

func checkKey(h http.Header, l Lenient) *Refusal {
	lines := h["Sec-Websocket-Key"]
	switch {
	case len(lines) == 0:
		return badRequest("missing Sec-WebSocket-Key")
	case len(lines) > 1:
		return badRequest("more than one Sec-WebSocket-Key")
	case l.Key && lines[0] != "":
		return nil
	case !ValidKey(lines[0]):
		return badRequest("Sec-WebSocket-Key must be 16 bytes in base64")
	}
	return nil
}

// ValidKey reports whether key is 16 bytes in base64, 24 characters. The spare
// bits of the last one may be set: clients that fill a key with random characters
// set them, and the proof is made of the characters.
func ValidKey(key string) bool {
	if len(key) != 24 {
		return false
	}
	// 24 characters may stand for 18 bytes; Decode skips line ends, so a
	// shorter result is possible as well.
	var raw [18]byte
	n, err := base64.StdEncoding.Decode(raw[:], []byte(key))
	return err == nil && n == 16
}

// NewKey returns a fresh random Sec-WebSocket-Key (RFC 6455 section 4.1).
func NewKey() string {
	var raw [16]byte
	rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	return base64.StdEncoding.EncodeToString(raw[:])
}

// AcceptKey is the Sec-WebSocket-Accept that proves that key was read
// (RFC 6455 section 4.2.2, step 5.4).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + keyGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}
