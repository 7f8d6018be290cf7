package h1

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// soakRequest is a random request and what describe answers to it.
func soakRequest(rng *rand.Rand, n int) (raw, want string) {
	body := strings.Repeat("x", rng.IntN(3)*rng.IntN(6000))
	upgrade := []string{"", "Upgrade: h2c\r\nConnection: Upgrade\r\n", "Sec-WebSocket-Key: x\r\n"}[rng.IntN(3)]
	head := fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: a\r\n%s", n, upgrade)
	switch rng.IntN(3) {
	case 0:
		return strings.Replace(head, "POST", "GET", 1) + "\r\n", fmt.Sprintf(`GET a /%d "" ""`, n)
	case 1:
		raw = fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
	default:
		raw = head + "Transfer-Encoding: chunked\r\n\r\n"
		if body != "" {
			raw += fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
		}
		raw += "0\r\n\r\n"
	}
	return raw, fmt.Sprintf(`POST a /%d %q ""`, n, body)
}

// Many kinds of requests follow each other on kept connections, in random
// pieces: each is answered as it was asked, no connection is lost, whether the
// handler speaks about upgrades (early or late) or not.
func TestServerSoak(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path)%2 == 0 && !FromContext(r.Context()).Resume() {
			t.Error("bytes are held that nobody sent")
		}
		describe(w, r)
	})
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		c := s.dial()
		wg.Go(func() { soak(c, rand.New(rand.NewPCG(seed, 1))) })
	}
	wg.Wait()
	if got := s.refusals(); len(got) > 0 {
		t.Errorf("refused %q", got)
	}
}

func soak(c *client, rng *rand.Rand) {
	for n := range 200 {
		raw, want := soakRequest(rng, n)
		for len(raw) > 0 {
			k := min(len(raw), 1+rng.IntN(3000))
			io.WriteString(c, raw[:k])
			raw = raw[k:]
		}
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			c.t.Errorf("request %d: %v", n, err)
			return
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != want {
			c.t.Errorf("request %d: %.100q, want %.100q", n, got, want)
		}
	}
}
