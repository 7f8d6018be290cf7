package proxy

// Who may come in at a listener that has TLS, and who may stay: a connection
// lives longer than the rules by which it was let in.

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// authorities is the certificates of a client_ca, by their DER. nil: clients are
// not asked for any.
type authorities map[string]bool

// loadTLS reads what the listener's tls names.
func (l *listener) loadTLS(said *routefile.Listener) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if said.HTTP2 == routefile.Off {
		config.NextProtos = []string{"http/1.1"}
	}
	for _, files := range said.TLS.Certificates {
		pair, err := loadPair(files)
		if err != nil {
			return fmt.Errorf("certificate %q with key %q: %w", files.Certificate, files.Key, err)
		}
		config.Certificates = append(config.Certificates, pair)
	}
	l.tls = config
	if said.TLS.ClientCA == "" {
		return nil
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	var err error
	config.ClientCAs, l.clientCA, err = loadAuthorities(said.TLS.ClientCA)
	return err
}

func loadPair(files routefile.CertificateFiles) (tls.Certificate, error) {
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

// loadAuthorities reads a PEM file. What is in it beside certificates, or is none
// that can be read, is skipped, as x509.CertPool does.
func loadAuthorities(path string) (*x509.CertPool, authorities, error) {
	text, err := regularfile.Read(path, regularfile.Named)
	if err != nil {
		return nil, nil, fmt.Errorf("client_ca: %w", err)
	}
	pool, all := x509.NewCertPool(), authorities{}
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

// vouchFor says whether a connection's client was verified by one of them: a chain
// is good from any certificate on that stands in the file, be it a root, an
// intermediate or the client's own.
func (a authorities) vouchFor(state *tls.ConnectionState) bool {
	for _, chain := range state.VerifiedChains {
		for _, c := range chain {
			if a[string(c.Raw)] {
				return true
			}
		}
	}
	return false
}

// checkDoor refuses a request on a connection that the listener, as it is now,
// would not let in: it was opened before an edit asked for TLS, or for another
// client's certificate. The client may connect again (RFC 9110, section 15.5.20).
func (x *exchange) checkDoor() *refusal {
	l := x.table.sockets[x.socket.key]
	switch {
	case l == nil || l.tls == nil:
		return nil
	case x.r.TLS != nil && (l.clientCA == nil || l.clientCA.vouchFor(x.r.TLS)):
		return nil
	}
	rf := refuse(http.StatusMisdirectedRequest, "this listener's rules have changed; connect again", nil)
	rf.header = http.Header{"Connection": {"close"}}
	return rf
}
