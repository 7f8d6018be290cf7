package cli

// --access-log: the lines of tunnels and requests in a file of their own. --log-client: how
// much of a client's address a log tells.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunnelform/tunnelform/internal/printable"
)

// accessOptions are the flags.
type accessOptions struct{ file, format, client string }

func (o *accessOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.file, "access-log", "", "write the lines of tunnels and requests to this file")
	flags.StringVar(&o.format, "access-log-format", "json", "json or combined")
	flags.StringVar(&o.client, "log-client", "full", "clients' addresses in logs: full or masked")
}

func (o *accessOptions) check() error {
	switch {
	case !slices.Contains([]string{"json", "combined"}, o.format):
		return usageErrorf("--access-log-format %q: want json or combined", o.format)
	case !slices.Contains([]string{"full", "masked"}, o.client):
		return usageErrorf("--log-client %q: want full or masked", o.client)
	}
	return nil
}

// accessLines are the messages that go to the access log.
var accessLines = []string{"tunnel opened", "tunnel redialled", "tunnel not redialled", "tunnel closed", "request", "request refused"}

// openAccessLog returns a log that writes access lines to the file, and all others as log
// does. Without a file it is log. close writes what is pending.
func openAccessLog(log *slog.Logger, o accessOptions) (both *slog.Logger, out *logWriter, closeLog func(), err error) {
	handler := log.Handler()
	closeLog = func() {}
	if o.file != "" {
		file := &accessFile{path: o.file, log: log}
		if err := file.reopen(); err != nil {
			return nil, nil, nil, fmt.Errorf("--access-log: %w", err)
		}
		out = &logWriter{to: file, reportLost: func(lost int) { log.Warn("lines of the access log were lost", "lines", lost) }}
		var lines slog.Handler = slog.NewJSONHandler(out, nil)
		if o.format == "combined" {
			lines = &combinedHandler{out}
		}
		handler = &splitHandler{Handler: handler, access: lines, out: out}
		stop := file.reopenOnSignal()
		closeLog = func() {
			stop()
			out.flush()
		}
	}
	if o.client == "masked" {
		handler = &maskHandler{handler}
	}
	return slog.New(handler), out, closeLog, nil
}

// splitHandler sends access lines elsewhere.
type splitHandler struct {
	slog.Handler
	access slog.Handler
	out    *logWriter // beneath access
}

// Handle implements slog.Handler.
func (h *splitHandler) Handle(ctx context.Context, r slog.Record) error {
	if slices.Contains(accessLines, r.Message) {
		return h.access.Handle(ctx, r)
	}
	return h.Handler.Handle(ctx, r)
}

// maskHandler cuts clients' addresses, also where an error names them.
type maskHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h *maskHandler) Handle(ctx context.Context, r slog.Record) error {
	var client string
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "client" {
			client = addressIn(a.Value.String())
		}
		return client == ""
	})
	if client == "" {
		return h.Handler.Handle(ctx, r)
	}
	masked := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if text := a.Value.String(); strings.Contains(text, client) {
			a = slog.String(a.Key, strings.ReplaceAll(text, client, mask(client)))
		}
		masked.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, masked)
}

// addressIn is the address in the text of a client, which may have a port; "" if there is
// none, as of a unix socket.
func addressIn(client string) string {
	if ap, err := netip.ParseAddrPort(client); err == nil {
		return ap.Addr().String()
	}
	if _, err := netip.ParseAddr(client); err == nil {
		return client
	}
	return ""
}

// mask cuts an address to its network: /24 of IPv4, /48 of IPv6.
func mask(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return "-"
	}
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	prefix, _ := addr.Prefix(bits) // the address has as many
	return prefix.Addr().String()
}

// combinedHandler writes the combined format of Apache and nginx: a line for each request,
// and one for each tunnel when it has ended, with the bytes that went to its client.
type combinedHandler struct{ out *logWriter }

func (h *combinedHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *combinedHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h *combinedHandler) WithGroup(string) slog.Handler { return h }

// Handle implements slog.Handler.
func (h *combinedHandler) Handle(_ context.Context, r slog.Record) error {
	fields := make(map[string]string, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		fields[a.Key] = a.Value.String()
		return true
	})
	request := "-"
	switch r.Message {
	case "request":
		request = fields["method"] + " " + (&url.URL{Path: fields["path"]}).EscapedPath() + " " + fields["proto"]
	case "tunnel closed":
		request = "GET " + (&url.URL{Path: fields["path"]}).EscapedPath() + " HTTP/1.1"
		fields["status"], fields["bytes"] = "101", fields["bytes_from_backend"]
	case "request refused":
	default:
		return nil
	}
	line := fmt.Appendf(nil, "%s - - [%s] \"%s\" %s %s \"%s\" \"%s\"\n", quoted(fields["client"]), r.Time.Format("02/Jan/2006:15:04:05 -0700"),
		quoted(request), quoted(fields["status"]), quoted(fields["bytes"]), quoted(fields["referer"]), quoted(fields["user_agent"]))
	_, err := h.out.Write(line)
	return err
}

// quoted is a text as it may stand between quotes; "-" if there is none.
func quoted(text string) string {
	if text == "" {
		return "-"
	}
	q := strconv.QuoteToASCII(text)
	return q[1 : len(q)-1]
}

// accessFile is the file of an access log. It is opened again when its name is another
// file's, as after a rotation, and at SIGUSR1. Safe for concurrent use.
type accessFile struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	file   *os.File    // guarded by mu
	opened fs.FileInfo // guarded by mu; of file
	looked time.Time   // guarded by mu; when the name was last looked up
	failed bool        // guarded by mu; the last attempt
}

// lookEvery is how often a write looks whether the name is still the file's.
const lookEvery = time.Second

// Write takes whole lines. They are printable: a file of them is read in terminals.
func (f *accessFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) >= lookEvery {
		f.looked = time.Now()
		if now, err := os.Stat(f.path); err != nil || !os.SameFile(now, f.opened) {
			f.tryLocked()
		}
	}
	_, err := f.file.Write(printable.Bytes(p))
	if err != nil && !f.failed {
		f.failed = true
		f.log.Error("cannot write the access log", "file", f.path, "error", err)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// tryLocked opens the file again. If that fails, it says so once, and goes on with the old.
func (f *accessFile) tryLocked() {
	err := f.reopenLocked()
	if err != nil && !f.failed {
		f.log.Error("cannot write the access log", "file", f.path, "error", err)
	}
	f.failed = err != nil
}

func (f *accessFile) reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reopenLocked()
}

func (f *accessFile) reopenLocked() error {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if f.file != nil {
		_ = f.file.Close()
	}
	f.file, f.opened, f.looked = file, info, time.Now()
	return nil
}

// reopenOnSignal opens the file again at each SIGUSR1, until stop.
func (f *accessFile) reopenOnSignal() (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		defer close(done)
		for range signals {
			f.mu.Lock()
			f.tryLocked()
			f.mu.Unlock()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
