package h1

import (
	"crypto/tls"
	"net/http"
	"testing"
)

func TestCheckHTTP2(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   *Violation
	}{
		{"plain", func(*http.Request) {}, nil},
		{"odd method", func(r *http.Request) { r.Method = "PROPFIND" }, nil},
		{"asterisk", func(r *http.Request) { r.Method, r.RequestURI = "OPTIONS", "*" }, nil},
		{"equal Host", func(r *http.Request) { r.Header.Set("Host", "SITE.example:8443") }, nil},
		{"length", func(r *http.Request) { r.ContentLength = 5; r.Header.Set("Content-Length", "5") }, nil},
		{"body of unknown length", func(r *http.Request) { r.ContentLength = -1 }, nil},
		{"extended CONNECT", func(r *http.Request) { r.Method = "CONNECT"; r.Header[":protocol"] = []string{"websocket"} }, errProtocol},

		{"method with a space", func(r *http.Request) { r.Method = "GET /" }, errMethod},
		{"no method", func(r *http.Request) { r.Method = "" }, errMethod},
		{"CONNECT", func(r *http.Request) { r.Method = "CONNECT" }, errConnect},
		{"absolute form", func(r *http.Request) { r.RequestURI = "http://b/" }, errAbsolute},
		{"no target", func(r *http.Request) { r.RequestURI = "" }, errAbsolute},
		{"asterisk with GET", func(r *http.Request) { r.RequestURI = "*" }, errAsterisk},
		{"space in the target", func(r *http.Request) { r.RequestURI = "/a b" }, errTargetByte},
		{"extended CONNECT with a space", func(r *http.Request) {
			r.Method, r.RequestURI = "CONNECT", "/a b"
			r.Header[":protocol"] = []string{"connect-udp"}
		}, errProtocol},
		{"fragment", func(r *http.Request) { r.RequestURI = "/a#b" }, errFragment},
		{"no host", func(r *http.Request) { r.Host = "" }, errNoHost},
		{"Host with the default port", func(r *http.Request) { r.Host = "a"; r.Header.Set("Host", "a:80") }, nil},
		{"Host with the default port of TLS", func(r *http.Request) {
			r.Host, r.TLS = "a:443", new(tls.ConnectionState)
			r.Header.Set("Host", "a:")
		}, nil},
		{"Host with another port", func(r *http.Request) { r.Host = "a"; r.Header.Set("Host", "a:81") }, errOtherHost},
		{"another Host", func(r *http.Request) { r.Header.Set("Host", "b") }, errOtherHost},
		{"two Hosts", func(r *http.Request) { r.Header["Host"] = []string{r.Host, r.Host} }, errTwoHosts},
		{"userinfo", func(r *http.Request) { r.Host = "u@a" }, errUserinfo},
		{"two lengths", func(r *http.Request) { r.Header["Content-Length"] = []string{"0", "0"} }, errTwoLengths},
		{"length without a body", func(r *http.Request) { r.Header.Set("Content-Length", "5") }, errBodyLength},
		{"length that is none", func(r *http.Request) { r.Header.Set("Content-Length", "abc") }, errLength},
	} {
		r := &http.Request{
			Method: "GET", RequestURI: "/a?b", Host: "site.example:8443", Proto: "HTTP/2.0", ProtoMajor: 2,
			Header: http.Header{},
		}
		tt.change(r)
		if got := CheckHTTP2(r); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
