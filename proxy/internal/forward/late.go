package forward

// The beginning of an answer waits for a moment: while nothing of it has gone out,
// an answer that breaks off can still become a 502.

import "net/http"

// lateBytes is how much of a body may wait; about as much net/http gathers before
// it writes.
const lateBytes = 4 << 10

// lateWriter holds a final head and the first bytes behind it until it is flushed,
// or filled, or the answer is whole. One goroutine at a time.
type lateWriter struct {
	http.ResponseWriter
	status int // of the head that waits; 0 if none does
	out    bool
	body   []byte
}

func (w *lateWriter) WriteHeader(status int) {
	if w.out || status < 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.status == 0 {
		w.status = status
	}
}

func (w *lateWriter) Write(p []byte) (int, error) {
	if !w.out && len(w.body)+len(p) <= lateBytes {
		w.body = append(w.body, p...)
		return len(p), nil
	}
	if err := w.release(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

// release lets go what waits.
func (w *lateWriter) release() error {
	if w.out {
		return nil
	}
	w.out = true
	if w.status != 0 {
		w.ResponseWriter.WriteHeader(w.status)
	}
	if len(w.body) == 0 {
		return nil
	}
	_, err := w.ResponseWriter.Write(w.body)
	w.body = nil
	return err
}

// drop forgets what waits, for another answer to be written to the ResponseWriter
// beneath. false: it is out.
func (w *lateWriter) drop() bool {
	if w.out {
		return false
	}
	w.out, w.body = true, nil
	clear(w.Header())
	return true
}

// FlushError is what http.ResponseController calls.
func (w *lateWriter) FlushError() error {
	if err := w.release(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for the rest of what http.ResponseController does.
func (w *lateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
