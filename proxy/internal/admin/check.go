package admin

// The check of a candidate for a routes file.

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

// MaxChecks bounds the checks that run or wait, each with its body in memory.
const MaxChecks = 8

// bodyTimeout is how long a request's body may take to arrive.
const bodyTimeout = 30 * time.Second

func (a *api) check(w http.ResponseWriter, r *http.Request) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusServiceUnavailable, "too many checks are waiting")
		return
	}
	data, ok := readBody(w, r, a.MaxBody)
	if !ok {
		return
	}
	if !isFile(r.Header.Get("Content-Type")) {
		writeError(w, http.StatusUnsupportedMediaType, "Content-Type must be application/yaml")
		return
	}
	result, err := a.Proxy.Check(r.Context(), r.URL.Query().Get("file"), data)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, result)
}

// readBody reads a request's body, or answers why it cannot be read.
func readBody(w http.ResponseWriter, r *http.Request, most int64) (body []byte, ok bool) {
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(bodyTimeout)) // the ResponseRecorder of tests has none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, "the request body is too large")
		return nil, false
	case err != nil:
		writeError(w, http.StatusBadRequest, "the request body is incomplete")
		return nil, false
	}
	_ = deadline.SetReadDeadline(time.Time{}) // or the server takes its expiry for the client's disconnect
	return body, true
}

// isFile accepts types that no HTML form can send.
func isFile(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch mediaType {
	case "application/yaml", "application/x-yaml", "application/octet-stream":
		return true
	}
	return false
}
