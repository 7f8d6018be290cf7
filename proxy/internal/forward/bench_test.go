package forward

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// BenchmarkForward is a whole exchange over loopback: client, proxy, backend in
// one process, on kept connections.
func BenchmarkForward(b *testing.B) {
	for _, size := range []int{100, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			payload := make([]byte, size)
			backend := proxytest.Serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(size))
				w.Write(payload)
			}))
			f := newFront(b, "http", backend.Addr, Policy{ResponseTimeout: proxytest.Patience})
			client := f.Client()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				res, err := client.Get(f.URL)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				<-f.outcomes
			}
		})
	}
}
