package cli

// tunnelform status: what a running proxy serves.

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const statusHelp = `Asks a running proxy's admin API (serve --admin) what it serves.

With --wait it answers when it is known whether a revision, the sha256 of a routes
file, is served:

  tunnelform status --wait $(sha256sum < routes.yaml | cut -d' ' -f1)

(macOS has shasum -a 256 for sha256sum.)

The exit status is 0 when the files are served, 1 when they were refused or the
revision that was waited for is not served, 2 for a wrong command line, 3 when the
proxy did not answer.`

type statusFlags struct {
	ask     askFlags
	wait    string
	timeout time.Duration
	json    bool
}

func newStatusCommand(env *Env) *cobra.Command {
	var flags statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask a running proxy what it serves",
		Long:  statusHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStatus(cmd.Context(), env, flags)
		},
	}
	f := cmd.Flags()
	flags.ask.register(f)
	f.Var((*filled)(&flags.wait), "wait", "a revision to wait for")
	f.DurationVar(&flags.timeout, "timeout", 30*time.Second, "how long to wait")
	f.BoolVar(&flags.json, "json", false, "print the answer of the API as JSON")
	return cmd
}

func runStatus(ctx context.Context, env *Env, flags statusFlags) error {
	client, err := flags.ask.client()
	if err != nil {
		return err
	}
	query, patience := url.Values{}, askTimeout
	if flags.wait != "" {
		if !revisionPattern.MatchString(flags.wait) {
			return usageErrorf("--wait %q: want a revision, the 64 hexadecimal digits of a sha256", flags.wait)
		}
		query.Set("wait", flags.wait)
		query.Set("timeout", flags.timeout.String())
		patience = flags.timeout + 10*time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var status statusapi.Status
	body, err := client.ask(ctx, http.MethodGet, "/v1/status", query, nil, &status)
	if err != nil {
		return &exitError{code: exitNoRead, err: err}
	}
	if flags.json {
		_, _ = env.Stdout.Write(body)
	} else {
		printStatus(env.Stdout, status)
	}
	notServed := status.Outcome != "" && status.Outcome != statusapi.Served
	if notServed || status.Refused != nil && status.Outcome == "" {
		return &exitError{code: exitInvalid}
	}
	return nil
}

// revisionPattern is what a revision looks like. To wait for anything else is to wait in vain.
var revisionPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func printStatus(w io.Writer, s statusapi.Status) {
	ready := "ready"
	if !s.Ready {
		ready = "stopping"
	}
	fmt.Fprintf(w, "tunnelform %s, up since %s, %s\n", s.Version, s.StartedAt.Format(time.RFC3339), ready)
	fmt.Fprintf(w, "generation %d with %d routes, loaded %s\n", s.Generation, s.Routes, s.LoadedAt.Format(time.RFC3339))
	for _, f := range s.Files {
		fmt.Fprintf(w, "  %s  %s\n", f.Revision, printable.Line(f.Path))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
		fmt.Fprintf(w, "listener %s at %s\n", name, s.Listeners[name])
	}
	fmt.Fprintf(w, "%d tunnels open, %d of them draining%s\n", s.Tunnels.Open, s.Tunnels.Draining, redials(s.Tunnels))
	if s.Outcome != "" {
		fmt.Fprintf(w, "the revision waited for: %s\n", s.Outcome)
	}
	if s.Refused == nil {
		return
	}
	fmt.Fprintf(w, "REFUSED at %s: the files are not what is served\n", s.Refused.At.Format(time.RFC3339))
	for _, m := range s.Refused.Mistakes {
		fmt.Fprintf(w, "  %s\n", printable.Line(m.String()))
	}
}

// redials is "" for a proxy without redials.
func redials(t statusapi.Tunnels) string {
	if t.Moving == 0 && t.Redialled == 0 {
		return ""
	}
	return fmt.Sprintf(", %d moving to another backend (%d redials so far)", t.Moving, t.Redialled)
}
