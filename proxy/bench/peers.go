package main

// The proxies: how each is found, built, configured and started.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const product = "tunnelform"

// peer is one proxy. Its files stand in the run's directory, one folder a peer.
type peer struct {
	name    string
	isRelay bool // no handshake, no HTTP: it copies bytes
	canTLS  bool
	// build makes or finds the program; "" with an error that says what is missing.
	build func(dir string) (program string, err error)
	// configure writes files and returns the arguments.
	configure func(s site) (args []string, err error)
	shows     []string // arguments that print the version

	program string
}

// site is what a configuration needs to know.
type site struct {
	dir     string
	port    int
	backend string // host:port
	tls     bool
	cert    string // PEM: certificate and key in one file
}

func (s site) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s site) write(name, text string) (string, error) {
	file := filepath.Join(s.dir, name)
	return file, os.WriteFile(file, []byte(text), 0o644)
}

var peers = []peer{
	{name: product, canTLS: true, build: buildProduct, configure: configureProduct, shows: []string{"version"}},
	{name: "relay", isRelay: true, build: buildRelay, configure: configureRelay},
	{name: "nginx", canTLS: true, build: find("nginx"), configure: configureNginx, shows: []string{"-v"}},
	{name: "haproxy", canTLS: true, build: find("haproxy"), configure: configureHAProxy, shows: []string{"-v"}},
	{name: "caddy", canTLS: true, build: buildCaddy, configure: configureCaddy, shows: []string{"version"}},
	{name: "apache", canTLS: true, build: find("apache2"), configure: configureApache, shows: []string{"-v"}},
}

func names(peers []peer) (list []string) {
	for _, p := range peers {
		list = append(list, p.name)
	}
	return list
}

// prepare builds or finds every proxy that was asked for, and says which are left out.
func prepare(dir string, o options) (installed []peer, err error) {
	if err := writeCertificate(filepath.Join(dir, "cert.pem")); err != nil {
		return nil, err
	}
	for _, p := range peers {
		if len(o.proxies) > 0 && !strings.Contains(","+strings.Join(o.proxies, ",")+",", ","+p.name+",") {
			continue
		}
		if p.program, err = p.build(dir); err != nil {
			fmt.Fprintf(os.Stderr, "bench: without %s: %v\n", p.name, err)
			continue
		}
		installed = append(installed, p)
	}
	return installed, nil
}

func (p peer) version() string {
	if p.shows == nil {
		return "relay/relay.c, compiled with -O2"
	}
	said, _ := exec.Command(p.program, p.shows...).CombinedOutput()
	line, _, _ := strings.Cut(string(said), "\n")
	return line
}

// launch starts the proxy in front of a backend.
func (p peer) launch(dir, backend string, tls bool) (*running, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := site{dir: filepath.Join(dir, p.name), port: port, backend: backend, tls: tls, cert: filepath.Join(dir, "cert.pem")}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	args, err := p.configure(s)
	if err != nil {
		return nil, err
	}
	return spawn(s.address(), tls, filepath.Join(s.dir, "output"), p.program, args...)
}

func find(program string) func(string) (string, error) {
	return func(string) (string, error) {
		if path, err := exec.LookPath(program); err == nil {
			return path, nil
		}
		path := "/usr/sbin/" + program // not on everybody's path
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s is not installed", program)
		}
		return path, nil
	}
}

func buildProduct(dir string) (string, error) {
	program := filepath.Join(dir, "tunnelform-bin")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	said, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, said)
	}
	return program, nil
}

func buildRelay(dir string) (string, error) {
	program := filepath.Join(dir, "relay-bin")
	said, err := exec.Command("cc", "-O2", "-o", program, "relay/relay.c").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, said)
	}
	return program, nil
}

// buildCaddy builds the version that go.mod pins.
func buildCaddy(dir string) (string, error) {
	program := filepath.Join(dir, "caddy-bin")
	said, err := exec.Command("go", "build", "-o", program, "github.com/caddyserver/caddy/v2/cmd/caddy").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, said)
	}
	return program, nil
}

// writeCertificate makes a certificate for 127.0.0.1, P-256 as most sites have.
func writeCertificate(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"bench.example"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	return os.WriteFile(file, text, 0o600)
}

func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return n
}
