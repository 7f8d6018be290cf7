package auth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync/atomic"
	"testing"
	"time"
)

// TestForward asks a service that answers as its request says.
func TestForward(t *testing.T) {
	var asked atomic.Int32
	var last atomic.Pointer[http.Request]
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		last.Store(r)
		switch r.Header.Get("Cookie") {
		case "s=ann":
			w.Header().Add("X-User", "ann")
			w.Header().Add("X-Groups", "a")
			w.Header().Add("X-Groups", "b")
		case "s=new":
			w.Header().Add("X-User", "new")
			w.Header().Add("Set-Cookie", "s=ann")
		case "s=login":
			w.Header().Set("Location", "https://id.example.com/login")
			w.WriteHeader(http.StatusFound)
			fmt.Fprint(w, "go and log in")
		case "s=no":
			w.WriteHeader(http.StatusForbidden)
		case "s=broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "s=slow":
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer service.Close()
	spec := Forward{URL: service.URL + "/verify", Headers: []string{"Cookie", "Referer"}, Copy: []string{"X-User", "X-Groups"}, User: "X-User", Timeout: time.Second, Cache: time.Hour}
	p := New(NewState(), 0, []Entry{
		{APIKeys: &APIKeys{Keys: KeyFile{}, From: []Place{{InQuery, "key"}}}},
		{Forward: &spec},
	})
	for _, tt := range []struct{ cookie, want string }{
		{"s=ann", "ann"}, {"s=new", "new"}, {"s=login", "Unauthorized bad_credential"}, {"s=no", "Forbidden not_allowed"},
		{"s=broken", "Service Unavailable auth_unavailable"}, {"s=slow", "Service Unavailable auth_unavailable"}, {"", "Unauthorized bad_credential"},
	} {
		if got := outcome(p.Check(t.Context(), request("Cookie: "+tt.cookie))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.cookie, got, tt.want)
		}
	}

	g, _ := p.Check(t.Context(), request("Cookie: s=ann"))
	if want := []Header{{"X-User", "ann"}, {"X-Groups", "a"}, {"X-Groups", "b"}}; !reflect.DeepEqual(g.Set, want) {
		t.Errorf("headers %v, want %v", g.Set, want)
	}
	g, _ = p.Check(t.Context(), request("Cookie: s=new"))
	if got := g.Answer["Set-Cookie"]; !reflect.DeepEqual(got, []string{"s=ann"}) {
		t.Errorf("cookies %q", got)
	}
	r := request("Cookie: s=login")
	r.Handshake = false
	_, rf := p.Check(t.Context(), r)
	if rf.Status != http.StatusFound || rf.Header.Get("Location") != "https://id.example.com/login" || string(rf.Body) != "go and log in" {
		t.Errorf("a redirect came out as %d %v %q", rf.Status, rf.Header, rf.Body)
	}

	// The cache counts for the same question alone, and never where a cookie was set.
	count := func(r *Request, want int32) {
		t.Helper()
		before := asked.Load()
		p.Check(t.Context(), r)
		if got := asked.Load() - before; got != want {
			t.Errorf("%s %s: asked %d times, want %d", r.Method, r.Path, got, want)
		}
	}
	count(request("Cookie: s=ann"), 0)
	count(request("Cookie: s=new"), 1)
	count(request("Cookie: s=no"), 1)
	for _, change := range []func(*Request){
		func(r *Request) { r.Method = "POST" }, func(r *Request) { r.Path = "/rooms/red" }, func(r *Request) { r.Query = "a=1" }, func(r *Request) { r.Host = "other.example.com" },
	} {
		r := request("Cookie: s=ann")
		change(r)
		count(r, 1)
		count(r, 0)
	}

	r = request("Cookie: s=ann", "X-Forwarded-Uri: /public", "X-Forwarded-Method: OPTIONS", "Referer: https://a.example/?key=secret")
	r.Query = "a=2"
	p.Check(t.Context(), r)
	got := last.Load().Header
	for name, want := range map[string]string{
		"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "chat.example.com", "X-Forwarded-Uri": "/rooms/blue?a=2", "X-Forwarded-For": "192.0.2.7",
		"Referer": "https://a.example/",
	} {
		if v := got[name]; !reflect.DeepEqual(v, []string{want}) {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}

	service.Close()
	if got := outcome(p.Check(t.Context(), request("Cookie: s=gone"))); got != "Service Unavailable auth_unavailable" {
		t.Errorf("while the service is away: %s", got)
	}
}
