package cli

// tunnelform pools and tunnelform history: what a running proxy serves, and how it came
// about.

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const poolsHelp = `Lists the pools of a running proxy with their backends: the state of each, why it
gets nothing new, its weight, its open tunnels and its requests in flight.

The exit status is 0, 2 for a wrong command line, 3 when the proxy did not answer.`

const historyHelp = `Lists the latest generations of the routes of a running proxy and the revisions
that it refused, the latest first: what each changed, how many tunnels it kept and
drained, how long it took, and every mistake.

The exit status is 0, 2 for a wrong command line, 3 when the proxy did not answer.`

type listFlags struct {
	ask    askFlags
	output outputFlag
}

// newListCommand is a command that asks one question and prints a table of the answer.
func newListCommand(env *Env, use, short, long string, run func(context.Context, *Env, *adminClient, outputFlag) error) *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.ask.client()
			if err != nil {
				return err
			}
			return run(cmd.Context(), env, client, flags.output)
		},
	}
	flags.ask.register(cmd.Flags())
	flags.output.register(cmd.Flags())
	return cmd
}

func newPoolsCommand(env *Env) *cobra.Command {
	cmd := newListCommand(env, "pools", "List the pools of a running proxy, with their backends", poolsHelp, printPools)
	cmd.AddCommand(newPoolsSetCommand(env))
	return cmd
}

const poolsSetHelp = `Gives a backend of a running proxy a state for a while: drain (nothing new, and its
tunnels are told to go), disable (nothing new), force_down (as by a failed probe) or
none, which ends it. A reload does not end it, an edit of the backend's record does.

  tunnelform pools set rooms a drain --for 30m
  tunnelform pools set rooms a none

The exit status is 0, 1 when the proxy refused, 2 for a wrong command line, 3 when
the proxy did not answer or did not allow it.`

func newPoolsSetCommand(env *Env) *cobra.Command {
	var ask askFlags
	var request statusapi.BackendRequest
	cmd := &cobra.Command{
		Use:   "set POOL BACKEND STATE",
		Short: "Give a backend a state for a while",
		Long:  poolsSetHelp,
		Args:  cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := ask.client()
			if err != nil {
				return err
			}
			request.State = args[2]
			var b statusapi.Backend
			path := "/v1/pools/" + url.PathEscape(args[0]) + "/backends/" + url.PathEscape(args[1])
			if _, err := client.ask(cmd.Context(), http.MethodPost, path, nil, &request, &b); err != nil {
				return err
			}
			fmt.Fprintf(env.Stdout, "%s: %s\n", printable.Line(b.Name), stateText(b))
			return nil
		},
	}
	f := cmd.Flags()
	ask.register(f)
	f.StringVar(&request.For, "for", "", "how long, from 1s to 24h (default 1h)")
	f.BoolVar(&request.Force, "force", false, "even if no other backend could have new work")
	return cmd
}

// stateText is why a backend gets nothing new, or that it is up.
func stateText(b statusapi.Backend) string {
	text := b.State
	if b.Written != "" {
		text += ", " + b.Written
	}
	if b.Temporary != "" {
		text += fmt.Sprintf(", %s until %s by hand", b.Temporary, b.Until.Local().Format(time.TimeOnly))
	}
	return text
}

func newHistoryCommand(env *Env) *cobra.Command {
	return newListCommand(env, "history", "List what a running proxy has loaded and refused", historyHelp, printHistory)
}

func printPools(ctx context.Context, env *Env, client *adminClient, output outputFlag) error {
	var list statusapi.PoolList
	body, err := client.ask(ctx, http.MethodGet, "/v1/pools", nil, nil, &list)
	if err != nil {
		return err
	}
	if output.json {
		_, err = env.Stdout.Write(body)
		return err
	}
	table := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	defer table.Flush()
	fmt.Fprintln(table, "POOL\tBACKEND\tURL\tSTATE\tWEIGHT\tTUNNELS\tREQUESTS")
	for _, p := range list.Pools {
		for _, b := range p.Backends {
			tunnels := strconv.FormatInt(b.Tunnels, 10)
			if b.MaxTunnels > 0 {
				tunnels += "/" + strconv.Itoa(b.MaxTunnels)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.4g\t%s\t%d\n",
				printable.Line(p.Name), printable.Line(b.Name), printable.Line(b.URL), stateText(b), b.Effective, tunnels, b.Requests)
		}
		if len(p.Backends) == 0 {
			fmt.Fprintf(table, "%s\t-\t\tempty\t\t\t\n", printable.Line(p.Name))
		}
	}
	return nil
}

func printHistory(ctx context.Context, env *Env, client *adminClient, output outputFlag) error {
	var list statusapi.History
	body, err := client.ask(ctx, http.MethodGet, "/v1/history", nil, nil, &list)
	if err != nil {
		return err
	}
	if output.json {
		_, err = env.Stdout.Write(body)
		return err
	}
	for _, e := range list.Entries {
		what := fmt.Sprintf("generation %d, %s: %d kept, %d draining", e.Generation, plural(e.Routes, "route"), e.Kept, e.Drained)
		if e.Refused {
			what = fmt.Sprintf("REFUSED, generation %d goes on", e.Generation)
		}
		fmt.Fprintf(env.Stdout, "%s  %.12s  %.3fs  %s\n", e.At.Local().Format(time.DateTime), e.Revision, e.Duration, what)
		for _, part := range []struct {
			sign  string
			names []string
		}{{"+", e.Added}, {"-", e.Removed}, {"~", e.Changed}} {
			if len(part.names) > 0 {
				fmt.Fprintf(env.Stdout, "  %s %s\n", part.sign, printable.Line(strings.Join(part.names, " ")))
			}
		}
		for _, from := range slices.Sorted(maps.Keys(e.Renamed)) {
			fmt.Fprintf(env.Stdout, "  > %s\n", printable.Line(from+" -> "+e.Renamed[from]))
		}
		for _, m := range e.Mistakes {
			fmt.Fprintf(env.Stdout, "  %s\n", printable.Line(m.String()))
		}
	}
	return nil
}
