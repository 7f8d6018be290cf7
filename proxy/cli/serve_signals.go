package cli

// The signals that stop serve, and the one that reloads.

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// isCtrlC says that Ctrl-C in a terminal stopped the proxy. No load balancer has to notice
// then, and a person waits.
func isCtrlC(env *Env, stoppedBy os.Signal) bool {
	return env.IsTerminal && stoppedBy == os.Interrupt
}

// awaitStop returns the first signal to stop, or nil if ctx ended first. Until then HUP
// reloads.
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

// sameSignal is how soon after the first a second signal does not count: timeout(1) and
// some supervisors signal a process and then its group.
const sameSignal = 100 * time.Millisecond

// discard drops the signals that are waiting.
func discard(signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
		default:
			return
		}
	}
}

// cutOnSignal is the goroutine that waits for a second signal to stop.
func cutOnSignal(ctx context.Context, cut context.CancelFunc, signals <-chan os.Signal, log *slog.Logger) {
	time.Sleep(sameSignal)
	discard(signals)
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
