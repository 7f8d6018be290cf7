package cli

// tunnelform drain: tells tunnels of a running proxy to go.

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const drainHelp = `Tells open tunnels of a running proxy to go, spread over a window, and shows how
far it is until they have gone. What serves new ones is not changed.

  tunnelform drain --route chat --window 5m
  tunnelform drain --pool rooms --backend ws://10.0.0.7:9000 --dry-run
  tunnelform drain --client 203.0.113.0/24 --code 1008 --reason "not welcome"
  tunnelform drain --list
  tunnelform drain --spare ID

Window, code and reason are by default those of each tunnel's route. Ctrl-C ends
the display; the drain goes on until it is over, or --spare lets those be that
were not told yet.

The exit status is 0, 1 when the proxy refused, 2 for a wrong command line, 3 when
the proxy did not answer or did not allow it.`

type drainFlags struct {
	ask     askFlags
	output  outputFlag
	request statusapi.DrainRequest
	reason  string
	list    bool
	spare   string
	detach  bool
}

func newDrainCommand(env *Env) *cobra.Command {
	var flags drainFlags
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Tell open tunnels of a running proxy to go",
		Long:  drainHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("reason") {
				flags.request.Reason = &flags.reason
			}
			return runDrain(cmd.Context(), env, &flags)
		},
	}
	f := cmd.Flags()
	flags.ask.register(f)
	flags.output.register(f)
	r := &flags.request
	f.Var((*filled)(&r.Route), "route", "those of this route")
	f.Var((*filled)(&r.Pool), "pool", "those of this pool")
	f.Var((*filled)(&r.Backend), "backend", "with --pool: those to this backend")
	f.Var((*filled)(&r.Client), "client", "those from this address or network")
	f.Var((*filled)(&r.User), "user", "those of this user")
	f.BoolVar(&r.All, "all", false, "all")
	f.Var((*filled)(&r.Window), "window", "over which they are told, such as 5m; 0s is at once")
	f.Uint16Var(&r.Code, "code", 0, "the close code")
	f.StringVar(&flags.reason, "reason", "", "the reason in the Close frame")
	f.BoolVar(&r.DryRun, "dry-run", false, "only count them")
	f.BoolVar(&flags.detach, "detach", false, "do not wait until they have gone")
	f.BoolVar(&flags.list, "list", false, "list the drains under way and the latest ones")
	f.Var((*filled)(&flags.spare), "spare", "let those be that this drain has not told yet")
	return cmd
}

func runDrain(ctx context.Context, env *Env, flags *drainFlags) error {
	client, err := flags.ask.client()
	if err != nil {
		return err
	}
	switch {
	case flags.list:
		return listDrains(ctx, env, client, flags.output)
	case flags.spare != "":
		var d statusapi.Drain
		body, err := client.ask(ctx, http.MethodDelete, "/v1/drains/"+url.PathEscape(flags.spare), nil, nil, &d)
		return printDrain(env, flags.output, body, d, err)
	}
	var begun statusapi.Drain
	body, err := client.ask(ctx, http.MethodPost, "/v1/drain", nil, &flags.request, &begun)
	if err != nil || begun.Over || flags.detach {
		return printDrain(env, flags.output, body, begun, err)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	last, err := watchDrain(ctx, env, client, begun)
	if err != nil {
		return err
	}
	body, err = json.MarshalIndent(last, "", "  ")
	return printDrain(env, flags.output, append(body, '\n'), last, err)
}

// watchDrain shows how far the drain is until it is over or ctx ends.
func watchDrain(ctx context.Context, env *Env, client *adminClient, d statusapi.Drain) (statusapi.Drain, error) {
	for !d.Over {
		if env.IsTerminal {
			fmt.Fprintf(env.rawStderr, "\r\x1b[K%s", printable.Line(drainText(d)))
		}
		select {
		case <-ctx.Done():
			return d, nil
		case <-time.After(300 * time.Millisecond):
		}
		var list statusapi.DrainList
		if _, err := client.ask(ctx, http.MethodGet, "/v1/drains", nil, nil, &list); err != nil {
			if ctx.Err() != nil {
				return d, nil
			}
			return d, err
		}
		i := slices.IndexFunc(list.Drains, func(other statusapi.Drain) bool { return other.ID == d.ID })
		if i < 0 {
			return d, &exitError{code: exitNoRead, err: fmt.Errorf("the proxy does not know the drain %s any more", d.ID)}
		}
		d = list.Drains[i]
	}
	if env.IsTerminal {
		fmt.Fprint(env.rawStderr, "\r\x1b[K")
	}
	return d, nil
}

func drainText(d statusapi.Drain) string {
	text := fmt.Sprintf("%d of %s told, %d have ended", d.Told, plural(d.Tunnels, "tunnel"), d.Ended)
	if d.Waiting > 0 {
		text += fmt.Sprintf(", %d are waiting", d.Waiting)
	}
	if d.Spared > 0 {
		text += fmt.Sprintf(", %d were spared", d.Spared)
	}
	return text
}

func printDrain(env *Env, output outputFlag, body []byte, d statusapi.Drain, err error) error {
	switch {
	case err != nil:
		return err
	case output.json:
		_, _ = env.Stdout.Write(body)
	case d.Request.DryRun:
		fmt.Fprintf(env.Stdout, "%s would be told to go\n", plural(d.Tunnels, "tunnel"))
		for _, route := range slices.Sorted(maps.Keys(d.Routes)) {
			fmt.Fprintf(env.Stdout, "  %s  %d\n", printable.Line(route), d.Routes[route])
		}
	case d.ID == "":
		fmt.Fprintln(env.Stdout, "no open tunnel matches")
	default:
		fmt.Fprintf(env.Stdout, "drain %s: %s\n", d.ID, drainText(d))
	}
	return nil
}

func listDrains(ctx context.Context, env *Env, client *adminClient, output outputFlag) error {
	var list statusapi.DrainList
	body, err := client.ask(ctx, http.MethodGet, "/v1/drains", nil, nil, &list)
	if err != nil {
		return err
	}
	if output.json {
		_, _ = env.Stdout.Write(body)
		return nil
	}
	table := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	defer table.Flush()
	fmt.Fprintln(table, "ID\tBEGAN\tWHICH\tPROGRESS")
	for _, d := range list.Drains {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", d.ID, d.Began.Format(time.RFC3339), printable.Line(whichText(d.Request)), drainText(d))
	}
	return nil
}

// whichText says which tunnels a drain is about.
func whichText(r statusapi.DrainRequest) string {
	text := ""
	for _, part := range [][2]string{{"route", r.Route}, {"pool", r.Pool}, {"backend", r.Backend}, {"client", r.Client}} {
		if part[1] != "" {
			text += " " + part[0] + " " + part[1]
		}
	}
	if text == "" {
		return "all"
	}
	return text[1:]
}
