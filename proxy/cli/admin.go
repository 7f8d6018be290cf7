package cli

// The admin API's listener, and the files that say who may use it. What it answers is in
// admin_status.go, admin_check.go and records.go.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/internal/admin"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

// adminOptions are serve's flags about the admin API.
type adminOptions struct {
	address       string
	mode, group   string // of a unix socket
	hosts         []string
	tokenFile     string
	tls           []string // certificate, key
	clientCA      string
	publicMetrics bool
	auditLog      string
	debug         bool
}

func (o *adminOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.address, "admin", "", "serve the admin API here: host:port or unix:/path")
	f.StringVar(&o.mode, "admin-mode", "", "permissions of the unix socket, in octal (default 0660)")
	f.StringVar(&o.group, "admin-group", "", "group of the admin API's unix socket")
	f.StringSliceVar(&o.hosts, "admin-host", nil, "a name of the admin API, besides addresses and localhost")
	f.StringVar(&o.tokenFile, "admin-token-file", "", "tokens of the admin API: lines NAME SCOPE sha256:HEX")
	f.StringSliceVar(&o.tls, "admin-tls", nil, "serve the admin API over TLS: CERTIFICATE,KEY")
	f.StringVar(&o.clientCA, "admin-client-ca", "", "let certificates of these authorities read the admin API")
	f.BoolVar(&o.publicMetrics, "admin-public-metrics", false, "metrics and the status need no token anywhere")
	f.BoolVar(&o.debug, "admin-debug", false, "serve Go's profiles at /debug/pprof/")
	f.StringVar(&o.auditLog, "audit-log", "", "append a line for each call that changes something")
}

// check returns a usage error.
func (o *adminOptions) check() error {
	switch {
	case o.address == "" && (o.mode != "" || o.group != "" || o.tokenFile != "" || o.tls != nil || o.clientCA != "" || o.hosts != nil || o.publicMetrics || o.debug || o.auditLog != ""):
		return usageErrorf("--admin is missing: the other flags about the admin API are of no use without it")
	case o.tls != nil && len(o.tls) != 2:
		return usageErrorf("--admin-tls %q: want CERTIFICATE,KEY", strings.Join(o.tls, ","))
	case o.clientCA != "" && o.tls == nil:
		return usageErrorf("--admin-client-ca without --admin-tls: want both")
	case o.address == "":
		return nil
	case (o.mode != "" || o.group != "") && !strings.HasPrefix(o.address, "unix:"):
		return usageErrorf("--admin-mode and --admin-group are for unix sockets: --admin is %q", o.address)
	}
	if _, err := routefile.SocketMode(o.mode); err != nil {
		return usageErrorf("--admin-mode %q: %w", o.mode, err)
	}
	return checkAdmin(o.address)
}

// listen binds the admin API's address.
func (o *adminOptions) listen() (net.Listener, error) {
	mode, err := routefile.SocketMode(o.mode)
	if err != nil {
		return nil, fmt.Errorf("--admin-mode %q: %w", o.mode, err)
	}
	group, err := routefile.SocketGroup(o.group)
	if err != nil {
		return nil, fmt.Errorf("--admin-group %q: %w", o.group, err)
	}
	ln, err := proxy.Listen(o.address, proxy.SocketFile{Mode: mode, Group: group})
	if err != nil {
		return nil, fmt.Errorf("--admin %q: %w", o.address, err)
	}
	return ln, nil
}

func checkAdmin(address string) error {
	if err := routefile.CheckAddress(address); err != nil {
		return usageErrorf("--admin %q: %w", address, err)
	}
	return nil
}

// adminFiles is what the files of the options say. Immutable.
type adminFiles struct {
	tokens *admin.Tokens
	tls    *tls.Config
}

// adminServer is the admin API while it is served.
type adminServer struct {
	server *http.Server
	files  *reload.Loop[adminFiles] // nil: there are no files
	own    *admin.Tokens            // the token that was made at the start
	stops  []func()                 // in the order of their beginnings
}

// startAdmin serves the admin API until the returned function is called.
func (s *service) startAdmin(ctx context.Context, o adminOptions) (stop func(), err error) {
	a := &adminServer{}
	defer func() {
		if err != nil {
			a.stop()
		}
	}()
	if err := a.followFiles(ctx, s, o); err != nil {
		return nil, err
	}
	ln, err := o.listen()
	if err != nil {
		return nil, err
	}
	a.stops = append(a.stops, func() { _ = ln.Close() })
	if _, tcp := ln.Addr().(*net.TCPAddr); tcp && o.tokenFile == "" {
		a.makeToken(s, ln.Addr().String())
	}
	a.server = &http.Server{
		Handler: admin.Handler(admin.Options{
			Proxy: s, Tunnels: s.server.OpenTunnels(), Feed: &s.feed, Debug: o.debug, MaxBody: routefile.MaxBytes, Log: s.log,
			Metrics: s.metrics, Tokens: a.tokens, Hosts: o.hosts, PublicMetrics: o.publicMetrics, Audit: o.auditLog,
		}),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          proxy.DebugLog(s.log),
	}
	a.stops = append(a.stops, func() { _ = a.server.Close() })
	if o.tls != nil {
		ln = tls.NewListener(ln, &tls.Config{GetConfigForClient: a.tlsConfig})
	}
	go serveAdmin(a.server, ln)
	s.log.Info("admin listening", "address", ln.Addr().String())
	return a.stop, nil
}

// serveAdmin is the goroutine of the admin listener.
func serveAdmin(server *http.Server, ln net.Listener) { _ = server.Serve(ln) } // until Close

func (a *adminServer) stop() {
	for len(a.stops) > 0 {
		last := len(a.stops) - 1
		a.stops[last]()
		a.stops = a.stops[:last]
	}
}

// makeToken makes a token for this run and writes it where the commands find it.
func (a *adminServer) makeToken(s *service, address string) {
	file, err := newTokenFile(address)
	if err != nil {
		s.log.Warn("no admin token: the admin API can only be read", "error", err.Error())
		return
	}
	a.stops = append(a.stops, file.remove)
	a.own = file.tokens
	s.log.Info("admin token written", "file", file.path)
}

// tokens are those that hold now.
func (a *adminServer) tokens() *admin.Tokens {
	if a.own != nil || a.files == nil {
		return a.own
	}
	return a.files.Cell().Load().tokens
}

func (a *adminServer) tlsConfig(*tls.ClientHelloInfo) (*tls.Config, error) {
	return a.files.Cell().Load().tls, nil
}

// followFiles reads the files that the options name, and follows their changes. What
// cannot be read or parsed changes nothing.
func (a *adminServer) followFiles(ctx context.Context, s *service, o adminOptions) error {
	var paths []string
	for _, path := range append([]string{o.tokenFile, o.clientCA}, o.tls...) {
		if path != "" {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	source, err := filestore.NewSource(paths, filestore.Options{MaxSize: 1 << 20, Log: s.log})
	if err != nil {
		return err
	}
	a.files = reload.New(reload.Options[adminFiles]{
		Source: source,
		Build: func(_ context.Context, snap store.Snapshot, _ *adminFiles) (*adminFiles, []string, error) {
			files, err := o.parse(snap)
			return files, nil, err
		},
		Published: func(old, _ *adminFiles, _ reload.Generation) {
			if old != nil {
				s.log.Info("admin files loaded")
			}
		},
		Refused: func(r reload.Refusal) { s.log.Error("admin files refused", "error", r.Err.Error()) },
	})
	if err := a.files.Start(ctx); err != nil {
		return err
	}
	following, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	go followAdminFiles(following, a.files, ended)
	a.stops = append(a.stops, func() { end(); <-ended })
	return nil
}

// followAdminFiles is the goroutine of the files' reload loop.
func followAdminFiles(ctx context.Context, files *reload.Loop[adminFiles], ended chan<- struct{}) {
	defer close(ended)
	_ = files.Run(ctx) // its only error is ctx's
}

// parse makes what is used of the files' contents.
func (o *adminOptions) parse(snap store.Snapshot) (*adminFiles, error) {
	data := make(map[string][]byte, len(snap.Documents))
	for _, d := range snap.Documents {
		data[d.Path] = d.Data
	}
	read := func(path string) []byte { return data[filepath.Clean(path)] }
	files := &adminFiles{}
	if o.tokenFile != "" {
		var err error
		if files.tokens, err = admin.ParseTokens(string(read(o.tokenFile))); err != nil {
			return nil, fmt.Errorf("%s: %w", o.tokenFile, err)
		}
	}
	if o.tls == nil {
		return files, nil
	}
	pair, err := tls.X509KeyPair(read(o.tls[0]), read(o.tls[1]))
	if err != nil {
		return nil, fmt.Errorf("--admin-tls: %w", err)
	}
	files.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if o.clientCA != "" {
		files.tls.ClientAuth, files.tls.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
		if !files.tls.ClientCAs.AppendCertsFromPEM(read(o.clientCA)) {
			return nil, errors.New("--admin-client-ca: no certificate in it, want PEM")
		}
	}
	return files, nil
}

// Wait implements admin.Proxy.
func (s *service) Wait(ctx context.Context, revision string) (statusapi.Outcome, error) {
	verdict, err := s.loop.Wait(ctx, revision)
	if err != nil {
		return "", err
	}
	return statusapi.Outcome(verdict.Outcome), nil
}
