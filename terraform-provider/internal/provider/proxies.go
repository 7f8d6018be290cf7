package provider

// Asking the proxies: what they serve, what became of a revision, and what they
// would say of a file that is not written yet.

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
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// fleet is the proxies that serve the file. Safe for concurrent use.
type proxySet struct {
	proxies []*proxy
	require int // how many must serve what was written
	timeout time.Duration
}

// newFleet reads admin and wait of the configuration.
func newProxySet(c configuration, diags *diag.Diagnostics) proxySet {
	f := proxySet{timeout: duration(c.Wait.Timeout, time.Minute, path.Root("wait").AtName("timeout"), diags)}
	for i, address := range knownStrings(c.Admin) {
		p, err := newProxy(address)
		if err != nil {
			diags.Append(invalidSetting(path.Root("admin").AtListIndex(i), err.Error()))
			continue
		}
		f.proxies = append(f.proxies, p)
	}
	f.require = len(f.proxies)
	switch require := c.Wait.Require.ValueString(); require {
	case "", "all":
	case "any":
		f.require = min(1, len(f.proxies))
	default:
		n, err := strconv.Atoi(require)
		if err != nil || n < 1 || n > len(f.proxies) && !listIsUnknown(c.Admin) {
			diags.Append(invalidSetting(path.Root("wait").AtName("require"),
				fmt.Sprintf("%q: want all, any or a number from 1 to %d, as many as admin has", require, len(f.proxies))))
		}
		f.require = n
	}
	return f
}

// proxy is one running proxy's admin API. Safe for concurrent use.
type proxy struct {
	address string
	client  *http.Client
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
	// No idle connections: what is asked is asked rarely, and a plugin process
	// should hold nothing open between its calls.
	return &proxy{address: address, client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, nil
}

// status asks for the status, or with a revision to wait for, for what has become
// of it within timeout.
func (p *proxy) status(ctx context.Context, revision string, timeout time.Duration) (statusapi.Status, error) {
	target := "/v1/status"
	if revision != "" {
		target += "?" + url.Values{"wait": {revision}, "timeout": {timeout.String()}}.Encode()
	}
	var status statusapi.Status
	err := p.ask(ctx, http.MethodGet, target, nil, &status)
	return status, err
}

// check asks what the proxy would say if data were the content of file.
func (p *proxy) check(ctx context.Context, file string, data []byte) (statusapi.CheckResult, error) {
	var result statusapi.CheckResult
	err := p.ask(ctx, http.MethodPost, "/v1/check?"+url.Values{"file": {file}}.Encode(), data, &result)
	return result, err
}

// maxAnswer bounds what a proxy's answer may take: 10,000 mistakes fit.
const maxAnswer = 32 << 20

// ask makes one request. The proxy refuses Host names that a web page could
// send, so it is called localhost whatever its address.
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
		return fmt.Errorf("admin %q: %w", p.address, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("admin %q: %w", p.address, err)
	case resp.StatusCode != http.StatusOK:
		return &statusError{p.address, resp.StatusCode, strings.TrimSpace(string(data))}
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("admin %q: its answer is no status of this proxy: %w", p.address, err)
	}
	return nil
}

// refusedQuestion is an answer other than 200.
type statusError struct {
	address string
	status  int
	body    string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("admin %q: answer %d: %.300s", e.address, e.status, e.body)
}

// rejection says that a proxy has refused what was written.
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

// overdue says that not enough proxies served what was written in time.
type notServedError struct {
	served, require int
	timeout         time.Duration
	reasons         []string // what is known of those that did not
	cause           error    // of the end: the deadline, or an interruption
}

func (e *notServedError) Error() string {
	text := fmt.Sprintf("%d of the proxies serve it, want %d within %v (wait.timeout)", e.served, e.require, e.timeout)
	for _, other := range e.reasons {
		text += "\n" + other
	}
	return text
}

func (e *notServedError) Unwrap() error { return e.cause }

// verdict is what one proxy has come to.
type waitResult struct {
	proxy     *proxy
	served    bool
	rejection *rejectedError
	err       error // why there is no answer
}

// grace is how long a proxy may still object when enough others serve already.
const rejectionGrace = 2 * time.Second

// await blocks until enough proxies serve the file, as current says what it
// holds: later writers supersede, and waiting then goes on for theirs under the
// same deadline. A rejection by any proxy is an error, whatever is required.
func (f proxySet) await(ctx context.Context, revision string, current func(context.Context) (string, error)) error {
	if len(f.proxies) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	verdicts := make(chan waitResult, len(f.proxies))
	for _, p := range f.proxies {
		go p.waitForRevision(ctx, revision, current, verdicts)
	}
	end := &notServedError{require: f.require, timeout: f.timeout}
	for range f.proxies {
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
		if end.served == f.require {
			time.AfterFunc(rejectionGrace, cancel)
		}
	}
	if end.served < f.require {
		return end
	}
	return nil
}

// longestPoll is how long one question to a proxy waits; then it is asked again.
const pollTimeout = 10 * time.Second

// follow is the goroutine that asks one proxy until it serves or rejects what
// the file holds, or ctx ends.
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
			pause(ctx, 20*time.Millisecond) // or two that overwrite each other keep us spinning
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

// pause waits, but not past ctx's end.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// records asks what a proxy serves, record by record.
func (p *proxy) records(ctx context.Context) (statusapi.Records, error) {
	var records statusapi.Records
	err := p.ask(ctx, http.MethodGet, "/v1/records", nil, &records)
	return records, err
}

// briefly bounds questions that do not wait for anything.
const queryTimeout = 5 * time.Second

// census is what each proxy serves: fingerprints by record.
type servedRecords struct {
	fingerprints []map[recordID]string // of those that answered
	errs         []error               // of the others
}

// count asks all proxies at once.
func (f proxySet) queryRecords(ctx context.Context) (servedRecords, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var mu sync.Mutex
	var all servedRecords
	var wg sync.WaitGroup
	for _, p := range f.proxies {
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

// serves says whether enough proxies serve a record with this fingerprint: null
// when there are none to ask. The first that does not answer is warned of, once
// in a run.
func (s *session) serves(ctx context.Context, id recordID, print string, diags *diag.Diagnostics) tftypes.Value {
	if len(s.proxies.proxies) == 0 {
		return tftypes.NewValue(tftypes.Bool, nil)
	}
	all, err := s.recordQueries.do(ctx, s.proxies.queryRecords)
	if err == nil && len(all.errs) > 0 {
		s.warnUnreachable.Do(func() { diags.Append(unreachableProxies(all.errs)) })
	}
	serving := 0
	for _, served := range all.fingerprints {
		if served[id] == print {
			serving++
		}
	}
	return tftypes.NewValue(tftypes.Bool, serving >= s.proxies.require)
}
