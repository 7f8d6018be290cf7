package auth

import (
	"encoding/base64"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	k8s := base64.RawURLEncoding.EncodeToString([]byte("the.token"))
	for _, tt := range []struct {
		name  string
		place Place
		r     *Request
		want  string // "" is absent, "!" an error
	}{
		{"bearer", Place{Kind: InAuthorization}, request("Authorization: Bearer a.b.c"), "a.b.c"},
		{"bearer in lower case", Place{Kind: InAuthorization}, request("Authorization: bearer a.b.c"), "a.b.c"},
		{"basic", Place{Kind: InAuthorization}, request("Authorization: Basic abc"), ""},
		{"two lines", Place{Kind: InAuthorization}, request("Authorization: Bearer a", "Authorization: Bearer b"), "!"},
		{"cookie", Place{InCookie, "token"}, request("Cookie: a=1; token=x; b=2"), "x"},
		{"cookie, quoted", Place{InCookie, "token"}, request(`Cookie: token="x"`), "x"},
		{"cookie of another name", Place{InCookie, "token"}, request("Cookie: Token=x; xtoken=y"), ""},
		{"two cookies", Place{InCookie, "token"}, request("Cookie: token=x; token=y"), "!"},
		{"two cookies, one with a blank", Place{InCookie, "token"}, request("Cookie: token=x; token =y"), "!"},
		{"two cookies in two lines", Place{InCookie, "token"}, request("Cookie: token=x", "Cookie: token=x"), "!"},
		{"subprotocol", Place{InSubprotocol, "bearer."}, request("Sec-WebSocket-Protocol: chat, bearer.x.y"), "x.y"},
		{"subprotocol, Kubernetes", Place{InSubprotocol, KubernetesSubprotocol}, request("Sec-WebSocket-Protocol: " + KubernetesSubprotocol + k8s + ", chat"), "the.token"},
		{"subprotocol, Kubernetes, padded", Place{InSubprotocol, KubernetesSubprotocol}, request("Sec-WebSocket-Protocol: " + KubernetesSubprotocol + "dA=="), "!"},
		{"subprotocol twice", Place{InSubprotocol, "bearer."}, request("Sec-WebSocket-Protocol: bearer.x", "Sec-WebSocket-Protocol: bearer.y"), "!"},
	} {
		got, present, err := tt.place.find(tt.r, "Bearer")
		if err != nil {
			got = "!"
		}
		if got != tt.want || present != (tt.want != "") {
			t.Errorf("%s: %q, %v, %v; want %q", tt.name, got, present, err, tt.want)
		}
	}
}

func TestCut(t *testing.T) {
	places := []Place{{Kind: InAuthorization}, {InHeader, "x-key"}, {InCookie, "token"}, {InQuery, "token"}, {InSubprotocol, "bearer."}}
	h := request("Authorization: Bearer x", "X-Key: k", "Cookie: a=1; token=x;b=2", "Cookie: token=y; token =z", "Sec-WebSocket-Protocol: bearer.x, chat",
		"Sec-WebSocket-Protocol: superchat", "Referer: https://a.example/p?token=x&b=1#f", "Accept: */*").Header
	CutHeader(h, places)
	want := http.Header{"Cookie": {"a=1; b=2"}, "Sec-Websocket-Protocol": {"chat, superchat"}, "Referer": {"https://a.example/p?b=1#f"}, "Accept": {"*/*"}}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("%v\nwant %v", h, want)
	}
	h = request("Cookie: token=y", "Sec-WebSocket-Protocol: bearer.x", "Referer: https://a.example/p?token=x").Header
	CutHeader(h, places)
	if want := (http.Header{"Referer": {"https://a.example/p"}}); !reflect.DeepEqual(h, want) {
		t.Errorf("%v\nwant %v", h, want)
	}
	for query, want := range map[string]string{
		"": "", "token=x": "", "a=1&token=x&b=%20": "a=1&b=%20", "a=1&%74oken=x": "a=1", "tokens=1&token": "tokens=1", "a=%zz&token=1": "a=%zz",
	} {
		if got := CutQuery(query, places); got != want {
			t.Errorf("CutQuery(%q) = %q, want %q", query, got, want)
		}
	}
}

// FuzzCut: what is cut is not found any more, and nothing else changes.
func FuzzCut(f *testing.F) {
	f.Add("a=1; token=x", "bearer.x, chat", "token=x&b=1")
	f.Add("token", "bearer.", "%74oken=x;y")
	f.Fuzz(func(t *testing.T, cookie, protocols, query string) {
		places := []Place{{InCookie, "token"}, {InSubprotocol, "bearer."}, {InQuery, "token"}}
		h := http.Header{"Cookie": {cookie}, "Sec-Websocket-Protocol": {protocols}}
		CutHeader(h, places)
		r := &Request{Header: h, Query: CutQuery(query, places)}
		for _, p := range places {
			if got, present, _ := p.find(r, ""); present {
				t.Errorf("%v still has %q", p, got)
			}
		}
		if strings.Contains(r.Query, "token") && CutQuery(r.Query, places) != r.Query {
			t.Errorf("cutting %q twice changes it", query)
		}
	})
}

func TestTemplate(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "{room}": "blue", "a-{room}.b": "a-blue.b", "{{room}": "{room}", "{nope}": "!", "{room": "{room", "{}{1}": "{}{1}",
	} {
		got, ok := ParseTemplate(text).expand(request().Capture)
		if !ok {
			got = "!"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
