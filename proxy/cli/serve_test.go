package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// serving is a proxy that serves a directory of routes files in this process.
type serving struct {
	t          *testing.T
	dir, admin string
	statusFile string
	stop       context.CancelFunc
	ended      chan error
}

// startServing serves the files, by name, from a directory.
func startServing(t *testing.T, files map[string]string) *serving {
	t.Helper()
	s := &serving{t: t, dir: t.TempDir(), ended: make(chan error, 1)}
	s.statusFile = filepath.Join(t.TempDir(), "status.json")
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(t.Context())
	addresses := make(adminAddress, 1)
	go func() {
		env := &Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}
		flags := serveFlags{admin: adminOptions{address: "127.0.0.1:0"}, statusFile: s.statusFile}
		s.ended <- runServe(ctx, env, slog.New(addresses), logWriters{{to: io.Discard}}, flags, []string{s.dir})
	}()
	select {
	case s.admin = <-addresses:
	case err := <-s.ended:
		t.Fatalf("ended with %v before it had begun", err)
	}
	t.Cleanup(s.end)
	return s
}

// end stops it and waits for its end. It may be called again.
func (s *serving) end() {
	s.stop()
	select {
	case err, first := <-s.ended:
		if first {
			close(s.ended)
		}
		if err != nil {
			s.t.Error(err)
		}
	case <-time.After(30 * time.Second):
		s.t.Fatal("it does not end")
	}
}

// adminAddress is a slog.Handler that sends the address of the admin listener.
type adminAddress chan string

func (a adminAddress) Enabled(context.Context, slog.Level) bool { return true }
func (a adminAddress) WithAttrs([]slog.Attr) slog.Handler       { return a }
func (a adminAddress) WithGroup(string) slog.Handler            { return a }

func (a adminAddress) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "admin listening" {
		r.Attrs(func(attr slog.Attr) bool {
			a <- attr.Value.String()
			return false
		})
	}
	return nil
}

// check sends text as a candidate for the file of that name.
func (s *serving) check(name, text string) statusapi.CheckResult {
	s.t.Helper()
	target := "http://" + s.admin + "/v1/check?file=" + url.QueryEscape(filepath.Join(s.dir, name))
	answer, err := http.Post(target, "application/yaml", strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	var result statusapi.CheckResult
	if err := json.NewDecoder(answer.Body).Decode(&result); err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %v", answer.Status, err)
	}
	return result
}

// TestCheckAsReload: a running proxy checks a candidate with its other files, and is not
// changed by it.
func TestCheckAsReload(t *testing.T) {
	const one = "version: 1\nlisteners: {web: {address: \"127.0.0.1:0\"}}\nshutdown: {delay: 0s, window: 0s}\nroutes: {one: {match: {path: /one}, respond: {}}}\n"
	const two = "version: 1\nroutes: {two: {match: {path: /two}, respond: {}}}\n"
	s := startServing(t, map[string]string{"one.yaml": one, "two.yaml": two})
	for _, tt := range []struct{ text, mistake string }{
		{two, ""},
		{"version: 1\nroutes: {}\n", ""},
		{"version: 1\n", "all routes are gone"},
		{"version: 1\nroutes: {one: {match: {path: /two}, respond: {}}}\n", `route "one"`},
		{two + "pools: [", "two.yaml:"},
	} {
		result := s.check("two.yaml", tt.text)
		var got bytes.Buffer
		for _, m := range result.Mistakes {
			got.WriteString(m.String() + "\n")
		}
		if result.OK != (tt.mistake == "") || result.OK != (len(result.Mistakes) == 0) {
			t.Errorf("%q: ok is %v with\n%s", tt.text, result.OK, &got)
		}
		if !strings.Contains(got.String(), tt.mistake) {
			t.Errorf("%q: mistakes\n%swant one with %q", tt.text, &got, tt.mistake)
		}
	}
}

// TestStatusFileAtEnd: the status file says that a stopped proxy is not ready.
func TestStatusFileAtEnd(t *testing.T) {
	s := startServing(t, map[string]string{"routes.yaml": "version: 1\nlisteners: {web: {address: \"127.0.0.1:0\"}}\nshutdown: {delay: 0s, window: 0s}\nroutes: {}\n"})
	if !s.status().Ready {
		t.Error("not ready while it serves")
	}
	s.end()
	if s.status().Ready {
		t.Error("ready after its end")
	}
}

// TestLogLinesAreBounded: of many names the first are logged, and how many more there are.
func TestLogLinesAreBounded(t *testing.T) {
	all := map[string]string{}
	for i := range maxNames + 7 {
		all[fmt.Sprintf("old-%02d", i)] = fmt.Sprintf("new-%02d", i)
	}
	some := renames(all)
	if len(some) != maxNames+1 || some["old-00"] != "new-00" || some["..."] != "and 7 more" {
		t.Errorf("%d entries: %v", len(some), some)
	}
	delete(all, "old-00")
	for i := range 7 {
		delete(all, fmt.Sprintf("old-%02d", maxNames+i))
	}
	if some := renames(all); !maps.Equal(some, all) {
		t.Errorf("%v, want all of a few", some)
	}
}

func (s *serving) status() (status statusapi.Status) {
	s.t.Helper()
	data, err := os.ReadFile(s.statusFile)
	if err == nil {
		err = json.Unmarshal(data, &status)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

// TestOutOfDescriptors: that a file cannot be opened without a descriptor is no mistake in
// the routes.
func TestOutOfDescriptors(t *testing.T) {
	read := &fs.PathError{Op: "open", Path: "routes.yaml", Err: syscall.EMFILE}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("reading: %w", errors.Join(nil, read)), true},
		{routefile.Errors{{Text: `certificate "a.crt": ` + syscall.ENFILE.Error()}}, true},
		{&fs.PathError{Op: "open", Path: "routes.yaml", Err: syscall.EACCES}, false},
		{routefile.Errors{{Text: "unknown key"}}, false},
	} {
		if got := outOfDescriptors(tt.err); got != tt.want {
			t.Errorf("outOfDescriptors(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}
