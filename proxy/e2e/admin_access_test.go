package e2e

// Who may use the admin API: the token that a proxy makes for its run, token files, unix
// sockets, TLS.

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

const noRoutes = web + "shutdown: {delay: 0s, window: 0s}\nroutes: {}\n"

// sessionStatus is the status of a call that needs a token.
func (s *steered) sessionStatus(token string) int {
	s.t.Helper()
	return s.callWith(http.MethodPost, "/v1/session", "", func(h http.Header) {
		if token != "" {
			h.Set("Authorization", "Bearer "+token)
		}
	}).status
}

// TestAdminTokenOfARun: a proxy writes a token that only its user can read, a second one
// does not take its place, and at its end the token is gone.
func TestAdminTokenOfARun(t *testing.T) {
	t.Parallel()
	first := steer(t, noRoutes)
	path := filepath.Join(first.runtime, "tunnelform", "admin.token")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the token's file: %v, %v", info, err)
	}
	second := steerIn(t, first.runtime, noRoutes, "--admin", "127.0.0.1:0")
	own := filepath.Join(first.runtime, "tunnelform", "admin-"+second.admin+".token")
	text, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(text))
	if token == first.token() {
		t.Error("two proxies have one token")
	}
	for _, tt := range []struct {
		name, token string
		proxy       *steered
		want        int
	}{
		{"its own", first.token(), first, 204},
		{"its own, of the second", token, second, 204},
		{"the other's", token, first, 401},
		{"none", "", first, 401},
	} {
		if got := tt.proxy.sessionStatus(tt.token); got != tt.want {
			t.Errorf("a session with %s token: %d, want %d", tt.name, got, tt.want)
		}
	}
	first.cut()
	second.cut()
	for _, path := range []string{path, own} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s after the end: %v", path, err)
		}
	}
}

// TestAdminWithoutAFolder: where there is no place for a token, the API can be read, and the
// log says why nothing more.
func TestAdminWithoutAFolder(t *testing.T) {
	t.Parallel()
	s := steerIn(t, "", noRoutes, "--admin", "127.0.0.1:0")
	s.waitLog("no admin token: the admin API can only be read", nil)
	if got := get(t, s.url+"/v1/status").status; got != 200 {
		t.Errorf("the status: %d, want 200", got)
	}
	if got := s.sessionStatus("guess"); got != 403 {
		t.Errorf("a session: %d, want 403", got)
	}
}

// TestAdminTokenFile: tokens are those of the file as it is now; a bad file changes nothing.
func TestAdminTokenFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	line := func(name, scope, token string) string {
		sum := sha256.Sum256([]byte(token))
		return fmt.Sprintf("%s %s sha256:%s\n", name, scope, hex.EncodeToString(sum[:]))
	}
	write(line("ci", "write", "one"))
	s := steer(t, noRoutes, "--admin-token-file", path)
	if got := s.sessionStatus("one"); got != 204 {
		t.Errorf("with the token: %d, want 204", got)
	}
	if _, err := os.Stat(filepath.Join(s.runtime, "tunnelform")); !os.IsNotExist(err) {
		t.Errorf("a token was made beside the file: %v", err)
	}
	write(line("ci", "write", "two"))
	s.waitLog("admin files loaded", nil)
	if one, two := s.sessionStatus("one"), s.sessionStatus("two"); one != 401 || two != 204 {
		t.Errorf("after the change the old token gives %d, the new one %d; want 401 and 204", one, two)
	}
	write("ci write two\n")
	if refused := s.waitLog("admin files refused", nil); strings.Contains(refused.text("error"), "two") {
		t.Errorf("the log has what may be a token: %v", refused)
	}
	if got := s.sessionStatus("two"); got != 204 {
		t.Errorf("after a bad file: %d, want 204", got)
	}
}

// TestAdminUnixSocket: only the owner and the group can connect, and need no token.
func TestAdminUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "admin.sock")
	s := steerIn(t, t.TempDir(), noRoutes, "--admin", "unix:"+path)
	if got, want := fileMode(t, path), fmt.Sprint("0660 ", os.Getegid()); got != want {
		t.Errorf("the socket: %s, want %s", got, want)
	}
	given := filepath.Join(t.TempDir(), "given.sock")
	steerIn(t, t.TempDir(), noRoutes, "--admin", "unix:"+given, "--admin-mode", "0606", "--admin-group", strconv.Itoa(otherGroup()))
	if got, want := fileMode(t, given), fmt.Sprint("0606 ", otherGroup()); got != want {
		t.Errorf("the socket: %s, want %s", got, want)
	}
	for _, args := range [][]string{
		{"--admin", "unix:" + given, "--admin-mode", "432"},
		{"--admin", "127.0.0.1:0", "--admin-mode", "0600"},
		{"--admin", "127.0.0.1:0", "--admin-group", "root"},
		{"--admin-mode", "0600"},
	} {
		if got := tunnelform(t, s.dir, "", append([]string{"serve", routesFile}, args...)...); got.status != 2 {
			t.Errorf("serve %q: %d %s, want a usage error", args, got.status, got.stderr)
		}
	}
	if got := tunnelform(t, s.dir, "", "status", "--admin", "unix:"+path); got.status != 0 {
		t.Errorf("status: %d %s", got.status, got.stderr)
	}
}

// TestAdminTLS: the API speaks TLS with the given certificate, and the commands verify it.
func TestAdminTLS(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	leaf := authority.Issue([]string{"127.0.0.1"})
	s := steer(t, noRoutes, "--admin-tls", leaf.File+","+leaf.KeyFile, "--admin-client-ca", authority.File)
	address := "https://" + s.admin
	if got := s.command("status", "--admin", address, "--admin-ca", authority.File); got.status != 0 {
		t.Errorf("status: %d %s", got.status, got.stderr)
	}
	if got := s.command("status", "--admin", address); got.status != 3 || !strings.Contains(got.stderr, "certificate") {
		t.Errorf("status without the authority: %d %s", got.status, got.stderr)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: authority.Pool(), Certificates: []tls.Certificate{leaf.Pair}}}}
	answer, err := client.Get(address + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("with a client's certificate: %s", answer.Status)
	}
}

// TestAdminUsage: flags that do nothing are refused.
func TestAdminUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range []string{
		"serve --audit-log a.log routes.yaml",
		"serve --admin 127.0.0.1:0 --admin-tls only.crt routes.yaml",
		"serve --admin 127.0.0.1:0 --admin-client-ca ca.crt routes.yaml",
		"status --admin nowhere",
		"status --admin admin.example:9901 --token-file token",
	} {
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := tunnelform(t, dir, "", strings.Fields(args)...); got.status != 2 || strings.Contains(got.stderr, "secret") {
			t.Errorf("%s: exit status %d, want 2: %s", args, got.status, got.stderr)
		}
	}
}
