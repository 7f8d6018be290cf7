package h1

import (
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// TestChunkExcess: a backend's framing far beyond its data is refused where net/http
// refuses it.
func TestChunkExcess(t *testing.T) {
	padded := "1;" + strings.Repeat("x", 16) + "\r\nx\r\n" // 2 bytes more than a byte of data justifies
	for name, tt := range map[string]struct {
		body string
		want error
	}{
		"most":      {strings.Repeat(padded, maxChunkExcess/2), nil},
		"more":      {strings.Repeat(padded, maxChunkExcess/2+1), errChunkExcess},
		"with data": {strings.Repeat(padded+"5\r\nhello\r\n", maxChunkExcess), nil},
	} {
		k := chunks{ofBackend: true}
		if n, _, err := k.scan([]byte(tt.body)); err != tt.want || err == nil && n != len(tt.body) {
			t.Errorf("%s: %d of %d bytes, %v, want %v", name, n, len(tt.body), err, tt.want)
		}
		_, err := io.Copy(io.Discard, httputil.NewChunkedReader(strings.NewReader(tt.body+"0\r\n\r\n")))
		if (err != nil) != (tt.want != nil) {
			t.Errorf("%s: net/http has %v, want %v", name, err, tt.want)
		}
	}
}
