package admin

// The audit log: a line for each call that changes something, and for each that was
// refused because of who called.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/internal/printable"
)

// auditLog opens its file for every line, so that the file may be renamed at any time.
type auditLog struct {
	path string // "": there is none
	log  *slog.Logger

	mu      sync.Mutex // guards what follows, and keeps lines whole
	second  int64      // in which denials were counted last
	denials int        // in it
}

// auditLine is one line.
type auditLine struct {
	Time   time.Time       `json:"time"`
	Token  string          `json:"token,omitempty"` // its name
	From   string          `json:"from"`
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Query  string          `json:"query,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Result int             `json:"result"` // the status of the answer
}

// maxWriteBody bounds the body of a call that changes something.
const maxWriteBody = 64 << 10

// maxAuditedBody bounds what of it is in the line.
const maxAuditedBody = 4 << 10

// maxDenials is how many refusals are in the file for one second: anybody who can connect
// could fill it.
const maxDenials = 10

func (l *auditLog) record(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, ok := readBody(w, r, maxWriteBody)
		if !ok {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if l.path == "" {
			next(w, r)
			return
		}
		file, err := l.open()
		if err != nil { // nothing is changed that would not be in it
			l.log.Error("cannot write the audit log", "error", err)
			writeError(w, http.StatusServiceUnavailable, "the audit log cannot be written")
			return
		}
		defer file.Close()
		answer := &auditedWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			l.write(file, lineOf(r, body, answer.status))
		}()
		next(answer, r)
	}
}

// denied notes a call that was refused because of who called.
func (l *auditLog) denied(r *http.Request, status int) {
	if l.path == "" || !l.mayNoteDenial(time.Now().Unix()) {
		return
	}
	file, err := l.open()
	if err != nil {
		return // the call does nothing, and those that do say so
	}
	defer file.Close()
	l.write(file, lineOf(r, nil, status))
}

func (l *auditLog) mayNoteDenial(second int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second != l.second {
		l.second, l.denials = second, 0
	}
	l.denials++
	return l.denials <= maxDenials
}

func (l *auditLog) open() (*os.File, error) {
	return os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

func lineOf(r *http.Request, body []byte, status int) auditLine {
	who := callerOf(r)
	line := auditLine{
		Time: time.Now().UTC(), Token: who.name, From: who.from,
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Result: status,
	}
	if len(body) > 0 && len(body) <= maxAuditedBody && json.Valid(body) {
		line.Body = body
	}
	return line
}

func (l *auditLog) write(file *os.File, line auditLine) {
	text, err := json.Marshal(line)
	if err == nil {
		l.mu.Lock()
		_, err = file.Write(append(printable.Bytes(text), '\n'))
		l.mu.Unlock()
	}
	if err != nil {
		l.log.Error("cannot write the audit log", "error", fmt.Errorf("%s: %w", l.path, err))
	}
}

// auditedWriter notes the status.
type auditedWriter struct {
	http.ResponseWriter
	status int
}

func (w *auditedWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *auditedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
