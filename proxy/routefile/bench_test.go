package routefile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// manyRoutes is a file of n routes as people write them: hosts, prefixes, some settings.
func manyRoutes(n int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nlisteners:\n  web: {address: \":8080\"}\npools:\n  p:\n    backends:\n      a: {url: \"ws://10.0.0.1:9000\"}\nroutes:\n")
	for i := range n {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "  route-%d: {match: {host: h%d.example.com, path_prefix: /ws/}, to: \"ws://10.1.%d.%d:9000/\"}\n", i, i, i/256%256, i%256)
		case 1:
			fmt.Fprintf(&b, "  route-%d:\n    match: {path: \"/rooms/%d/{room}\", subprotocol: chat.v2}\n    to: \"pool://p/r/{room}\"\n    timeouts: {idle: 10m}\n", i, i)
		case 2:
			fmt.Fprintf(&b, "  route-%d:\n    match:\n      path_regex: \"^/app-%d/(.*)$\"\n      upgrade: websocket\n    to: ws://b.example.com/$1\n", i, i)
		default:
			fmt.Fprintf(&b, "  route-%d: {match: {path: /exact/%d}, respond: {status: 204}}\n", i, i)
		}
	}
	return []byte(b.String())
}

// BenchmarkFile measures the way from bytes to a set, and yaml.v3's part in it.
func BenchmarkFile(b *testing.B) {
	for _, n := range []int{100, 10000} {
		data := manyRoutes(n)
		f, errs := Parse("r.yaml", data)
		if len(errs) > 0 {
			b.Fatal(errs[0])
		}
		b.Run(fmt.Sprintf("yaml/%d", n), func(b *testing.B) {
			for b.Loop() {
				var doc yamledit.Node
				if err := yamledit.Unmarshal(data, &doc); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("parse/%d", n), func(b *testing.B) {
			for b.Loop() {
				Parse("r.yaml", data)
			}
		})
		b.Run(fmt.Sprintf("check/%d", n), func(b *testing.B) {
			for b.Loop() {
				if errs := Check(f); len(errs) > 0 {
					b.Fatal(errs[0])
				}
			}
		})
		b.Run(fmt.Sprintf("set/%d", n), func(b *testing.B) {
			for b.Loop() {
				NewSet(f)
			}
		})
	}
}
