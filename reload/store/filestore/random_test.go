// Random changes: the last one is seen, whatever came before it.
package filestore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// deeds are changes of a tree, in any order; some fail. w/routes.yaml is followed, in the
// end perhaps through links.
var deeds = []func(w string, n int){
	func(w string, n int) { os.WriteFile(w+"/routes.yaml", fmt.Append(nil, n), 0o644) },
	func(w string, n int) {
		os.WriteFile(w+"/next", fmt.Append(nil, n), 0o644)
		os.Rename(w+"/next", w+"/routes.yaml")
	},
	func(w string, n int) { os.Remove(w + "/routes.yaml") },
	func(w string, n int) { os.Truncate(w+"/routes.yaml", 0) },
	func(w string, n int) { os.Mkdir(w+"/routes.yaml", 0o755) },
	func(w string, n int) { os.RemoveAll(w + "/routes.yaml") },
	func(w string, n int) { // a ConfigMap's swap
		os.Mkdir(fmt.Sprint(w, "/..", n), 0o755)
		os.WriteFile(fmt.Sprint(w, "/..", n, "/routes.yaml"), fmt.Append(nil, n), 0o644)
		os.Symlink(fmt.Sprint("..", n), w+"/..tmp")
		os.Rename(w+"/..tmp", w+"/..data")
	},
	func(w string, n int) {
		os.Symlink("..data/routes.yaml", w+"/link")
		os.Rename(w+"/link", w+"/routes.yaml")
	},
	func(w string, n int) { os.Symlink("routes.yaml", w+"/routes.yaml") },
	func(w string, n int) { os.Rename(w, fmt.Sprint(w, n)) },
	func(w string, n int) { os.RemoveAll(w) },
	func(w string, n int) { os.Mkdir(w, 0o755) },
	func(w string, n int) { // the directory becomes a link
		os.Mkdir(fmt.Sprint(w, n), 0o755)
		os.Symlink(fmt.Sprint(filepath.Base(w), n), w+"~")
		os.Rename(w+"~", w)
	},
}

func TestRandomDeeds(t *testing.T) {
	for _, mode := range modes {
		for seed := range uint64(15) {
			t.Run(fmt.Sprintf("%s/seed=%d", mode.name, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				dir := t.TempDir()
				w := mkdir(t, dir, "w")
				f := newFollower(t, mode.opts, dir, filepath.Join(w, "routes.yaml"))
				for round := range 3 {
					for n := range 30 {
						deeds[random.IntN(len(deeds))](w, 100*round+n)
					}
					mendInto(t, w, fmt.Sprint("mended ", round))
					f.expect(fmt.Sprintf("w/routes.yaml=mended %d", round))
				}
			})
		}
	}
}

// mendInto makes w/routes.yaml a file again, whatever it is.
func mendInto(t *testing.T, w, content string) {
	t.Helper()
	if os.WriteFile(w+"/routes.yaml", []byte(content), 0o644) == nil {
		return // in place, through whatever links there are
	}
	must(t, os.RemoveAll(w))
	put(t, filepath.Join(mkdir(t, w), "routes.yaml"), content)
}
