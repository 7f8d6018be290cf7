package proxytest

// Certificates for tests, as values and as PEM files.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	File string // PEM

	t           testing.TB
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, serial: 1}
	a.key = a.newKey()
	template := a.template("test authority")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	a.must(err)
	a.certificate, err = x509.ParseCertificate(der)
	a.must(err)
	a.File = a.write("ca.crt", "CERTIFICATE", der)
	return a
}

func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Certificate is a leaf with its key.
type Certificate struct {
	Pair    tls.Certificate
	File    string // PEM, the certificate
	KeyFile string // PEM
	// Clients, when set, must have signed the clients' certificates.
	Clients *Authority
}

// Leaf changes a certificate before it is signed.
type Leaf func(*x509.Certificate)

// Expired is a Leaf that ended an hour ago.
func Expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }

// Issue signs a certificate for host names and addresses, of servers and clients. The first
// name is also its common name.
func (a *Authority) Issue(names []string, changes ...Leaf) *Certificate {
	a.t.Helper()
	template := a.template(names[0])
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	for _, change := range changes {
		change(template)
	}
	return a.sign(template)
}

func (a *Authority) sign(template *x509.Certificate) *Certificate {
	a.t.Helper()
	key := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	a.must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	c := &Certificate{File: a.write("leaf.crt", "CERTIFICATE", der), KeyFile: a.write("leaf.key", "PRIVATE KEY", keyDER)}
	c.Pair, err = tls.LoadX509KeyPair(c.File, c.KeyFile)
	a.must(err)
	return c
}

func (c *Certificate) ServerConfig() *tls.Config {
	config := &tls.Config{Certificates: []tls.Certificate{c.Pair}, MinVersion: tls.VersionTLS12}
	if c.Clients != nil {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, c.Clients.Pool()
	}
	return config
}

func (a *Authority) template(name string) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-24 * time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	return key
}

func (a *Authority) write(name, kind string, der []byte) string {
	file := filepath.Join(a.t.TempDir(), name)
	a.must(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return file
}

func (a *Authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}
