// The same rules for requests over HTTP/2 (RFC 9113 section 8.3.1). Frames have
// no bytes to disagree about, so there is no gate in such a connection; but
// what is forwarded as HTTP/1.1 must be what a head could have said.

package h1

import (
	"net/http"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

var (
	errProtocol   = &Violation{http.StatusNotImplemented, "extended CONNECT with a protocol that is not served"}
	errAbsolute   = bad("HTTP/2 request whose path does not begin with a slash")
	errOtherHost  = bad("Host and :authority disagree")
	errBodyLength = bad("Content-Length that is not the body's")
)

// CheckHTTP2 says what is wrong with a request that net/http's HTTP/2 server
// has read, nil if nothing. net/http itself lets pass a
// method that is no token, a target with spaces or an authority of its own, a
// Host beside another :authority, and a Content-Length that is none. No
// extended CONNECT (RFC 8441) is served.
func CheckHTTP2(r *http.Request) *Violation {
	if err := checkHTTP2(r); err != nil {
		return err.(*Violation)
	}
	return nil
}

func checkHTTP2(r *http.Request) error {
	method := []byte(r.Method)
	switch {
	case !httpsyntax.IsToken(method):
		return errMethod
	case r.Method == http.MethodConnect && r.Header[":protocol"] == nil:
		return errConnect
	case r.Method == http.MethodConnect:
		return errProtocol
	case r.RequestURI == "" || r.RequestURI[0] != '/' && r.RequestURI != "*":
		return errAbsolute
	}
	if err := checkTarget(method, []byte(r.RequestURI)); err != nil {
		return err
	}
	if err := checkHTTP2Host(r); err != nil {
		return err
	}
	return checkHTTP2Length(r)
}

// checkHTTP2Host: net/http has put :authority into r.Host, or else Host.
func checkHTTP2Host(r *http.Request) error {
	lines := r.Header["Host"]
	switch {
	case r.Host == "":
		return errNoHost
	case len(lines) > 1:
		return errTwoHosts
	case len(lines) == 0:
		return checkAuthority([]byte(r.Host))
	}
	defaultPort := portHTTP
	if r.TLS != nil {
		defaultPort = portHTTPS
	}
	if checkAuthority([]byte(lines[0])) != nil || !sameAuthority([]byte(lines[0]), []byte(r.Host), defaultPort) {
		return errOtherHost
	}
	return checkAuthority([]byte(r.Host))
}

// checkHTTP2Length: net/http takes a length that is no number for 0, even where
// a body follows, and does not look at it where none does.
func checkHTTP2Length(r *http.Request) error {
	lines := r.Header["Content-Length"]
	switch {
	case len(lines) == 0:
		return nil
	case len(lines) > 1:
		return errTwoLengths
	}
	n, err := parseLength([]byte(lines[0]))
	if err == nil && n != r.ContentLength {
		return errBodyLength
	}
	return err
}
