package cli

// tunnelform serve: the one place where the routes file, the reload loop and the
// proxy meet.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

const serveHelp = `Serves the routes files until it is told to stop.

The arguments are files, and directories whose *.yaml and *.yml files (not
hidden ones, not below) are taken; together they are one set. Every edit is
taken live. A set with a mistake in it changes nothing: the last good routes
keep serving, and every mistake is logged.

Signals: HUP reads the files again; TERM, INT and QUIT drain the tunnels and stop, a
second one cuts what is left. Before they drain, connections are taken for
shutdown.delay, so that load balancers turn away first; Ctrl-C in a terminal
skips that.

The exit status is 0 after a signal, 1 when the files cannot be served (a mistake
in them, an address that is taken), 2 for a wrong command line, 3 when a file
could not be read.`

type serveFlags struct {
	logFormat  string
	logLevel   string
	admin      string
	statusFile string
}

func newServeCommand(env *Env) *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:   "serve FILE|DIR...",
		Short: "Proxy what the routes files say, and follow every edit",
		Long:  serveHelp,
		Args:  filesToFollow,
		RunE: func(cmd *cobra.Command, args []string) error {
			out := &lines{to: env.Stderr}
			log, err := newLogger(env, out, flags)
			if err != nil {
				return err
			}
			defer out.flush()
			if flags.admin != "" {
				if err := checkAdmin(flags.admin); err != nil {
					return err
				}
			}
			return runServe(cmd.Context(), env, log, flags, args)
		},
	}
	cmd.Flags().StringVar(&flags.logFormat, "log-format", "auto", "auto, text or json; auto is text on a terminal")
	cmd.Flags().StringVar(&flags.logLevel, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringVar(&flags.admin, "admin", "", "serve the admin API at host:port or unix:/path, such as "+defaultAdmin)
	cmd.Flags().StringVar(&flags.statusFile, "status-file", "", "keep the status in this file")
	return cmd
}

// filesToFollow wants what can be watched.
func filesToFollow(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageErrorf("no routes file: want at least one file or directory")
	}
	if slices.Contains(args, stdinPath) {
		return usageErrorf("standard input (%q) cannot be followed: want files and directories", stdinPath)
	}
	return nil
}

func newLogger(env *Env, out *lines, flags serveFlags) (log *slog.Logger, err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(flags.logLevel)); err != nil {
		return nil, usageErrorf("--log-level %q: want debug, info, warn or error", flags.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch {
	case flags.logFormat == "text", flags.logFormat == "auto" && env.IsTerminal:
		log = slog.New(slog.NewTextHandler(out, options))
	case flags.logFormat == "json", flags.logFormat == "auto":
		log = slog.New(slog.NewJSONHandler(out, options))
	default:
		return nil, usageErrorf("--log-format %q: want auto, text or json", flags.logFormat)
	}
	out.tell = func(lost int) { log.Warn("lines of the log were lost", "lines", lost) }
	return log, nil
}

// service is a proxy that follows its files.
type service struct {
	log        *slog.Logger
	source     store.Source
	server     *proxy.Server
	loop       *reload.Loop[proxy.Table]
	files      fileCache
	turns      turns
	records    recordBook
	statusFile statusFile
	started    time.Time
}

// runServe serves until a signal or ctx ends it.
func runServe(ctx context.Context, env *Env, log *slog.Logger, flags serveFlags, paths []string) error {
	source, err := filestore.NewSource(paths, filestore.Options{MaxSize: routefile.MaxBytes, Log: log})
	if err != nil {
		return err
	}
	s := &service{log: log, source: source, statusFile: statusFile(flags.statusFile), started: time.Now(), turns: newTurns()}
	s.records.wanted = flags.admin != ""
	s.loop = reload.New(reload.Options[proxy.Table]{
		Source:    source,
		Build:     s.build,
		Published: s.published,
		Refused:   s.refused,
		Restored:  s.restored,
		Unchanged: s.unchanged,
	})
	s.server = proxy.NewServer(proxy.Options{Current: s.loop.Cell().Load, Log: log, Status: func() any { return s.Status() }})

	signals := make(chan os.Signal, 4)
	// QUIT is what images for nginx and php-fpm are stopped with. Left to Go it would
	// end all tunnels at once, with the goroutines' stacks in the middle of the log;
	// ABRT still does.
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGQUIT, os.Interrupt)
	defer signal.Stop(signals)
	// Go ends a process that writes to a closed pipe on its standard error. A proxy
	// whose log nobody reads any more still has tunnels.
	signal.Ignore(syscall.SIGPIPE)
	if stopped, err := s.start(ctx, signals); stopped {
		return nil
	} else if err != nil {
		return s.cannotStart(env, err)
	}
	if flags.admin != "" {
		stop, err := s.startAdmin(flags.admin)
		if err != nil {
			return &exitError{code: exitInvalid, err: err}
		}
		defer stop()
	}
	return s.run(ctx, env, signals)
}

// start loads the files for the first time. A signal to stop ends that, since there
// is nothing to drain yet; a second one does not even wait for its end. Once the
// files are served a signal is left for run.
func (s *service) start(ctx context.Context, signals chan os.Signal) (stopped bool, err error) {
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.loop.Start(starting) }()
	var stop os.Signal
	var stopAt time.Time
	for {
		select {
		case err := <-done:
			if stop == nil {
				return false, err
			}
			if err == nil {
				select {
				case signals <- stop:
				default: // others wait there
				}
				return false, nil
			}
			s.log.Info("shutting down", "signal", stop.String(), "tunnels", 0)
			return true, nil
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP: // they are being read
			case stop == nil:
				stop, stopAt = sig, time.Now()
				cancel()
			case time.Since(stopAt) > sameSignal:
				return true, nil
			}
		}
	}
}

// cannotStart prints why, as check would.
func (s *service) cannotStart(env *Env, err error) error {
	var mistakes routefile.Errors
	if errors.As(err, &mistakes) {
		printMistakes(env, mistakes, s.files.sources())
		return &exitError{code: exitInvalid}
	}
	return &exitError{code: exitNoRead, err: err}
}

// run follows the files until it is told to stop, then stops in order: a second
// signal cuts.
func (s *service) run(ctx context.Context, env *Env, signals <-chan os.Signal) error {
	following, stopFollowing := context.WithCancel(ctx)
	done := make(chan struct{})
	go s.follow(following, done)
	go tendHeap(following, func() uint64 { return s.server.Opened() + s.server.Ended() })
	stoppedBy := s.awaitStop(ctx, signals)
	stopFollowing()
	s.server.Unready()
	stopping, cut := context.WithCancel(context.Background())
	defer cut()
	go cutOnSignal(stopping, cut, signals, s.log)
	select {
	case <-done:
	case <-stopping.Done(): // a reload that is under way is waited for, but not by one who cuts
	}
	s.noteStatus()
	err := s.server.Shutdown(stopping, !atKeyboard(env, stoppedBy))
	s.noteStatus()
	s.log.Info("stopped", "cut", err != nil)
	return nil
}

// follow is the reload loop's goroutine.
func (s *service) follow(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	_ = s.loop.Run(ctx) // its only error is ctx's
}

// atKeyboard says whether it was Ctrl-C in a terminal that stopped the proxy. No
// load balancer is there to be told first, and somebody waits.
func atKeyboard(env *Env, stoppedBy os.Signal) bool {
	return env.IsTerminal && stoppedBy == os.Interrupt
}

// awaitStop returns the first signal to stop, nil if ctx ended first; until then
// HUP reloads.
func (s *service) awaitStop(ctx context.Context, signals <-chan os.Signal) os.Signal {
	for {
		select {
		case <-ctx.Done():
			return nil
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				open, _ := s.server.Tunnels()
				s.log.Info("shutting down", "signal", sig.String(), "tunnels", open)
				return sig
			}
			s.loop.Kick()
		}
	}
}

// sameSignal is how close a second signal still belongs to the first: timeout(1)
// and some supervisors signal a process and its group, which is one wish.
const sameSignal = 100 * time.Millisecond

// forget drops the signals that are waiting.
func forget(signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
		default:
			return
		}
	}
}

// cutOnSignal is a goroutine. It waits for the signal that cuts.
func cutOnSignal(ctx context.Context, cut context.CancelFunc, signals <-chan os.Signal, log *slog.Logger) {
	time.Sleep(sameSignal)
	forget(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				continue
			}
			log.Warn("cutting what is left", "signal", sig.String())
			cut()
			return
		}
	}
}

// published makes the proxy follow a new Table and says what has changed.
func (s *service) published(old, new *proxy.Table, gen reload.Generation) {
	changes := s.server.Adopt(old, new)
	s.records.serve(gen.Number, s.files.now)
	s.files.commit()
	s.log.Info("routes loaded",
		"generation", gen.Number, "revision", gen.Revision, "routes", new.Routes(),
		"added", names(changes.Added), "changed", names(changes.Changed), "removed", names(changes.Removed),
		"renamed", renames(changes.Renamed), "tunnels_kept", changes.Kept, "tunnels_draining", changes.Draining)
	s.noteStatus()
	// A load leaves the garbage of a whole file behind, many times its size: it
	// is given back now, not when traffic happens to grow the heap again.
	debug.FreeOSMemory()
}

// maxNames bounds the names in one log line: the first load of 10,000 routes
// should not be a megabyte.
const maxNames = 50

func names(all []string) []string {
	if len(all) <= maxNames {
		return append([]string{}, all...)
	}
	return append(append([]string{}, all[:maxNames]...), fmt.Sprintf("and %d more", len(all)-maxNames))
}

// renames is names for old names with their new ones.
func renames(all map[string]string) map[string]string {
	if len(all) <= maxNames {
		return all
	}
	some := make(map[string]string, maxNames+1)
	for _, from := range slices.Sorted(maps.Keys(all))[:maxNames] {
		some[from] = all[from]
	}
	some["..."] = fmt.Sprintf("and %d more", len(all)-maxNames)
	return some
}

func (s *service) refused(r reload.Refusal) {
	defer s.noteStatus()
	s.server.Unbind() // a look before this one may have been at a file that was good
	if outOfDescriptors(r.Err) {
		s.log.Warn("routes not read", "error", r.Err.Error(), "serving", s.loop.Status().Revision)
		return
	}
	mistakes := mistakesOf(r.Err)
	s.log.Error("routes refused", "mistakes", len(mistakes), "revision", r.Revision,
		"serving", s.loop.Status().Revision)
	for i, m := range mistakes {
		if i == maxNames {
			s.log.Error("mistake", "text", fmt.Sprintf("and %d more; tunnelform check lists them all", len(mistakes)-maxNames))
			return
		}
		s.log.Error("mistake", "file", m.File, "line", m.Line, "column", m.Column, "key", m.Key, "text", m.Text)
	}
}

// outOfDescriptors says that the process, or the machine, has no descriptor left to
// read the files with: nothing is known of them, so nothing is wrong with them. It is
// tried again, as after every refusal.
func outOfDescriptors(err error) bool {
	none := func(text string) bool {
		return strings.HasSuffix(text, syscall.EMFILE.Error()) || strings.HasSuffix(text, syscall.ENFILE.Error())
	}
	var errs routefile.Errors // which are texts: of a certificate that could not be opened, say
	if errors.As(err, &errs) {
		return slices.ContainsFunc(errs, func(e *routefile.Error) bool { return none(e.Text) })
	}
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || none(err.Error())
}

func (s *service) restored(gen reload.Generation, _ reload.Refusal) {
	s.log.Info("routes restored", "generation", gen.Number, "revision", gen.Revision)
	s.noteStatus()
}

func (s *service) unchanged(gen reload.Generation) {
	s.log.Info("routes unchanged", "generation", gen.Number, "revision", gen.Revision)
}

// mistakesOf lists an error's mistakes; one that is not about a place in a file
// is one mistake without a place.
func mistakesOf(err error) []statusapi.Mistake {
	var errs routefile.Errors
	if !errors.As(err, &errs) {
		return []statusapi.Mistake{{Text: err.Error()}}
	}
	mistakes := make([]statusapi.Mistake, 0, len(errs))
	for _, e := range errs {
		text := e.Text
		if e.Record != "" {
			text = e.Record + ": " + text
		}
		mistakes = append(mistakes, statusapi.Mistake{
			File: e.Pos.File, Line: e.Pos.Line, Column: e.Pos.Col, Key: e.Key, Text: text,
		})
	}
	return mistakes
}
