package provider

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// same is a file that does not change.
func same(revision string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return revision, nil }
}

func TestAwait(t *testing.T) {
	mistake := statusapi.Mistake{File: "r.yaml", Line: 3, Column: 5, Text: "no such certificate"}
	for _, tt := range []struct {
		name    string
		proxies []func(context.Context, string) statusapi.Status // nil: no listener
		require string
		want    string // in the error; "" for none
	}{
		{"all serve", []func(context.Context, string) statusapi.Status{serves, serves}, "all", ""},
		{"one of two is late", []func(context.Context, string) statusapi.Status{serves, pending}, "all", "1 of the proxies serve it, want 2 within"},
		{"one of two is dead", []func(context.Context, string) statusapi.Status{serves, nil}, "all", "connection refused"},
		{"any is enough", []func(context.Context, string) statusapi.Status{serves, nil, nil}, "any", ""},
		{"two of three", []func(context.Context, string) statusapi.Status{serves, nil, serves}, "2", ""},
		{"two of three, one serves", []func(context.Context, string) statusapi.Status{serves, nil, pending}, "2", "want 2"},
		{"a rejection counts whatever is required", []func(context.Context, string) statusapi.Status{serves, rejects(mistake)}, "any", "r.yaml:3:5: no such certificate"},
		{"no proxies", nil, "all", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var addresses []string
			for _, outcome := range tt.proxies {
				if outcome == nil {
					addresses = append(addresses, deadAddress(t))
					continue
				}
				p := newFakeProxy(t)
				p.outcome = outcome
				addresses = append(addresses, p.address)
			}
			s := newTestSession(t, noRoutes, withAdmin(addresses...), withWait("500ms", tt.require))
			err := s.proxies.await(t.Context(), "abc", same("abc"))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func serves(_ context.Context, revision string) statusapi.Status {
	return statusapi.Status{Revision: revision, Outcome: statusapi.Served}
}

// If the file is written meanwhile, await waits for the new revision.
func TestAwaitSuperseded(t *testing.T) {
	p := newFakeProxy(t)
	p.outcome = func(_ context.Context, revision string) statusapi.Status {
		if revision != "theirs" {
			return statusapi.Status{Revision: "theirs", Outcome: statusapi.Superseded}
		}
		return statusapi.Status{Revision: revision, Outcome: statusapi.Served}
	}
	s := newTestSession(t, noRoutes, withAdmin(p.address), withWait("30s", "all"))
	if err := s.proxies.await(t.Context(), "ours", same("theirs")); err != nil {
		t.Error(err)
	}
	if got := strings.Join(p.asked(), " "); got != "ours theirs" {
		t.Errorf("waited for %s, want ours, then theirs", got)
	}
}

func TestAwaitInterrupted(t *testing.T) {
	p := newFakeProxy(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	p.outcome = func(asked context.Context, revision string) statusapi.Status {
		cancel(errors.New("enough"))
		return pending(asked, revision)
	}
	s := newTestSession(t, noRoutes, withAdmin(p.address), withWait("1h", "all"))
	var late *notServedError
	if err := s.proxies.await(ctx, "abc", same("abc")); !errors.As(err, &late) || late.served != 0 {
		t.Errorf("error %v, want one about too few proxies", err)
	}
}

// A proxy that does not answer serves no record.
func TestServes(t *testing.T) {
	const text = "version: 1\nroutes:\n  a: {match: {path: /a}, respond: {}}\n  b: {match: {path: /b}, respond: {}}\n"
	p := newFakeProxy(t)
	p.records = func() statusapi.Records {
		f, _ := routefile.Parse("-", []byte(text))
		return statusapi.Records{Files: []statusapi.FileRecords{{Routes: map[string]string{
			"a": f.Fingerprint(routefile.InRoutes, "a"), "b": "something else",
		}}}}
	}
	s := newTestSession(t, text, withAdmin(p.address, deadAddress(t)), withWait("1s", "any"))
	doc, err := s.reader.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var diags diag.Diagnostics
	for name, want := range map[string]bool{"a": true, "b": false, "c": false} {
		id := recordID{routefile.InRoutes, name}
		var got bool
		if err := s.serves(t.Context(), id, doc.fingerprint(id), &diags).As(&got); err != nil || got != want && name != "c" {
			t.Errorf("serves %s: %t (%v), want %t", id, got, err, want)
		}
	}
	if len(diags) != 1 || !strings.Contains(diags[0].Detail(), "connection refused") {
		t.Errorf("diagnostics %v, want one warning of the proxy that does not answer", diags)
	}
}

func TestAddresses(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	for address, want := range map[string]string{
		"127.0.0.1:9901": "", "[::1]:9901": "", "proxy.internal:9901": "", "http://127.0.0.1:9901/": "", "unix:" + socket: "",
		"127.0.0.1": `"127.0.0.1": want host:port or unix:/path`,
	} {
		_, err := newProxy(address)
		if got := errorText(err); got != want {
			t.Errorf("newProxy(%q): error %q, want %q", address, got, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Calls before a run starts share it; calls while it runs do not.
func TestShared(t *testing.T) {
	var s coalescer[int]
	runs, started, release := 0, make(chan struct{}, 10), make(chan struct{})
	work := func(context.Context) (int, error) {
		runs++
		started <- struct{}{}
		<-release
		return runs, nil
	}
	results := make(chan int, 10)
	ask := func() {
		n, _ := s.do(context.Background(), work)
		results <- n
	}
	go ask()
	<-started
	for range 5 { // all of these come while the first run is on
		go ask()
	}
	for joined := false; !joined; runtime.Gosched() {
		s.mu.Lock()
		joined = s.next != nil
		s.mu.Unlock()
	}
	close(release)
	counts := map[int]int{}
	for range 6 {
		counts[<-results]++
	}
	if counts[1] != 1 || runs < 2 || runs > 6 {
		t.Errorf("runs by their number of askers: %v, want one asker in the first run only", counts)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&coalescer[int]{}).do(ctx, func(context.Context) (int, error) { return 1, nil }); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
