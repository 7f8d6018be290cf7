package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestAccessLog: tunnels and requests are in a file of their own, which SIGUSR1 opens again
// after a rotation, and clients' addresses are cut.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	p := startFiles(t, map[string]string{
		routesFile:    web + "shutdown: {delay: 0s, window: 0s}\nroutes: {echo: {match: {path_prefix: /}, to: \"internal://echo\"}}\n",
		"logs/README": "",
	}, routesFile, "--access-log", "logs/access.log", "--log-client", "masked")
	lines := func(name string) string {
		text, _ := os.ReadFile(p.path(name))
		return string(text)
	}
	await := func(name string, wants ...string) {
		t.Helper()
		eventually(t, func() (bool, string) {
			text := lines(name)
			for _, want := range wants {
				if !strings.Contains(text, want) {
					return false, name + " has no " + want + ":\n" + text
				}
			}
			return true, ""
		})
	}
	conn := dial(t, p.ws("/tunnel"))
	get(t, p.http("/before"))
	await("logs/access.log", `"msg":"tunnel opened"`, `"path":"/before"`, `"client":"127.0.0.0"`, `"user_agent":`)
	if err := os.Rename(p.path("logs/access.log"), p.path("logs/access.log.1")); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGUSR1)
	eventually(t, func() (bool, string) {
		_, err := os.Stat(p.path("logs/access.log"))
		return err == nil, "the file is not opened again"
	})
	conn.Close()
	await("logs/access.log", `"msg":"tunnel closed"`, `"path":"/tunnel"`)
	if text := lines("logs/access.log.1"); strings.Contains(text, "tunnel closed") || strings.Contains(text, "127.0.0.1") {
		t.Errorf("the first file:\n%s", text)
	}
	for _, line := range []string{"tunnel opened", "request", "tunnel closed"} {
		if n := p.countLog(line, nil); n != 0 {
			t.Errorf("%d lines %q are in the log, too", n, line)
		}
	}
}
