package cli

// The admin API's listener. What it answers is in admin_status.go, admin_check.go and
// records.go.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/internal/admin"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

func checkAdmin(address string) error {
	if err := routefile.CheckAddress(address); err != nil {
		return usageErrorf("--admin %q: %w", address, err)
	}
	return nil
}

// startAdmin serves the admin API at "host:port" or "unix:/path" until the
// returned function is called.
func (s *service) startAdmin(address string) (stop func(), err error) {
	ln, err := proxy.Listen(address)
	if err != nil {
		return nil, fmt.Errorf("--admin %q: %w", address, err)
	}
	server := &http.Server{
		Handler:           admin.Handler(s, routefile.MaxBytes),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          proxy.DebugLog(s.log),
	}
	go serveAdmin(server, ln)
	s.log.Info("admin listening", "address", ln.Addr().String())
	return func() { _ = server.Close() }, nil
}

// serveAdmin is the goroutine of the admin listener.
func serveAdmin(server *http.Server, ln net.Listener) { _ = server.Serve(ln) } // until Close

// Wait implements admin.Proxy.
func (s *service) Wait(ctx context.Context, revision string) (statusapi.Outcome, error) {
	verdict, err := s.loop.Wait(ctx, revision)
	if err != nil {
		return "", err
	}
	return statusapi.Outcome(verdict.Outcome), nil
}
