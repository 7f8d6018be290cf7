package cli

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// written is what a log with these options writes to the file and to itself.
func written(t *testing.T, o accessOptions, write func(*slog.Logger, string)) (access, rest string) {
	t.Helper()
	var main strings.Builder
	log := slog.New(slog.NewJSONHandler(&main, nil))
	o.file = filepath.Join(t.TempDir(), "access.log")
	both, out, closeLog, err := openAccessLog(log, o)
	if err != nil {
		t.Fatal(err)
	}
	write(both, o.file)
	out.flush()
	closeLog()
	data, err := os.ReadFile(o.file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), main.String()
}

func TestAccessLogCombined(t *testing.T) {
	access, rest := written(t, accessOptions{format: "combined", client: "full"}, func(log *slog.Logger, _ string) {
		log.Info("listening", "listener", "web")
		log.Info("request", "client", "192.0.2.1", "method", "GET", "path", "/a b\"\n", "proto", "HTTP/2.0", "status", 200, "bytes", 12, "user_agent", "x\"\x1b[31m")
		log.Info("tunnel opened", "client", "192.0.2.1", "path", "/chat")
		log.Info("tunnel closed", "client", "unix", "path", "/chat", "bytes_from_backend", 99)
	})
	lines := strings.Split(strings.TrimSpace(access), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "192.0.2.1 - - [") || !strings.HasPrefix(lines[1], "unix - - [") {
		t.Fatalf("%q", access)
	}
	for i, want := range []string{
		`] "GET /a%20b%22%0A HTTP/2.0" 200 12 "-" "x\"\x1b[31m"`,
		`] "GET /chat HTTP/1.1" 101 99 "-" "-"`,
	} {
		if !strings.HasSuffix(lines[i], want) {
			t.Errorf("%q, want it to end with %q", lines[i], want)
		}
	}
	if !strings.Contains(rest, "listening") || strings.Contains(rest, "request") {
		t.Errorf("the log has %q", rest)
	}
}

func TestMasked(t *testing.T) {
	access, rest := written(t, accessOptions{format: "json", client: "masked"}, func(log *slog.Logger, _ string) {
		log.Info("request", "client", "192.0.2.77", "error", "read tcp 10.0.0.1:80->192.0.2.77:4711: reset")
		log.Info("connection lost", "client", "[2001:db8:1:2::3]:99")
		log.Info("tunnel closed", "client", "unix", "duration", 1.5)
	})
	if strings.Contains(access, "192.0.2.77") || !strings.Contains(access, `"client":"192.0.2.0"`) || !strings.Contains(access, "->192.0.2.0:4711") {
		t.Errorf("%q", access)
	}
	if !strings.Contains(access, `"client":"unix"`) || !strings.Contains(access, `"duration":1.5`) {
		t.Errorf("%q", access)
	}
	if !strings.Contains(rest, "[2001:db8:1::]:99") {
		t.Errorf("%q", rest)
	}
}

// TestAccessLogIsRotated: what is written after a rename goes to a new file.
func TestAccessLogIsRotated(t *testing.T) {
	var before string
	after, _ := written(t, accessOptions{format: "json", client: "full"}, func(log *slog.Logger, path string) {
		log.Info("request", "path", "/before")
		flushAccess(log)
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		accessFileOf(log).looked = accessFileOf(log).looked.Add(-lookEvery)
		log.Info("request", "path", "/after")
		flushAccess(log)
		data, err := os.ReadFile(path + ".1")
		if err != nil {
			t.Fatal(err)
		}
		before = string(data)
	})
	if !strings.Contains(before, "/before") || strings.Contains(before, "/after") || !strings.Contains(after, "/after") {
		t.Errorf("%q, and then %q", before, after)
	}
}

func writerOf(log *slog.Logger) *logWriter { return log.Handler().(*splitHandler).out }

func accessFileOf(log *slog.Logger) *accessFile { return writerOf(log).to.(*accessFile) }

func flushAccess(log *slog.Logger) { writerOf(log).flush() }

// TestAccessLogCannotBeOpened: a folder that is not there ends the start.
func TestAccessLogCannotBeOpened(t *testing.T) {
	o := accessOptions{file: filepath.Join(t.TempDir(), "no", "such.log"), format: "json", client: "full"}
	if _, _, _, err := openAccessLog(slog.New(slog.DiscardHandler), o); err == nil {
		t.Error("it was opened")
	}
	if err := (&accessOptions{format: "xml", client: "full"}).check(); err == nil {
		t.Error("a format that there is not is allowed")
	}
	if !(&combinedHandler{}).Enabled(context.Background(), slog.LevelInfo) {
		t.Error("lines are left out")
	}
}
