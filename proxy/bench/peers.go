package main

// The proxies: how each is found, built, configured and started.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"debug/buildinfo"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	product = "tunnelform"
	before  = "before" // another build of it, which -before names
)

// peer is one proxy. Its files stand in the run's directory, one folder a launch.
type peer struct {
	name    string
	isRelay bool // no handshake, no HTTP: it copies bytes
	canTLS  bool
	// build makes or finds the program; "" with an error that says what is missing.
	build func(dir string) (program string, err error)
	// configure writes files and returns the arguments.
	configure func(s site) (args []string, err error)
	// reload has it take the files that configure has written anew; nil: it
	// watches them.
	reload func(p peer, r *running) error
	shows  []string // arguments that print the version
	module string   // or the Go module that says it

	program string // set by prepare, as is its version
	version string
}

// isProduct says whether it is a build of ours.
func (p peer) isProduct() bool { return p.name == product || p.name == before }

// site is what a configuration needs to know. A scenario gives the second part.
type site struct {
	dir     string
	port    int
	backend string // host:port
	cert    string // PEM: certificate and key in one file

	tls         bool
	room        int      // tunnels at once, where room is not free; 0: 1,000
	routes      int      // so many: /r000000/ and on; 0: one for everything
	edit        int      // what /edit answers with; 0: there is no /edit
	descriptors int      // the most it may have; 0: as many as this process
	env         []string // NAME=value
}

func (s site) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// write replaces a file, whole.
func (s site) write(name, text string) (string, error) {
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		return "", err
	}
	return file, os.Rename(file+".new", file)
}

var peers = []peer{
	{name: product, canTLS: true, build: buildProduct, configure: configureProduct, shows: []string{"version"}},
	{name: before, canTLS: true, configure: configureProduct, shows: []string{"version"}},
	{name: "relay", isRelay: true, build: buildRelay, configure: configureRelay},
	{name: "nginx", canTLS: true, build: find("nginx"), configure: configureNginx, reload: signalled(syscall.SIGHUP), shows: []string{"-v"}},
	{name: "haproxy", canTLS: true, build: find("haproxy"), configure: configureHAProxy, reload: signalled(syscall.SIGUSR2), shows: []string{"-v"}},
	{name: "caddy", canTLS: true, build: buildCaddy, configure: configureCaddy, reload: reloadCaddy, module: "github.com/caddyserver/caddy/v2"},
	{name: "apache", canTLS: true, build: find("apache2"), configure: configureApache, reload: signalled(syscall.SIGUSR1), shows: []string{"-v"}},
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
		switch {
		case p.name == before && o.before != "":
			p.build = find(o.before)
		case p.name == before || len(o.proxies) > 0 && !slices.Contains(o.proxies, p.name):
			continue
		}
		if p.program, err = p.build(dir); err != nil {
			line, _, _ := strings.Cut(err.Error(), "\n")
			fmt.Fprintf(os.Stderr, "bench: without %s: %s\n", p.name, line)
			continue
		}
		p.version = p.ask()
		installed = append(installed, p)
	}
	return installed, nil
}

// ask asks a program for its version.
func (p peer) ask() string {
	switch {
	case p.isRelay:
		return "relay/relay.c, compiled with -O2"
	case p.module != "":
		return p.required()
	}
	said, _ := exec.Command(p.program, p.shows...).CombinedOutput()
	line, _, _ := strings.Cut(string(said), "\n")
	return line
}

// required is the version of the module that a program was built from.
func (p peer) required() string {
	info, err := buildinfo.ReadFile(p.program)
	if err != nil {
		return err.Error()
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == p.module {
			return m.Path + " " + m.Version + ", " + info.GoVersion
		}
	}
	return "not built from " + p.module
}

// signalled reloads by a signal to the first process.
func signalled(sig syscall.Signal) func(peer, *running) error {
	return func(_ peer, r *running) error { return r.cmd.Process.Signal(sig) }
}

// reloadCaddy does not wait for the answer, which comes when all is done; whether
// the reload succeeded is seen at the proxy.
func reloadCaddy(p peer, r *running) error {
	cmd := exec.Command(p.program, "reload", "--force", "--config", filepath.Join(r.site.dir, "Caddyfile"),
		"--adapter", "caddyfile", "--address", "unix/"+filepath.Join(r.site.dir, "admin"))
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
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
