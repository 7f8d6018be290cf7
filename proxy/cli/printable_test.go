package cli

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// hostile is a name with an escape sequence, a bidirectional control, a control character of
// eight bits and a line feed.
const hostile = "a\x1b[31m\u202eb\u009bc\nd"

// checkPrintable reports what a terminal would obey.
func checkPrintable(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			t.Errorf("%s prints %U: %q", what, r, text)
			return
		}
	}
	if strings.Contains(text, "\nd") {
		t.Errorf("%s breaks a name into two lines: %q", what, text)
	}
	if !strings.Contains(text, `\u001b`) || !strings.Contains(text, `\u202e`) {
		t.Errorf("%s does not name %q: %q", what, hostile, text)
	}
}

// TestNamesArePrintable runs the commands on files whose names are hostile.
func TestNamesArePrintable(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write(hostile+".yaml", "version: 1\nroutes:   {a: {to: 'internal://echo'}}\n")
	bad := write(hostile+"-bad.yaml", "version: 1\nroutes: {a: {match: {headers: {\"\\e\\u202e\": {regx: x}}}}}\n")
	broken := write(hostile+"-broken.yaml", "version: 1\nroutes: [\n")
	for _, args := range [][]string{
		{"check", bad}, {"check", "--json", bad}, {"check", broken}, {"check", good + ".missing"},
		{"fmt", "-l", good}, {"fmt", broken}, {"explain", good, "http://h/"}, {"explain", bad, "http://h/"},
		{"explain", good, "http://h/%0d"}, {"serve", bad}, {"serve", good + ".missing"},
	} {
		for _, terminal := range []bool{false, true} {
			var out bytes.Buffer
			env := &Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, IsTerminal: terminal}
			execute(t.Context(), env, args)
			if args[len(args)-1] == "http://h/%0d" {
				continue
			}
			checkPrintable(t, strings.Join(args[:len(args)-1], " "), out.String())
		}
	}
	var out bytes.Buffer
	execute(t.Context(), &Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: io.Discard}, []string{"fmt", "-d", good})
	head, _, _ := strings.Cut(out.String(), "@@")
	checkPrintable(t, "fmt -d", head)
}

// TestStatusIsPrintable: what a proxy says comes from its files.
func TestStatusIsPrintable(t *testing.T) {
	var out bytes.Buffer
	env := (&Env{Stdout: &out, Stderr: &out}).guarded()
	printStatus(env.Stdout, statusapi.Status{
		Files:   []statusapi.File{{Path: hostile}},
		Refused: &statusapi.Refused{Mistakes: []statusapi.Mistake{{File: hostile, Text: hostile}}},
	})
	checkPrintable(t, "status", out.String())
}

// TestLogIsPrintable: a log has header values of clients, in both formats.
func TestLogIsPrintable(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		env := (&Env{Stdout: io.Discard, Stderr: &out}).guarded()
		w := &logWriter{to: env.Stderr}
		log, err := newLogger(env, w, serveFlags{logFormat: format, logLevel: "info"})
		if err != nil {
			t.Fatal(err)
		}
		log.Info("origin refused", "origin", hostile)
		w.flush()
		// The text handler quotes as Go does, \x1b.
		checkPrintable(t, format, strings.ReplaceAll(out.String(), `\x1b`, `\u001b`))
	}
}

// TestAccessLogIsPrintable: so has its file, which is read in a terminal as well.
func TestAccessLogIsPrintable(t *testing.T) {
	for _, format := range []string{"json", "combined"} {
		access, _ := written(t, accessOptions{format: format, client: "full"}, func(log *slog.Logger, _ string) {
			log.Info("request", "client", "192.0.2.1", "method", "GET", "path", "/", "proto", "HTTP/1.1", "status", 200, "bytes", 1, "user_agent", hostile)
		})
		checkPrintable(t, format, strings.ReplaceAll(access, `\x1b`, `\u001b`))
	}
}

// TestEmptyFlagsAreRefused: an unset variable of a script is not a command without the flag.
func TestEmptyFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"status", "--wait", ""}, {"drain", "--pool", "rooms", "--backend", ""}, {"drain", "--all", "--window", ""},
		{"drain", "--spare", ""}, {"drain", "--route", "chat", "--user="}, {"tunnels", "--route", ""},
	} {
		var out bytes.Buffer
		env := &Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
		// Port 1 answers nothing, which is exit status 3.
		status := execute(t.Context(), env, append(args, "--admin", "127.0.0.1:1"))
		if status != 2 || !strings.Contains(out.String(), "not empty") {
			t.Errorf("%q exits with %d: %s", args, status, out.String())
		}
	}
}
