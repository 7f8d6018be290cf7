package admin

// Drains by hand.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const (
	maxWindow = 24 * time.Hour
	maxReason = 123 // bytes, in a Close frame
)

// parseManner reads how tunnels are to be told. An empty text is what each route says.
func parseManner(window, code string, hasReason bool, reason string) (m drain.Manner, err error) {
	if window != "" {
		d, err := time.ParseDuration(window)
		if err != nil || d < 0 || d > maxWindow {
			return m, fmt.Errorf("window %q: want a duration from 0s to 24h", window)
		}
		m.Window = &d
	}
	if code != "" {
		n, err := strconv.ParseUint(code, 10, 16)
		if err != nil || !wsproto.ValidOnWire(uint16(n)) {
			return m, fmt.Errorf("code %q: want a close code that may be sent, such as 1001, 1008, 1012 or 4000", code)
		}
		c := uint16(n)
		m.Code = &c
	}
	if hasReason {
		if len(reason) > maxReason || !utf8.ValidString(reason) {
			return m, fmt.Errorf("reason: want at most %d bytes of UTF-8", maxReason)
		}
		m.Reason = &reason
	}
	return m, nil
}

// parseDrain reads which tunnels are meant, and how they are told.
func parseDrain(q statusapi.DrainRequest) (which drain.Query, m drain.Manner, err error) {
	which = drain.Query{Route: q.Route, Pool: q.Pool, Backend: q.Backend, User: q.User}
	if q.Client != "" {
		if which.Client, err = parseClient(q.Client); err != nil {
			return which, m, fmt.Errorf("client %q: %w", q.Client, err)
		}
	}
	switch some := which != (drain.Query{}); {
	case some == q.All:
		return which, m, errors.New("want a route, a pool, a backend, a client or a user; or all, and none of them")
	case q.Backend != "" && q.Pool == "":
		return which, m, errors.New("a backend without its pool: want both")
	}
	code := ""
	if q.Code != 0 {
		code = strconv.Itoa(int(q.Code))
	}
	var reason string
	if q.Reason != nil {
		reason = *q.Reason
	}
	m, err = parseManner(q.Window, code, q.Reason != nil, reason)
	return which, m, err
}

func (a *api) startDrain(w http.ResponseWriter, r *http.Request) {
	var request statusapi.DrainRequest
	if !readJSON(w, r, &request) {
		return
	}
	which, manner, err := parseDrain(request)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	answer := statusapi.Drain{Request: request, Began: time.Now(), Over: true}
	switch {
	case request.DryRun:
		answer.Routes = a.Tunnels.Matching(which)
		for _, n := range answer.Routes {
			answer.Tunnels += n
		}
	default:
		begun, err := a.Tunnels.DrainByHand(which, manner)
		if err != nil {
			writeError(w, http.StatusConflict, err.Error())
			return
		}
		answer = drainOf(begun)
		answer.Request = request
		if begun.Tunnels == 0 {
			answer.ID = ""
		}
		a.Log.Info("drain by hand", "drain", answer.ID, "tunnels", begun.Tunnels, "by", callerOf(r).by())
	}
	writeJSON(w, http.StatusOK, answer)
}

func (a *api) listDrains(w http.ResponseWriter, _ *http.Request) {
	list := statusapi.DrainList{Drains: []statusapi.Drain{}}
	for _, d := range a.Tunnels.Drains() {
		list.Drains = append(list.Drains, drainOf(d))
	}
	writeJSON(w, http.StatusOK, list)
}

// spareDrain lets the tunnels be that a drain has not told yet.
func (a *api) spareDrain(w http.ResponseWriter, r *http.Request) {
	d, ok := a.Tunnels.Spare(r.PathValue("id"))
	if !ok {
		writeError(w, http.StatusNotFound, fmt.Sprintf("there is no drain %q", r.PathValue("id")))
		return
	}
	a.Log.Info("drain by hand ended", "drain", d.ID, "told", d.Told, "spared", d.Spared, "by", callerOf(r).by())
	writeJSON(w, http.StatusOK, drainOf(d))
}

func drainOf(d drain.DrainStatus) statusapi.Drain {
	q := d.Query
	request := statusapi.DrainRequest{Route: q.Route, Pool: q.Pool, Backend: q.Backend, Reason: d.Manner.Reason, All: q == (drain.Query{})}
	if q.Client.IsValid() {
		request.Client = q.Client.String()
	}
	if d.Manner.Window != nil {
		request.Window = d.Manner.Window.String()
	}
	if d.Manner.Code != nil {
		request.Code = *d.Manner.Code
	}
	return statusapi.Drain{
		ID: d.ID, Request: request, Began: d.Began, Tunnels: d.Tunnels,
		Waiting: d.Waiting, Told: d.Told, Ended: d.Ended, Spared: d.Spared, Over: d.Over(),
	}
}

// readJSON decodes a body that has no unknown fields, or answers why it cannot.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	body, ok := readBody(w, r, maxWriteBody)
	if !ok {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		writeError(w, http.StatusBadRequest, "the request body: "+err.Error())
		return false
	}
	if _, err := decoder.Token(); err != io.EOF {
		writeError(w, http.StatusBadRequest, "the request body: more than one value")
		return false
	}
	return true
}
