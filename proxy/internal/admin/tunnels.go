package admin

// The list of open tunnels. A list of a million is made in parts: what is held of it as a
// whole is a pointer for each tunnel, and the figures of a few hundred.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// maxLists bounds the lists that are made or written at a time, and listTimeout how long
	// a slow reader may keep one.
	maxLists    = 8
	listTimeout = 10 * time.Minute
)

// sortKeys are what tunnels can be sorted by: a number, or a text.
var sortKeys = map[string]func(*row) sortValue{
	// By when they began, as ages grow between two pages.
	"age":   func(r *row) sortValue { return sortValue{Number: -float64(r.serial)} },
	"idle":  func(r *row) sortValue { return sortValue{Number: r.Idle} },
	"bytes": func(r *row) sortValue { return sortValue{Number: float64(r.BytesFromClient + r.BytesFromBackend)} },
	"messages": func(r *row) sortValue {
		return sortValue{Number: float64(r.MessagesFromClient + r.MessagesFromBackend)}
	},
	"rtt":     func(r *row) sortValue { return sortValue{Number: r.ClientRTT} },
	"route":   func(r *row) sortValue { return sortValue{Text: r.Route} },
	"backend": func(r *row) sortValue { return sortValue{Text: r.Backend} },
	"client":  func(r *row) sortValue { return sortValue{Text: r.Client} },
	"path":    func(r *row) sortValue { return sortValue{Text: r.Path} },
}

type sortValue struct {
	Number float64 `json:"n,omitempty"`
	Text   string  `json:"t,omitempty"`
}

func (v sortValue) compare(w sortValue) int {
	switch {
	case v.Number < w.Number:
		return -1
	case v.Number > w.Number:
		return 1
	}
	return strings.Compare(v.Text, w.Text)
}

// place is where a tunnel stands in a sorted list, and the content of a cursor. By default
// the list is in the order in which the tunnels began.
type place struct {
	Sort   string    `json:"s"` // a key, with - before it for the largest first; "" for none
	Value  sortValue `json:"v"`
	Serial uint64    `json:"i"`
}

func (p place) compare(q place) int {
	if c := p.Value.compare(q.Value); c != 0 {
		if strings.HasPrefix(p.Sort, "-") {
			return -c
		}
		return c
	}
	switch {
	case p.Serial < q.Serial:
		return -1
	case p.Serial > q.Serial:
		return 1
	}
	return 0
}

func (p place) cursor() string {
	text, _ := json.Marshal(p) // numbers are finite
	return base64.RawURLEncoding.EncodeToString(text)
}

// listing is a request for tunnels.
type listing struct {
	query  drain.Query
	minAge time.Duration
	sort   string
	limit  int
	after  *place // nil: the first page
}

// placeOf is where a row stands.
func (l *listing) placeOf(r row) place {
	p := place{Sort: l.sort, Serial: r.serial}
	if value := sortKeys[strings.TrimPrefix(l.sort, "-")]; value != nil {
		p.Value = value(&r)
	}
	return p
}

// row is one line of the list.
type row struct {
	statusapi.Tunnel
	serial uint64
}

var errTwice = errors.New("want it once")

// parseListing reads the parameters. Unknown ones are refused: a filter that is misspelled
// must not be taken for none.
func parseListing(values url.Values) (*listing, error) {
	l := &listing{limit: defaultLimit}
	for name, all := range values {
		err := errTwice
		if len(all) == 1 {
			err = l.set(name, all[0])
		}
		if err != nil {
			return nil, fmt.Errorf("%s=%q: %w", name, all, err)
		}
	}
	if l.after != nil && l.after.Sort != l.sort {
		return nil, fmt.Errorf("cursor: it belongs to sort=%q", l.after.Sort)
	}
	return l, nil
}

func (l *listing) set(name, value string) (err error) {
	switch name {
	case "route":
		l.query.Route = value
	case "pool":
		l.query.Pool = value
	case "backend":
		l.query.Backend = value
	case "client":
		l.query.Client, err = parseClient(value)
	case "user":
		l.query.User = value
	case "draining":
		var draining bool
		if draining, err = strconv.ParseBool(value); err == nil {
			l.query.Draining = &draining
		}
	case "min_age":
		l.minAge, err = time.ParseDuration(value)
	case "sort":
		if l.sort = value; sortKeys[strings.TrimPrefix(value, "-")] == nil {
			err = errors.New("want age, idle, bytes, messages, rtt, route, backend, client or path, or one with - before it")
		}
	case "limit":
		if l.limit, err = strconv.Atoi(value); err != nil || l.limit < 1 || l.limit > maxLimit {
			err = fmt.Errorf("want a number from 1 to %d", maxLimit)
		}
	case "cursor":
		l.after, err = parseCursor(value)
	default:
		err = errors.New("there is no such parameter")
	}
	return err
}

func parseCursor(text string) (*place, error) {
	p := &place{}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(data, p) != nil {
		return nil, errors.New(`want what was "next" in the page before`)
	}
	return p, nil
}

// parseClient reads an address or a network.
func parseClient(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return addr.Unmap().Prefix(addr.Unmap().BitLen())
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("want an address, or a network such as 10.0.0.0/8")
	}
	return prefix, nil
}

// listTunnels answers with one page, or where the client wants NDJSON with all.
func (a *api) listTunnels(w http.ResponseWriter, r *http.Request) {
	l, err := parseListing(r.URL.Query())
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case a.lists <- struct{}{}:
		defer func() { <-a.lists }()
	default:
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusServiceUnavailable, "too many lists are being read")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), listTimeout)
	defer cancel()
	if strings.Contains(r.Header.Get("Accept"), ndjson) {
		a.streamTunnels(ctx, w, l)
		return
	}
	writeJSON(w, http.StatusOK, a.pageOf(ctx, l))
}

// each calls do with the rows that are asked for, a part of them at a time, until ctx ends
// or do returns false.
func (a *api) each(ctx context.Context, l *listing, do func([]row) bool) {
	entries := a.Tunnels.Open(l.query)
	for part := range slices.Chunk(entries, tunnel.MaxFigures) {
		rows := slices.DeleteFunc(rowsOf(a.Tunnels.Look(part)), func(r row) bool { return r.Age < l.minAge.Seconds() })
		clear(part) // one that ends need not stay for a slow reader
		if ctx.Err() != nil || !do(rows) {
			return
		}
	}
}

// pageOf keeps no more rows than twice a page.
func (a *api) pageOf(ctx context.Context, l *listing) statusapi.TunnelList {
	var best []row
	compare := func(x, y row) int { return l.placeOf(x).compare(l.placeOf(y)) }
	a.each(ctx, l, func(rows []row) bool {
		for _, r := range rows {
			if l.after == nil || l.placeOf(r).compare(*l.after) > 0 {
				best = append(best, r)
			}
		}
		slices.SortFunc(best, compare)
		best = best[:min(len(best), l.limit+1)]
		return l.sort != "" || len(best) <= l.limit // in their own order the rest comes later
	})
	page := statusapi.TunnelList{Tunnels: []statusapi.Tunnel{}}
	if len(best) > l.limit {
		best = best[:l.limit]
		page.Next = l.placeOf(best[l.limit-1]).cursor()
	}
	for _, r := range best {
		page.Tunnels = append(page.Tunnels, r.Tunnel)
	}
	return page
}

const ndjson = "application/x-ndjson"

// streamTunnels writes a line for each tunnel, in the order in which they began.
func (a *api) streamTunnels(ctx context.Context, w http.ResponseWriter, l *listing) {
	w.Header().Set("Content-Type", ndjson)
	w.Header().Set("Cache-Control", "no-store")
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	a.each(ctx, l, func(rows []row) bool {
		lines.Reset()
		for _, r := range rows {
			_ = encoder.Encode(r.Tunnel) // to memory
		}
		limitWriting(w)
		_, err := w.Write(printable.Bytes(lines.Bytes()))
		return err == nil
	})
}

func rowsOf(infos []drain.Info) []row {
	tunnels := make([]tunnel.Tunnel, len(infos))
	for i := range infos {
		tunnels[i] = infos[i].Tunnel
	}
	rows := make([]row, len(infos))
	for i, f := range tunnel.ReadFigures(tunnels) {
		rows[i] = rowOf(&infos[i], f)
	}
	return rows
}

func rowOf(i *drain.Info, f tunnel.Figures) row {
	client := "unix"
	if i.Client.IsValid() {
		client = i.Client.String()
	}
	return row{serial: i.Serial, Tunnel: statusapi.Tunnel{
		ID: i.ID, Route: i.Route, Pool: i.Backend.Pool, Backend: i.Backend.URL(), Client: client, User: i.User,
		Host: i.Host, Path: i.Path, Protocol: i.Protocol, Subprotocol: i.Subprotocol, State: i.State,
		Age: seconds(f.Age), Idle: seconds(f.Idle), ExpiresIn: seconds(f.Expires),
		BytesFromClient: f.FromClient.Bytes, BytesFromBackend: f.FromBackend.Bytes,
		MessagesFromClient: f.FromClient.Messages, MessagesFromBackend: f.FromBackend.Messages,
		ClientRTT: seconds(f.ClientRTT), BackendRTT: seconds(f.BackendRTT), Redials: i.Moved,
	}}
}

// seconds are to the microsecond.
func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }

// one finds the tunnel of the path, or answers why there is none.
func (a *api) one(w http.ResponseWriter, r *http.Request) (drain.Info, bool) {
	id := r.PathValue("id")
	found := a.Tunnels.Look(a.Tunnels.Open(drain.Query{ID: id}))
	switch len(found) {
	case 0:
		writeError(w, http.StatusNotFound, fmt.Sprintf("no open tunnel has the id %q", id))
		return drain.Info{}, false
	case 1:
		return found[0], true
	}
	// A trusted proxy in front gives ids, and may give one twice.
	writeError(w, http.StatusConflict, fmt.Sprintf("%d open tunnels have the id %q", len(found), id))
	return drain.Info{}, false
}

func (a *api) showTunnel(w http.ResponseWriter, r *http.Request) {
	if found, ok := a.one(w, r); ok {
		writeJSON(w, http.StatusOK, rowsOf([]drain.Info{found})[0].Tunnel)
	}
}

// closeTunnel ends one tunnel at once, as a drain does.
func (a *api) closeTunnel(w http.ResponseWriter, r *http.Request) {
	manner, err := parseManner("0s", r.URL.Query().Get("code"), r.URL.Query().Has("reason"), r.URL.Query().Get("reason"))
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	found, ok := a.one(w, r)
	if !ok {
		return
	}
	a.Tunnels.End(found.Entry, manner)
	a.Log.Info("tunnel closed by hand", "id", found.ID, "route", found.Route, "by", callerOf(r).by())
	writeJSON(w, http.StatusOK, statusapi.Closed{Tunnels: 1})
}

// revokeUser ends a user's tunnels at once, as an identity provider's logout asks for. It
// does not keep the user from coming back.
func (a *api) revokeUser(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	user := query.Get("user")
	if len(query) != 1 || len(query["user"]) != 1 || user == "" {
		writeError(w, http.StatusBadRequest, "want the parameter user, once, and no other")
		return
	}
	code, reason := wsproto.ClosePolicyViolation, "revoked"
	manner := drain.Manner{Code: &code, Reason: &reason}
	entries := a.Tunnels.Open(drain.Query{User: user})
	for _, e := range entries {
		a.Tunnels.End(e, manner)
	}
	a.Log.Info("user revoked by hand", "user", user, "tunnels", len(entries), "by", callerOf(r).by())
	writeJSON(w, http.StatusOK, statusapi.Closed{Tunnels: len(entries)})
}
