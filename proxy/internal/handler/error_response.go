package handler

// The proxy's own errors: one line of text, which never names a backend's address.

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusal is an answer that the proxy gives instead of a backend's. Text is for
// the client; cause, which may name addresses, is for the log alone.
type refusal struct {
	status int
	text   string
	header http.Header // further header lines; may be nil
	body   []byte      // instead of text, with its Content-Type in header
	cause  error       // may be nil
	why    string      // see because; may be ""

	retryAfter time.Duration // 0 is retryAfterSeconds, where a Retry-After belongs
}

// Error makes a refusal an error.
func (rf *refusal) Error() string { return rf.text }

func refuse(status int, text string, cause error) *refusal {
	return &refusal{status: status, text: text, cause: cause}
}

// retryAfterSeconds is the Retry-After of clients that are over a limit or find no backend.
// It is short, because a backend starts, or a tunnel ends, within seconds.
const retryAfterSeconds = 5

// ownBody is a body from the routes file; the zero value is none.
type ownBody struct {
	contentType string
	data        []byte
}

// answer writes the refusal with its own body; without one, as one line of plain text, or
// as JSON where the client asks for it, with the request's id.
func (rf *refusal) answer(w http.ResponseWriter, r *http.Request, id string, own ownBody) {
	h := w.Header()
	clear(h)
	for name, values := range rf.header {
		h[name] = values
	}
	if rf.status == http.StatusTooManyRequests || rf.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(cmp.Or(int(rf.retryAfter/time.Second), retryAfterSeconds)))
	}
	body := own.data
	switch {
	case rf.body != nil:
		body = rf.body
	case own.contentType != "":
		h.Set("Content-Type", own.contentType)
	case wantsJSON(r):
		body = rf.json(id)
		h.Set("Content-Type", "application/json")
	default:
		body = fmt.Appendf(nil, "%d %s: %s (request %s)\n", rf.status, http.StatusText(rf.status), rf.text, id)
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(rf.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

func (rf *refusal) json(id string) []byte {
	body, _ := json.Marshal(struct {
		Status  int    `json:"status"`
		Error   string `json:"error"`
		Request string `json:"request"`
	}{rf.status, rf.text, id})
	return append(body, '\n')
}

// wantsJSON reports whether the client asks for JSON by name; */* does not.
func wantsJSON(r *http.Request) bool {
	for _, line := range r.Header["Accept"] {
		for element := range strings.SplitSeq(line, ",") {
			mediaType, _, _ := strings.Cut(element, ";")
			mediaType = strings.ToLower(strings.TrimSpace(mediaType))
			if mediaType == "application/json" || strings.HasSuffix(mediaType, "+json") {
				return true
			}
		}
	}
	return false
}
