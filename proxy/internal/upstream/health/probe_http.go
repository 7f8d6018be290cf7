package health

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// HTTP is the probe that sends one request.
type HTTP struct {
	Method string      // "" is GET
	Target string      // path and query; "" is /
	Host   string      // "" is the backend's own
	Header http.Header // further header lines
	// Statuses are the good ones; none: 200 to 299. A redirect is not followed.
	Statuses []StatusRange
	// Body must match within the first 64 KiB of the body; nil: it is not read.
	Body *regexp.Regexp
}

// StatusRange is the statuses from First to Last.
type StatusRange struct{ First, Last int }

const maxProbeBody = 64 << 10 // bytes of a body that are searched

// Probe is a Probe.
func (h *HTTP) Probe(ctx context.Context, t Target) error {
	target, err := url.ParseRequestURI(cmp.Or(h.Target, "/"))
	if err != nil {
		return fmt.Errorf("target of the health check: %w", err)
	}
	r := &http.Request{Method: cmp.Or(h.Method, http.MethodGet), URL: target, Host: h.Host, Header: probeHeader(h.Header)}
	response, err := t.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return h.check(response)
}

// probeHeader names the sender, to tell probes from clients in the backend's log.
func probeHeader(h http.Header) http.Header {
	if h = h.Clone(); h == nil {
		h = http.Header{}
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "tunnelform-health")
	}
	return h
}

func (h *HTTP) check(response *http.Response) error {
	good := h.Statuses
	if len(good) == 0 {
		good = []StatusRange{{200, 299}}
	}
	if status := response.StatusCode; !slices.ContainsFunc(good, func(s StatusRange) bool { return s.First <= status && status <= s.Last }) {
		return fmt.Errorf("status %d, wanted %s", status, list(good))
	}
	if h.Body == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProbeBody))
	if err != nil {
		return fmt.Errorf("body of the response: %w", err)
	}
	if !h.Body.Match(body) {
		return fmt.Errorf("body %.60q does not match %q", body, h.Body)
	}
	return nil
}

func list(ranges []StatusRange) string {
	var all []string
	for _, s := range ranges {
		text := fmt.Sprint(s.First)
		if s.Last != s.First {
			text += fmt.Sprintf("-%d", s.Last)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}
