package e2e

// A proxy with its admin API, and the commands that ask it.

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// steered is a proxy with an admin API, whose token stands in a folder of its own.
type steered struct {
	*proxy
	admin   string // its address
	url     string
	runtime string // XDG_RUNTIME_DIR
}

// steer starts a proxy with its admin API at a free port of loopback.
func steer(t testing.TB, routes string, args ...string) *steered {
	t.Helper()
	return steerIn(t, t.TempDir(), routes, append([]string{"--admin", "127.0.0.1:0"}, args...)...)
}

// steerIn is steer with that XDG_RUNTIME_DIR and with all arguments.
func steerIn(t testing.TB, runtime, routes string, args ...string) *steered {
	t.Helper()
	s := &steered{proxy: &proxy{t: t, dir: t.TempDir()}, runtime: runtime}
	s.write(routesFile, routes)
	command := exec.Command(binary(t), append([]string{"serve", routesFile}, args...)...)
	command.Dir, command.Env = s.dir, s.environment()
	s.run(command)
	s.waitLog("routes loaded", nil)
	s.admin = s.waitLog("admin listening", nil).text("address")
	s.url = "http://" + s.admin
	return s
}

func (s *steered) environment() []string {
	return append(os.Environ(), "XDG_RUNTIME_DIR="+s.runtime, "RUNTIME_DIRECTORY=", "TUNNELFORM_ADMIN="+s.admin, "TUNNELFORM_ADMIN_TOKEN=")
}

// command runs a command that asks this proxy.
func (s *steered) command(args ...string) ran { return s.commandWith(nil, args...) }

// commandWith is command with more of an environment.
func (s *steered) commandWith(env []string, args ...string) ran {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), binary(s.t), args...)
	command.Dir, command.WaitDelay = s.dir, patience
	command.Env = append(s.environment(), env...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	late := time.AfterFunc(patience, func() { command.Process.Kill() })
	defer late.Stop()
	err := command.Run()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		s.t.Fatalf("tunnelform %v: %v", args, err)
	}
	return ran{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// token is the one that the proxy has made.
func (s *steered) token() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.runtime, "tunnelform", "admin.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// call makes a call with the token.
func (s *steered) call(method, target, body string) reply {
	s.t.Helper()
	return s.callWith(method, target, body, func(h http.Header) { h.Set("Authorization", "Bearer "+s.token()) })
}

// callWith makes a call with headers.
func (s *steered) callWith(method, target, body string, headers func(http.Header)) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(target, "/v1/check") {
		r.Header.Set("Content-Type", "application/yaml")
	}
	headers(r.Header)
	return do(s.t, r)
}

// read decodes the answer to a call that must be answered with 200.
func (s *steered) read(out any, method, target, body string) {
	s.t.Helper()
	answer := s.call(method, target, body)
	if err := json.Unmarshal([]byte(answer.body), out); err != nil || answer.status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s: %v", method, target, answer.status, answer.body, err)
	}
}
