package upstream

// The TLS configurations towards backends, and when two are equal.

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/tunnelform/tunnelform/internal/regularfile"
)

// TLS is a configuration towards backends. The zero value verifies against the system's
// roots and the backend's own name. Immutable, safe for concurrent use.
type TLS struct {
	Config *tls.Config // read-only; nil is the zero value's
	// Key is a digest of the settings and the files' contents: equal keys may share
	// connections.
	Key string
}

// TLSFiles is the TLS settings of a backend in the routes file.
type TLSFiles struct {
	CA          string // PEM file of the trusted authorities; "" is the system's
	ServerName  string // for SNI and verification; "" is the backend's host
	Certificate string // PEM file: our own certificate, with its chain
	Key         string // PEM file: its key
	Insecure    bool   // verify nothing
}

// LoadTLS reads the files. The minimum is TLS 1.2. Errors name the file.
func LoadTLS(files TLSFiles) (TLS, error) {
	if files == (TLSFiles{}) {
		return TLS{}, nil
	}
	config := baseConfig()
	config.ServerName, config.InsecureSkipVerify = files.ServerName, files.Insecure
	digest := digester{"server name", files.ServerName, "insecure", strconv.FormatBool(files.Insecure)}
	if err := loadAuthorities(config, files.CA, &digest); err != nil {
		return TLS{}, err
	}
	if err := loadCertificate(config, files, &digest); err != nil {
		return TLS{}, err
	}
	return TLS{Config: config, Key: digest.sum()}, nil
}

func loadAuthorities(config *tls.Config, file string, digest *digester) error {
	if file == "" {
		return nil
	}
	pem, err := regularfile.Read(file, regularfile.Named)
	if err != nil {
		return fmt.Errorf("backend CA: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("backend CA %q: no certificate in it, want PEM", file)
	}
	*digest = append(*digest, "ca", string(pem))
	return nil
}

func loadCertificate(config *tls.Config, files TLSFiles, digest *digester) error {
	if files.Certificate == "" && files.Key == "" {
		return nil
	}
	certificate, err := regularfile.Read(files.Certificate, regularfile.Named)
	if err != nil {
		return fmt.Errorf("backend client certificate: %w", err)
	}
	key, err := regularfile.Read(files.Key, regularfile.Named)
	if err != nil {
		return fmt.Errorf("backend client key: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("backend client certificate %q with key %q: %w", files.Certificate, files.Key, err)
	}
	config.Certificates = []tls.Certificate{pair}
	*digest = append(*digest, "certificate", string(certificate), "key", string(key))
	return nil
}

func (t TLS) clientConfig(host string) *tls.Config {
	config := t.Config
	if config == nil {
		config = systemConfig
	}
	if config.ServerName != "" {
		return config
	}
	config = config.Clone()
	config.ServerName = host
	return config
}

var systemConfig = baseConfig() // one for all zero TLS values, so that sessions resume

// baseConfig offers HTTP/1.1 only: a backend that prefers h2 must not choose it, as
// tunnels and requests both use HTTP/1.1.
func baseConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
}

// digester hashes a list of texts; each has its length before it, so that no two lists
// are joined to the same text.
type digester []string

func (d digester) sum() string {
	hash := sha256.New()
	for _, part := range d {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(hash.Sum(nil))
}
