package cli

// tunnelform status: what a running proxy serves.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const statusHelp = `Asks a running proxy's admin API (serve --admin) what it serves.

With --wait it answers when it is known whether a revision, the sha256 of a routes
file, is served:

  tunnelform status --wait $(sha256sum < routes.yaml | cut -d' ' -f1)

The exit status is 0 when the files are served, 1 when they were refused or the
revision that was waited for is not served, 2 for a wrong command line, 3 when the
proxy did not answer.`

const defaultAdmin = "127.0.0.1:9901"

type statusFlags struct {
	admin   string
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
			if err := checkAdmin(flags.admin); err != nil {
				return err
			}
			return runStatus(cmd.Context(), env, flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.admin, "admin", defaultAdmin, "the admin address: host:port or unix:/path")
	f.StringVar(&flags.wait, "wait", "", "a revision to wait for")
	f.DurationVar(&flags.timeout, "timeout", 30*time.Second, "how long to wait")
	f.BoolVar(&flags.json, "json", false, "print the answer of the API as JSON")
	return cmd
}

func runStatus(ctx context.Context, env *Env, flags statusFlags) error {
	body, err := askStatus(ctx, flags)
	if err != nil {
		return &exitError{code: exitNoRead, err: err}
	}
	var status statusapi.Status
	if err := json.Unmarshal(body, &status); err != nil {
		return &exitError{code: exitNoRead, err: fmt.Errorf("the answer of %s: %w", flags.admin, err)}
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

func askStatus(ctx context.Context, flags statusFlags) ([]byte, error) {
	client, base := adminClient(flags.admin)
	query := url.Values{}
	if flags.wait != "" {
		query.Set("wait", flags.wait)
		query.Set("timeout", flags.timeout.String())
	}
	ctx, cancel := context.WithTimeout(ctx, flags.timeout+10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/status?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s: %s", flags.admin, response.Status, body)
	}
	return body, err
}

// adminClient returns a client for the admin API at "host:port" or "unix:/path".
func adminClient(address string) (client *http.Client, base string) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return &http.Client{}, "http://" + address
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}, "http://localhost"
}

func printStatus(w io.Writer, s statusapi.Status) {
	ready := "ready"
	if !s.Ready {
		ready = "stopping"
	}
	fmt.Fprintf(w, "tunnelform %s, up since %s, %s\n", s.Version, s.StartedAt.Format(time.RFC3339), ready)
	fmt.Fprintf(w, "generation %d with %d routes, loaded %s\n", s.Generation, s.Routes, s.LoadedAt.Format(time.RFC3339))
	for _, f := range s.Files {
		fmt.Fprintf(w, "  %s  %s\n", f.Revision, f.Path)
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
		fmt.Fprintf(w, "  %s\n", m)
	}
}

// redials is "" for a proxy without redials.
func redials(t statusapi.Tunnels) string {
	if t.Moving == 0 && t.Redialled == 0 {
		return ""
	}
	return fmt.Sprintf(", %d moving to another backend (%d redials so far)", t.Moving, t.Redialled)
}
