package forward

// One request's way to a backend and back.

import (
	"net/http"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// Forwarder forwards requests. Safe for concurrent use.
type Forwarder struct {
	// Fail answers a request that has no answer of a backend's, with a status
	// of Status(err). With StatusClientGone what it writes is not read. It must
	// not tell the client err, which may name the backend's address. nil writes
	// the status' text.
	Fail func(w http.ResponseWriter, r *http.Request, status int, err error)

	flushDelay time.Duration // 0 is the constant; tests wait longer
}

// Hop is where one request goes, and under what terms.
type Hop struct {
	Backend *upstream.Backend
	TLS     upstream.TLS
	// Path and Query are written to the backend unchanged: escaped by the
	// caller, and not decoded or cleaned here. Path begins with a slash.
	Path    string
	Query   string // with its "?"
	Policy  *Policy
	Client  Client
	ID      string   // the request's, for X-Request-Id
	Public  Public   // needed for Rewriting.Location only
	Outcome *Outcome // if not nil, filled before Forward returns or panics
	// Values is what placeholders of Policy.Errors stand for.
	Values func() *match.Values
	// Finish, if not nil, has the last word on the header of a backend's answer.
	Finish func(http.Header)
	// Names is how the client spelled the names of the request's header.
	Names spelling.Names
	// AnswerNames, if not nil, is told how the backend spelled the names of its
	// answer's, before the answer's header is written; it knows already where Answer
	// is set. It is emptied where the answer is not the backend's.
	AnswerNames *spelling.Names
	// Answer is the backend's, where it has been asked already: a handshake that
	// it answered with ordinary HTTP. The backend is not asked again. Forward
	// closes its body.
	Answer *http.Response
	// Pins is the client's own connections to backends; nil: it has none.
	Pins *upstream.Pins
	// NoLogin, if not nil, is why this client cannot log a connection in: the
	// answer's error where it, or the backend's answer, is about such a login.
	NoLogin error
	// Another is asked, where it is not nil, when there was no connection to the
	// backend (err is an *upstream.DialError) and nothing of the request's body
	// has been read: for another backend to send it to, or false.
	Another func(err error) (*upstream.Backend, upstream.TLS, bool)
}

// Public is how the client sees what the backend calls its own: a path of the
// backend's below TargetPrefix is the client's below RoutePrefix.
type Public struct {
	Scheme       string // http or https
	Host         string // with the port, if it is not the scheme's own
	TargetPrefix string // both are whole segments, escaped; "" is "/"
	RoutePrefix  string
}

// Outcome is how it went, for logs and for the backend's health.
type Outcome struct {
	// Status is what the client was told; StatusClientGone if it did not wait.
	Status int
	// Err is why Forwarder.Fail answered, or why the answer broke off; nil if
	// the answer arrived whole. errors.Is(Err, ErrClientGone) is no failure of the backend's.
	Err error
	// Answered says that the status is the backend's own.
	Answered bool
}

// Forward sends r to hop's backend and the answer to w; it returns when all of
// it is through. The caller has counted it in (Backend.Acquire). Where an answer
// breaks off midway it panics with http.ErrAbortHandler, as net/http wants it, so
// that the client cannot take a part for the whole.
//
// No upgrade is ever asked for, and a 101 is a backend's error.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, hop Hop) {
	if hop.Outcome == nil {
		hop.Outcome = new(Outcome)
	}
	if hop.AnswerNames == nil {
		hop.AnswerNames = new(spelling.Names)
	}
	if hop.Answer != nil {
		defer hop.Answer.Body.Close()
	}
	x := &exchange{forwarder: f, w: w, in: r, hop: hop, late: lateWriter{ResponseWriter: w}}
	if err := x.refuse(); err != nil {
		x.fail(err)
		return
	}
	x.run()
}
