package auth

// Client certificates, which the listener has verified against its client_ca.

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

// ClientCertificate is an entry by certificate. Without Names and SPIFFE every verified
// certificate is let in.
type ClientCertificate struct {
	Names  []Template // one of them is a DNS name of the certificate
	SPIFFE []Template // one of them is a URI of the certificate; a * at the end is anything
	Header string     // to the backend, as Client-Cert of RFC 9440; "" is none
}

type certificateEntry struct {
	ClientCertificate
	id Fingerprint
}

func (e *certificateEntry) check(_ context.Context, r *Request) (*Grant, *Refusal) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, nil
	}
	leaf := r.TLS.VerifiedChains[0][0]
	if time.Now().After(leaf.NotAfter) { // a connection may outlive it
		return nil, forbidden(CauseForbidden, errors.New("client certificate: expired"))
	}
	user, ok := e.name(leaf, r)
	if !ok {
		return nil, forbidden(CauseForbidden, errors.New("client certificate: none of its names is allowed here"))
	}
	g := &Grant{Identity: Identity{User: user, Entry: e.id}, Expires: leaf.NotAfter, OnExpiry: OnExpiry{Code: 1008, Reason: "certificate expired"}}
	if e.Header != "" {
		g.Set = []Header{{Name: e.Header, Value: ":" + base64.StdEncoding.EncodeToString(leaf.Raw) + ":"}}
	}
	return g, nil
}

// name is the certificate's name that lets it in. A name is compared as a whole: a wildcard in
// a certificate is no client's name.
func (e *certificateEntry) name(leaf *x509.Certificate, r *Request) (string, bool) {
	for _, t := range e.Names {
		want, ok := t.expand(r.Capture)
		for _, name := range leaf.DNSNames {
			if ok && foldASCII(name) == foldASCII(want) {
				return strings.ToLower(name), true
			}
		}
	}
	for _, t := range e.SPIFFE {
		want, ok := t.expand(r.Capture)
		wild := strings.HasSuffix(t.text, "*") // not a capture's: that is the client's
		prefix := strings.TrimSuffix(want, "*")
		for _, uri := range leaf.URIs {
			if got := uri.String(); ok && (got == want || wild && strings.HasPrefix(got, prefix)) {
				return got, true
			}
		}
	}
	if len(e.Names)+len(e.SPIFFE) > 0 {
		return "", false
	}
	switch {
	case len(leaf.URIs) > 0:
		return leaf.URIs[0].String(), true
	case len(leaf.DNSNames) > 0:
		return strings.ToLower(leaf.DNSNames[0]), true
	}
	return leaf.Subject.CommonName, true
}

// foldASCII folds what DNS folds: a Kelvin sign is no k.
func foldASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func (e *certificateEntry) challenge() string        { return "" }
func (e *certificateEntry) places() []Place          { return nil }
func (e *certificateEntry) still(Identity) bool      { return true }
func (e *certificateEntry) fingerprint() Fingerprint { return e.id }

func (e *certificateEntry) owns() []string {
	if e.Header == "" {
		return nil
	}
	return []string{e.Header}
}
