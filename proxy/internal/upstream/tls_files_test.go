package upstream

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLoadTLSReadsRegularFiles: no name makes it wait for a writer, or read without end.
func TestLoadTLSReadsRegularFiles(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, "/dev/zero"} {
		for _, files := range []TLSFiles{{CA: path}, {Certificate: path, Key: path}} {
			if _, err := LoadTLS(files); err == nil || !strings.Contains(err.Error(), "want a regular file") {
				t.Errorf("LoadTLS(%+v): %v, want an error that asks for a regular file", files, err)
			}
		}
	}
}
