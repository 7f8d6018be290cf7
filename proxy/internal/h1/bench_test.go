package h1

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// BenchmarkServer is one small request after the other on a kept connection,
// with the gate and without: the difference is its price.
func BenchmarkServer(b *testing.B) {
	for name, wrap := range map[string]func(net.Listener) net.Listener{
		"bare": func(ln net.Listener) net.Listener { return ln },
		"gate": func(ln net.Listener) net.Listener { return gateListener{ln, wideLimits, nil} },
	} {
		b.Run(name, func(b *testing.B) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			srv := &http.Server{ConnContext: NewContext, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
			go srv.Serve(wrap(ln))
			defer srv.Close()
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			r := bufio.NewReader(c)
			b.ReportAllocs()
			for b.Loop() {
				io.WriteString(c, benchRequest)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		})
	}
}

const benchRequest = "GET /some/path?with=query HTTP/1.1\r\nHost: server.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: a=b; c=d\r\n\r\n"
