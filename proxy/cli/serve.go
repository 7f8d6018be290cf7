package cli

// tunnelform serve: the reload loop and the proxy, connected.

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/internal/admin"
	"github.com/tunnelform/tunnelform/proxy/internal/heap"
	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

const serveHelp = `Serves the routes files until a signal stops it.

The arguments are files, and directories whose *.yaml and *.yml files (not
hidden ones, not in subdirectories) are read. Together they are one set. Every
edit takes effect at once. A set with a mistake is refused as a whole: the last
good routes keep serving, and every mistake is logged.

Signals: HUP reads the files again. USR1 opens the access log again. TERM, INT and
QUIT stop: connections are still accepted for shutdown.delay, so that load
balancers can notice, then tunnels are drained. Ctrl-C in a terminal skips the
delay. A second signal cuts what is left.

The exit status is 0 after a signal, 1 when the files cannot be served (a mistake
in them, an address that is in use), 2 for a wrong command line, 3 when a file
could not be read.`

type serveFlags struct {
	logFormat  string
	logLevel   string
	admin      adminOptions
	statusFile string
	series     int
	access     accessOptions
}

func newServeCommand(env *Env) *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:   "serve FILE|DIR...",
		Short: "Serve the routes files, and follow every edit",
		Long:  serveHelp,
		Args:  filesToFollow,
		RunE: func(cmd *cobra.Command, args []string) error {
			out := &logWriter{to: env.Stderr}
			log, err := newLogger(env, out, flags)
			if err != nil {
				return err
			}
			defer out.flush()
			if err := flags.admin.check(); err != nil {
				return err
			}
			if err := flags.access.check(); err != nil {
				return err
			}
			if flags.series < 0 {
				return usageErrorf("--metrics-series %d: want 0 or more", flags.series)
			}
			both, access, closeLog, err := openAccessLog(log, flags.access)
			if err != nil {
				return &exitError{code: exitInvalid, err: err}
			}
			defer closeLog()
			return runServe(cmd.Context(), env, both, logWriters{out, access}, flags, args)
		},
	}
	cmd.Flags().StringVar(&flags.logFormat, "log-format", "auto", "auto, text or json; auto is text on a terminal")
	cmd.Flags().StringVar(&flags.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.admin.register(cmd.Flags())
	cmd.Flags().StringVar(&flags.statusFile, "status-file", "", "write the status to this file")
	cmd.Flags().IntVar(&flags.series, "metrics-series", 50000, "the most series of routes and pools in metrics")
	flags.access.register(cmd.Flags())
	return cmd
}

func filesToFollow(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageErrorf("no routes file: want at least one file or directory")
	}
	if slices.Contains(args, stdinPath) {
		return usageErrorf("standard input (%q) cannot be watched: want files and directories", stdinPath)
	}
	return nil
}

func newLogger(env *Env, out *logWriter, flags serveFlags) (log *slog.Logger, err error) {
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
	out.reportLost = func(lost int) { log.Warn("lines of the log were lost", "lines", lost) }
	return log, nil
}

// service is a proxy with its reload loop.
type service struct {
	log        *slog.Logger
	source     store.Source
	server     *proxy.Server
	loop       *reload.Loop[proxy.Table]
	files      fileCache
	building   buildLock
	records    servedRecords
	history    history
	feed       admin.Feed
	statusFile string
	started    time.Time
	logWriters logWriters
	loads      loadCounts
	metrics    *metrics.Exporter // nil without the admin API
}

// runServe serves until a signal or ctx ends it.
func runServe(ctx context.Context, env *Env, log *slog.Logger, out logWriters, flags serveFlags, paths []string) error {
	source, err := filestore.NewSource(paths, filestore.Options{MaxSize: routefile.MaxBytes, Log: log})
	if err != nil {
		return err
	}
	s := &service{log: log, source: source, statusFile: flags.statusFile, started: time.Now(), building: newBuildLock(), logWriters: out}
	s.records.enabled = flags.admin.address != ""
	s.loop = reload.New(reload.Options[proxy.Table]{
		Source:    source,
		Build:     s.build,
		Published: s.published,
		Refused:   s.refused,
		Restored:  s.restored,
		Unchanged: s.unchanged,
	})
	s.server = proxy.NewServer(proxy.Options{Current: s.loop.Cell().Load, Log: log, Status: func() any { return s.Status() }, LogAgents: flags.access.file != "", Health: func(e statusapi.BackendEvent) { s.feed.Publish("backend", e) }})

	signals := make(chan os.Signal, 4)
	// Images for nginx and php-fpm are stopped with QUIT. By default Go ends the process
	// and prints all stacks at it, as it still does at ABRT.
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGQUIT, os.Interrupt)
	defer signal.Stop(signals)
	// By default Go ends a process that writes to a closed pipe on its standard error,
	// which would cut the tunnels when the reader of the log ends.
	signal.Ignore(syscall.SIGPIPE)
	if stopped, err := s.start(ctx, signals); stopped {
		return nil
	} else if err != nil {
		return s.cannotStart(env, err)
	}
	if flags.admin.address != "" {
		s.metrics = metrics.New(flags.series, s.server.Collect, s.collect)
		stop, err := s.startAdmin(ctx, flags.admin)
		if err != nil {
			return &exitError{code: exitInvalid, err: err}
		}
		defer stop()
	}
	return s.run(ctx, env, signals)
}

// start loads the files for the first time. A signal to stop cancels that, and a second
// one does not wait for its end. A signal that comes when the files are served already
// is left for run, and so is SIGHUP.
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
				default: // it is full of others
				}
				return false, nil
			}
			s.log.Info("shutting down", "signal", stop.String(), "tunnels", 0)
			return true, nil
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				s.loop.Kick() // the loop reads again once it runs
			case stop == nil:
				stop, stopAt = sig, time.Now()
				cancel()
			case time.Since(stopAt) > sameSignal:
				return true, nil
			}
		}
	}
}

// cannotStart prints mistakes as check does.
func (s *service) cannotStart(env *Env, err error) error {
	var mistakes routefile.Errors
	if errors.As(err, &mistakes) {
		printMistakes(env, mistakes, s.files.sources())
		return &exitError{code: exitInvalid}
	}
	return &exitError{code: exitNoRead, err: err}
}

// run follows the files until a signal, and then shuts down.
func (s *service) run(ctx context.Context, env *Env, signals <-chan os.Signal) error {
	following, stopFollowing := context.WithCancel(ctx)
	done := make(chan struct{})
	go s.follow(following, done)
	go heap.Tend(following, func() uint64 { return s.server.Opened() + s.server.Ended() })
	stoppedBy := s.awaitStop(ctx, signals)
	stopFollowing()
	s.server.Unready()
	stopping, cut := context.WithCancel(context.Background())
	defer cut()
	go cutOnSignal(stopping, cut, signals, s.log)
	select {
	case <-done:
	case <-stopping.Done(): // a second signal does not wait for the reload that is under way
	}
	s.noteStatus()
	err := s.server.Shutdown(stopping, !isCtrlC(env, stoppedBy))
	s.noteStatus()
	s.log.Info("stopped", "cut", err != nil)
	return nil
}

// follow is the goroutine of the reload loop.
func (s *service) follow(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	_ = s.loop.Run(ctx) // its only error is ctx's
}
