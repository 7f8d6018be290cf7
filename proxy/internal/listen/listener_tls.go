package listen

// TLS towards clients: certificates, the authorities that sign clients' certificates,
// and the handshake.

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// TLSFiles names what a listener's TLS is made of.
type TLSFiles struct {
	Certificates []CertificateFiles
	ClientCA     string // PEM; "": clients need no certificate
	HTTP2        bool
}

// CertificateFiles are a certificate chain and its key, in PEM.
type CertificateFiles struct{ Certificate, Key string }

// ClientCAs is the certificates of a client_ca, by their DER. nil: clients need no
// certificate.
type ClientCAs map[string]bool

// LoadTLS reads the files.
func (c *Config) LoadTLS(files TLSFiles) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if files.HTTP2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	for _, pair := range files.Certificates {
		loaded, err := loadPair(pair)
		if err != nil {
			return fmt.Errorf("certificate %q with key %q: %w", pair.Certificate, pair.Key, err)
		}
		config.Certificates = append(config.Certificates, loaded)
	}
	c.TLS = config
	if files.ClientCA == "" {
		return nil
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	var err error
	config.ClientCAs, c.ClientCA, err = loadClientCAs(files.ClientCA)
	return err
}

func loadPair(files CertificateFiles) (tls.Certificate, error) {
	certificate, err := regularfile.Read(files.Certificate, regularfile.Named)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := regularfile.Read(files.Key, regularfile.Named)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

// loadClientCAs reads a PEM file. It skips what is not a certificate, or cannot be
// parsed as one, as x509.CertPool does.
func loadClientCAs(path string) (*x509.CertPool, ClientCAs, error) {
	text, err := regularfile.Read(path, regularfile.Named)
	if err != nil {
		return nil, nil, fmt.Errorf("client_ca: %w", err)
	}
	pool, all := x509.NewCertPool(), ClientCAs{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || len(block.Headers) != 0 {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			pool.AddCert(c)
			all[string(c.Raw)] = true
		}
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("client_ca %q: no certificate in it, want PEM", path)
	}
	return pool, all, nil
}

// Verifies reports whether a connection's client was verified by one of them. A chain
// is good from the first certificate that is in the file, be it a root, an
// intermediate or the client's own.
func (a ClientCAs) Verifies(state *tls.ConnectionState) bool {
	for _, chain := range state.VerifiedChains {
		for _, c := range chain {
			if a[string(c.Raw)] {
				return true
			}
		}
	}
	return false
}

// Accepts reports whether the listener, as it is configured now, would accept a
// connection with this TLS state, nil for a plain one. A connection may have been
// opened before an edit asked for TLS, or for another client certificate.
func (c *Config) Accepts(state *tls.ConnectionState) bool {
	return c.TLS == nil || state != nil && (c.ClientCA == nil || c.ClientCA.Verifies(state))
}

// tlsHandshake is a connection whose TLS handshake is under way.
type tlsHandshake struct {
	net.Conn
	late time.Time
}

// EndBy implements PendingConn: the client's request is still to come behind it.
func (h *tlsHandshake) EndBy(t time.Time) {
	if t.Before(h.late) {
		_ = h.SetDeadline(t)
	}
}

// handshakeTLS makes the TLS handshake. The connection is pending meanwhile.
func (s *Socket) handshakeTLS(h *tlsHandshake, c *Config) (*tls.Conn, error) {
	tc := tls.Server(tunnel.Under(h.Conn), c.TLS)
	if err := tc.Handshake(); err != nil {
		s.CountRefused(BadTLS)
		s.options.Log.Debug("TLS handshake", "listener", c.Name, "client", h.RemoteAddr().String(), "error", err)
		answerPlaintext(err)
		return nil, err
	}
	return tc, h.SetDeadline(time.Time{})
}

// answerPlaintext tells a client that sent HTTP to a TLS listener what is wrong.
func answerPlaintext(err error) {
	var header tls.RecordHeaderError
	if !errors.As(err, &header) || header.Conn == nil || !looksLikeHTTP(header.RecordHeader) {
		return
	}
	const text = "400 Bad Request: this listener speaks TLS; use https:// or wss://\n"
	_ = header.Conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(header.Conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	// A connection that is closed with unread bytes is reset, and the client may lose
	// the answer (RFC 9112, section 9.6).
	if half, ok := header.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		_, _ = io.CopyN(io.Discard, header.Conn, 64<<10)
	}
}

// looksLikeHTTP reports whether a connection's first bytes are those of a method: at
// least three upper-case letters. A TLS record begins with a control byte.
func looksLikeHTTP(first [5]byte) bool {
	for _, c := range first[:3] {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}
