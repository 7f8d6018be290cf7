package reload_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tunnelform/tunnelform/reload"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

// A list of names that follows a file. Run, in a goroutine of its own, takes
// every edit from here on.
func Example() {
	dir, err := os.MkdirTemp("", "names")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "names")
	if err := os.WriteFile(path, []byte("ada\ngrace\n"), 0o644); err != nil {
		fmt.Println(err)
		return
	}

	source, err := filestore.NewSource([]string{path}, filestore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	loop := reload.New(reload.Options[[]string]{
		Source: source,
		Build: func(_ context.Context, snap store.Snapshot, _ *[]string) (*[]string, []string, error) {
			names := strings.Fields(string(snap.Documents[0].Data))
			if len(names) == 0 {
				return nil, nil, fmt.Errorf("%s: no names, want at least one", snap.Documents[0].Path)
			}
			return &names, nil, nil
		},
		Published: func(_, names *[]string, gen reload.Generation) {
			fmt.Printf("generation %d: %d names\n", gen.Number, len(*names))
		},
	})
	if err := loop.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*loop.Cell().Load())
	// Output:
	// generation 1: 2 names
	// [ada grace]
}
