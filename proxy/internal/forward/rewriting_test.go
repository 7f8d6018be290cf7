package forward

import (
	"net/http"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

func TestLocation(t *testing.T) {
	mounted := Public{Scheme: "https", Host: "www.example.com", TargetPrefix: "/app/", RoutePrefix: "/shop/"}
	whole := Public{Scheme: "https", Host: "www.example.com", RoutePrefix: "/ws2/"}
	root := Public{Scheme: "https", Host: "www.example.com", TargetPrefix: "/app", RoutePrefix: "/"}
	same := Public{Scheme: "http", Host: "www.example.com:8080"}
	for _, tt := range []struct {
		public   Public
		backend  string
		in, want string
	}{
		{mounted, "http://10.0.0.1:9000", "http://10.0.0.1:9000/app/login?x=%2F#top", "https://www.example.com/shop/login?x=%2F#top"},
		{mounted, "http://10.0.0.1:9000", "http://10.0.0.1:9000/app", "https://www.example.com/shop"},
		{mounted, "http://10.0.0.1:9000", "http://10.0.0.1:9000/app?x", "https://www.example.com/shop?x"},
		{mounted, "http://10.0.0.1:9000", "http://10.0.0.1:9000/application/", "http://10.0.0.1:9000/application/"},
		{mounted, "http://10.0.0.1:9000", "http://10.0.0.1:9000/other", "http://10.0.0.1:9000/other"},
		{mounted, "http://10.0.0.1:9000", "http://10.0.0.1:9001/app/", "http://10.0.0.1:9001/app/"},
		{mounted, "http://10.0.0.1:9000", "https://elsewhere.example/app/", "https://elsewhere.example/app/"},
		{mounted, "http://10.0.0.1:9000", "//10.0.0.1:9000/app/x", "https://www.example.com/shop/x"},
		{mounted, "http://10.0.0.1:9000", "/app/x", "/shop/x"},
		{mounted, "http://10.0.0.1:9000", "/other", "/other"},
		{mounted, "http://10.0.0.1:9000", "x/y", "x/y"},
		{mounted, "http://10.0.0.1:9000", "?page=2", "?page=2"},
		{mounted, "http://10.0.0.1:9000", "", ""},
		{mounted, "http://10.0.0.1:9000", "mailto:a@10.0.0.1:9000", "mailto:a@10.0.0.1:9000"},
		{mounted, "http://10.0.0.1:9000", "ftp://10.0.0.1:9000/app/", "ftp://10.0.0.1:9000/app/"},
		{mounted, "http://10.0.0.1:9000", "/x?u=http://10.0.0.1:9000/app/", "/x?u=http://10.0.0.1:9000/app/"},
		{mounted, "http://app.internal", "http://APP.internal:80/app/x", "https://www.example.com/shop/x"},
		{mounted, "wss://app.internal", "https://app.internal/app/x", "https://www.example.com/shop/x"},
		{mounted, "http://[::1]:80", "http://[::1]/app/x", "https://www.example.com/shop/x"},
		{whole, "http://b", "http://b", "https://www.example.com/ws2/"},
		{whole, "http://b", "http://b/", "https://www.example.com/ws2/"},
		{whole, "http://b", "/x", "/ws2/x"},
		{same, "http://b", "http://b/x", "http://www.example.com:8080/x"},
		{same, "http://b", "http://b", "http://www.example.com:8080/"},
		{same, "http://b", "/x//y", "/x//y"},
		{root, "http://b", "/app//elsewhere.example/", "https://www.example.com//elsewhere.example/"},
	} {
		scheme, authority, _ := splitURL(tt.backend)
		hop := Hop{
			Backend: upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: scheme, Authority: authority}),
			Policy:  &Policy{Rewriting: Rewriting{Location: true}}, Public: tt.public,
		}
		for _, name := range []string{"Location", "Content-Location", "Uri"} {
			h := http.Header{name: {tt.in}}
			hop.Policy.Rewriting.apply(h, hop)
			if got := h.Get(name); got != tt.want {
				t.Errorf("%s of %s: %q became %q, want %q", name, tt.backend, tt.in, got, tt.want)
			}
		}
	}
}

// A backend that builds its links from the Host it was sent is mapped as well.
func TestLocationOfPreservedHost(t *testing.T) {
	hop := Hop{
		Backend: upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: "http", Authority: "10.0.0.1:9000"}),
		Policy:  &Policy{Host: HostClient}, Client: Client{Host: "www.example.com"},
		Public: Public{Scheme: "https", Host: "www.example.com", TargetPrefix: "/app", RoutePrefix: "/shop"},
	}
	if got, want := hop.publicURL("http://www.example.com/app/x"), "https://www.example.com/shop/x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCookies(t *testing.T) {
	rw := Rewriting{
		CookiePath:   map[string]string{"/": "/all/", "/app": "/shop", "/app/admin/": "/admin/"},
		CookieDomain: map[string]string{"backend.internal": "www.example.com", ".dropped.internal": ""},
	}
	for _, tt := range []struct{ in, want string }{
		{"a=b", "a=b"},
		{"a=b; Path=/app", "a=b; Path=/shop"},
		{"a=b; path=/app/x; HttpOnly", "a=b; path=/shop/x; HttpOnly"},
		{"a=b; Path=/app/admin/x", "a=b; Path=/admin/x"},
		{"a=b; Path=/application", "a=b; Path=/all/application"},
		{"a=b; Path=/", "a=b; Path=/all/"},
		{"a=b; Path=", "a=b; Path="},
		{"a=b; Path", "a=b; Path"},
		{"a=b; Domain=Backend.Internal;Secure", "a=b; Domain=www.example.com;Secure"},
		{"a=b; Domain=.backend.internal", "a=b; Domain=www.example.com"},
		{"a=b; Domain=dropped.internal; Path=/app", "a=b; Path=/shop"},
		{"a=b; Domain=other.example", "a=b; Domain=other.example"},
		{"Path=/app; Max-Age=1", "Path=/app; Max-Age=1"},
		{`a="x; Path=/app`, `a="x; Path=/shop`},
	} {
		h := http.Header{"Set-Cookie": {"first=1", tt.in}}
		rw.apply(h, Hop{})
		if got := h["Set-Cookie"][1]; got != tt.want {
			t.Errorf("%q became %q, want %q", tt.in, got, tt.want)
		}
	}
}
