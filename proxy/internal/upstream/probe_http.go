package upstream

// A question in HTTP, on a connection of its own: one that is kept says nothing
// of whether the next client can connect.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// HTTPQuestion is what is asked, and which answers are good.
type HTTPQuestion struct {
	Method string      // "" is GET
	Target string      // path and query; "" is /
	Host   string      // "" is the backend's own
	Header http.Header // further header lines
	// Statuses that are good; none: 200 to 299.
	Statuses []StatusRange
	// Body must be found in the first 64 KiB of the answer's body; nil: it is not read.
	Body *regexp.Regexp
}

// StatusRange is the statuses from First to Last.
type StatusRange struct{ First, Last int }

const probeBody = 64 << 10 // bytes of an answer that are looked through

// ProbeHTTP asks q.
func ProbeHTTP(q HTTPQuestion, t TLS) Probe {
	return func(ctx context.Context, b *Backend) error {
		request, err := q.request(ctx, b)
		if err != nil {
			return err
		}
		asked := newTransport(b, t)
		asked.retired.Store(true)
		answer, err := asked.RoundTrip(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		return q.judge(answer)
	}
}

func (q *HTTPQuestion) request(ctx context.Context, b *Backend) (*http.Request, error) {
	target, err := url.ParseRequestURI(first(q.Target, "/"))
	if err != nil {
		return nil, fmt.Errorf("target of the health check: %w", err)
	}
	header := q.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", probeAgent)
	}
	r := &http.Request{Method: first(q.Method, http.MethodGet), URL: target, Host: q.Host, Header: header}
	return r.WithContext(ctx), nil
}

// probeAgent tells a backend's log who asks.
const probeAgent = "tunnelform-health"

func (q *HTTPQuestion) judge(answer *http.Response) error {
	if !q.good(answer.StatusCode) {
		return fmt.Errorf("status %d, wanted %s", answer.StatusCode, q.wanted())
	}
	if q.Body == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, probeBody))
	if err != nil {
		return fmt.Errorf("body of the answer: %w", err)
	}
	if !q.Body.Match(body) {
		return fmt.Errorf("body %.60q: %q is not found in it", body, q.Body)
	}
	return nil
}

func (q *HTTPQuestion) good(status int) bool {
	if len(q.Statuses) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.ContainsFunc(q.Statuses, func(s StatusRange) bool { return s.First <= status && status <= s.Last })
}

func (q *HTTPQuestion) wanted() string {
	if len(q.Statuses) == 0 {
		return "200-299"
	}
	var all []string
	for _, s := range q.Statuses {
		all = append(all, s.String())
	}
	return strings.Join(all, ", ")
}

func (s StatusRange) String() string {
	if s.First == s.Last {
		return fmt.Sprint(s.First)
	}
	return fmt.Sprintf("%d-%d", s.First, s.Last)
}

func first(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}
