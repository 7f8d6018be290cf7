package provider

// The proxies' admin API: what they serve, whether they have loaded a revision, and
// whether they would accept a file.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// proxySet is the proxies that serve the file. Safe for concurrent use.
type proxySet struct {
	proxies []*proxy
	require int // how many must serve a revision
	timeout time.Duration
}

func newProxySet(config configuration, diags *diag.Diagnostics) proxySet {
	set := proxySet{timeout: duration(config.Wait.Timeout, time.Minute, path.Root("wait").AtName("timeout"), diags)}
	for i, address := range knownStrings(config.Admin) {
		p, err := newProxy(address)
		if err != nil {
			diags.Append(invalidSetting(path.Root("admin").AtListIndex(i), err.Error()))
			continue
		}
		set.proxies = append(set.proxies, p)
	}
	set.require = len(set.proxies)
	switch require := config.Wait.Require.ValueString(); require {
	case "", "all":
	case "any":
		set.require = min(1, len(set.proxies))
	default:
		n, err := strconv.Atoi(require)
		if err != nil || n < 1 || n > len(set.proxies) && !listIsUnknown(config.Admin) {
			diags.Append(invalidSetting(path.Root("wait").AtName("require"),
				fmt.Sprintf("%q: want all, any or a number from 1 to %d, as many as admin has", require, len(set.proxies))))
		}
		set.require = n
	}
	return set
}

// proxy is one running proxy's admin API. Safe for concurrent use.
type proxy struct {
	address string
	client  *http.Client

	silent atomic.Pointer[error] // why it did not answer the last request; nil if it did
}

// newProxy takes "host:port" or "unix:/path".
func newProxy(address string) (*proxy, error) {
	network, dialled := "tcp", strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/")
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		network, dialled = "unix", socket
	} else if _, _, err := net.SplitHostPort(dialled); err != nil {
		return nil, fmt.Errorf("%q: want host:port or unix:/path", address)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, dialled)
	}
	// Requests are rare: no idle connections stay open between them.
	return &proxy{address: address, client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, nil
}

// status returns the status. With a revision, the proxy answers when it has served
// or rejected it, or after timeout.
func (p *proxy) status(ctx context.Context, revision string, timeout time.Duration) (statusapi.Status, error) {
	target := "/v1/status"
	if revision != "" {
		target += "?" + url.Values{"wait": {revision}, "timeout": {timeout.String()}}.Encode()
	}
	var status statusapi.Status
	err := p.ask(ctx, http.MethodGet, target, nil, &status)
	return status, err
}

// check asks whether the proxy would accept data as the content of file.
func (p *proxy) check(ctx context.Context, file string, data []byte) (statusapi.CheckResult, error) {
	var result statusapi.CheckResult
	err := p.ask(ctx, http.MethodPost, "/v1/check?"+url.Values{"file": {file}}.Encode(), data, &result)
	return result, err
}

// maxAnswer bounds an answer; 10,000 mistakes fit.
const maxAnswer = 32 << 20

// ask makes one request. Its Host is localhost: the proxy refuses names that a web
// page could send.
func (p *proxy) ask(ctx context.Context, method, target string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/yaml")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		err = fmt.Errorf("admin %q: %w", p.address, err)
		p.silent.Store(&err)
		return err
	}
	p.silent.Store(nil)
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("admin %q: %w", p.address, err)
	case resp.StatusCode != http.StatusOK:
		return &statusError{p.address, resp.StatusCode, strings.TrimSpace(string(data))}
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("admin %q: unexpected answer: %w", p.address, err)
	}
	return nil
}

// statusError is an answer other than 200.
type statusError struct {
	address string
	status  int
	body    string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("admin %q: answer %d: %.300s", e.address, e.status, e.body)
}

// rejectedError reports that a proxy has rejected a revision.
type rejectedError struct {
	address  string
	mistakes []statusapi.Mistake
}

func (e *rejectedError) Error() string {
	lines := make([]string, len(e.mistakes))
	for i, m := range e.mistakes {
		lines[i] = m.String()
	}
	return fmt.Sprintf("the proxy at %q rejects it:\n%s", e.address, strings.Join(lines, "\n"))
}

// notServedError reports that too few proxies served a revision in time.
type notServedError struct {
	served, require int
	timeout         time.Duration
	reasons         []string // why the others do not
	cause           error    // the deadline, or an interruption
}

func (e *notServedError) Error() string {
	text := fmt.Sprintf("%d of the proxies serve it, want %d within %v (wait.timeout)", e.served, e.require, e.timeout)
	for _, other := range e.reasons {
		text += "\n" + other
	}
	return text
}

func (e *notServedError) Unwrap() error { return e.cause }

// waitResult is the end of waiting for one proxy.
type waitResult struct {
	proxy     *proxy
	served    bool
	rejection *rejectedError
	err       error // otherwise
}

// rejectionGrace is how long a proxy may still reject when enough others serve.
const rejectionGrace = 2 * time.Second

// await blocks until enough proxies serve the file. current returns its revision: if
// a later write supersedes this one, await waits for that, with the same deadline.
// A rejection by any proxy is an error.
func (set proxySet) await(ctx context.Context, revision string, current func(context.Context) (string, error)) error {
	if len(set.proxies) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, set.timeout)
	defer cancel()
	verdicts := make(chan waitResult, len(set.proxies))
	waiting := map[*proxy]bool{}
	for _, p := range set.proxies {
		waiting[p] = true
		go p.waitForRevision(ctx, revision, current, verdicts)
	}
	end := &notServedError{require: set.require, timeout: set.timeout}
	for range set.proxies {
		v := <-verdicts
		switch {
		case v.rejection != nil:
			return v.rejection
		case v.served:
			end.served++
		default:
			end.reasons = append(end.reasons, v.err.Error())
			end.cause = context.Cause(ctx)
		}
		delete(waiting, v.proxy)
		if end.served >= set.require && len(waiting) > 0 {
			if allSilent(waiting) {
				cancel()
			} else if end.served == set.require {
				time.AfterFunc(rejectionGrace, cancel)
			}
		}
	}
	if end.served < set.require {
		return end
	}
	return nil
}

// allSilent reports whether none of the proxies answers. They need no time to reject.
func allSilent(proxies map[*proxy]bool) bool {
	for p := range proxies {
		if p.silent.Load() == nil {
			return false
		}
	}
	return true
}

// pollTimeout bounds one status request; then the next one is made.
const pollTimeout = 10 * time.Second

// waitForRevision asks one proxy until it serves or rejects the file's revision, or
// ctx ends. It runs in a goroutine of its own.
func (p *proxy) waitForRevision(ctx context.Context, revision string, current func(context.Context) (string, error), verdicts chan<- waitResult) {
	var last error
	for ctx.Err() == nil {
		status, err := p.status(ctx, revision, pollTimeout)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				last = err
			}
			pause(ctx, 200*time.Millisecond)
			continue
		case status.Outcome == statusapi.Served:
			verdicts <- waitResult{proxy: p, served: true}
			return
		case status.Outcome == statusapi.Rejected && status.Refused != nil:
			verdicts <- waitResult{proxy: p, rejection: &rejectedError{p.address, status.Refused.Mistakes}}
			return
		case status.Outcome == statusapi.Superseded:
			pause(ctx, 20*time.Millisecond) // do not spin while two writers overwrite each other
		}
		last = fmt.Errorf("the proxy at %q serves revision %.12s, want %.12s", p.address, status.Revision, revision)
		if now, err := current(ctx); err == nil {
			revision = now
		}
	}
	if last == nil {
		last = fmt.Errorf("the proxy at %q did not answer", p.address)
	}
	verdicts <- waitResult{proxy: p, err: last}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// records returns the fingerprints of the records that the proxy serves.
func (p *proxy) records(ctx context.Context) (statusapi.Records, error) {
	var records statusapi.Records
	err := p.ask(ctx, http.MethodGet, "/v1/records", nil, &records)
	return records, err
}

// queryTimeout bounds requests that do not wait for a revision. A proxy that did not
// answer is not sent another in this run: each would take this long.
const queryTimeout = 5 * time.Second

// servedRecords has the fingerprints of the records that each proxy serves.
type servedRecords struct {
	fingerprints []map[recordID]string // one map for each proxy that answered
	errs         []error               // of the others
}

func (set proxySet) queryRecords(ctx context.Context) (servedRecords, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var mu sync.Mutex
	var all servedRecords
	var wg sync.WaitGroup
	for _, p := range set.proxies {
		if silent := p.silent.Load(); silent != nil {
			mu.Lock()
			all.errs = append(all.errs, *silent)
			mu.Unlock()
			continue
		}
		wg.Go(func() {
			records, err := p.records(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				all.errs = append(all.errs, err)
				return
			}
			all.fingerprints = append(all.fingerprints, byRecord(records))
		})
	}
	wg.Wait()
	return all, nil
}

// probeProxies warns, once a run, of proxies that do not answer: an apply would wait for
// them.
func (s *session) probeProxies(ctx context.Context, diags *diag.Diagnostics) {
	if len(s.proxies.proxies) == 0 || s.proxiesUnknown {
		return
	}
	s.probe.Do(func() {
		all, err := s.recordQueries.do(ctx, s.proxies.queryRecords)
		if err == nil && len(all.errs) > 0 {
			s.warnUnreachable.Do(func() { diags.Append(unreachableProxies(all.errs)) })
		}
	})
}

func byRecord(records statusapi.Records) map[recordID]string {
	all := map[recordID]string{}
	for _, f := range records.Files {
		for name, print := range f.Routes {
			all[recordID{routefile.InRoutes, name}] = print
		}
		for name, print := range f.Pools {
			all[recordID{routefile.InPools, name}] = print
		}
	}
	return all
}

// serves reports whether enough proxies serve a record with this fingerprint: null if
// there are no proxies. Proxies that do not answer are reported once a run.
func (s *session) serves(ctx context.Context, id recordID, fingerprint string, diags *diag.Diagnostics) tftypes.Value {
	if len(s.proxies.proxies) == 0 {
		return tftypes.NewValue(tftypes.Bool, nil)
	}
	all, err := s.recordQueries.do(ctx, s.proxies.queryRecords)
	if err == nil && len(all.errs) > 0 {
		s.warnUnreachable.Do(func() { diags.Append(unreachableProxies(all.errs)) })
	}
	serving := 0
	for _, served := range all.fingerprints {
		if served[id] == fingerprint {
			serving++
		}
	}
	return tftypes.NewValue(tftypes.Bool, serving >= s.proxies.require)
}
