package cli

// tunnelform tunnels: the open tunnels of a running proxy; and tunnelform close, which ends
// one.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const tunnelsHelp = `Lists the open tunnels of a running proxy, oldest first.

  tunnelform tunnels --route chat --sort -bytes
  tunnelform tunnels --client 10.0.0.0/8 --draining
  tunnelform tunnels --all -o json | jq .path

A sort key with - before it puts the largest first: age, idle, bytes, messages,
rtt, route, backend, client or path. Bytes and messages are counted from the
client (IN) and to it (OUT).

The exit status is 0, 2 for a wrong command line, 3 when the proxy did not answer.`

type tunnelsFlags struct {
	ask    askFlags
	output outputFlag
	query  map[string]*string
	drain  bool
	limit  int
	all    bool
}

func newTunnelsCommand(env *Env) *cobra.Command {
	flags := tunnelsFlags{query: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "tunnels",
		Short: "List the open tunnels of a running proxy",
		Long:  tunnelsHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runTunnels(cmd.Context(), env, &flags)
		},
	}
	f := cmd.Flags()
	flags.ask.register(f)
	flags.output.register(f)
	for _, filter := range []struct{ name, usage string }{
		{"route", "only of this route"},
		{"pool", "only of this pool"},
		{"backend", "only to this backend: its URL or host:port"},
		{"client", "only from this address or network"},
		{"user", "only of this user"},
		{"min-age", "only those that are so old, such as 1h"},
		{"sort", "the order"},
	} {
		flags.query[filter.name] = new(string)
		f.Var((*filled)(flags.query[filter.name]), filter.name, filter.usage)
	}
	f.BoolVar(&flags.drain, "draining", false, "only those that are to end")
	f.IntVar(&flags.limit, "limit", 100, "how many, at most 1000")
	f.BoolVar(&flags.all, "all", false, "all that match, in the order in which they began")
	return cmd
}

func (f *tunnelsFlags) values() url.Values {
	values := url.Values{}
	for name, value := range f.query {
		if *value != "" {
			values.Set(strings.ReplaceAll(name, "-", "_"), *value)
		}
	}
	if f.drain {
		values.Set("draining", "true")
	}
	values.Set("limit", strconv.Itoa(f.limit))
	return values
}

func runTunnels(ctx context.Context, env *Env, flags *tunnelsFlags) error {
	client, err := flags.ask.client()
	if err != nil {
		return err
	}
	if flags.all {
		return streamTunnels(ctx, env, client, flags)
	}
	var list statusapi.TunnelList
	body, err := client.ask(ctx, http.MethodGet, "/v1/tunnels", flags.values(), nil, &list)
	if err != nil {
		return err
	}
	if flags.output.json {
		_, err = env.Stdout.Write(body)
		return err
	}
	table := newTunnelTable(env.Stdout)
	for i := range list.Tunnels {
		table.add(&list.Tunnels[i])
	}
	table.flush()
	if list.Next != "" {
		fmt.Fprintf(env.Stderr, "there are more: --all lists them\n")
	}
	return nil
}

// streamTunnels prints as the proxy writes.
func streamTunnels(ctx context.Context, env *Env, client *adminClient, flags *tunnelsFlags) error {
	if *flags.query["sort"] != "" {
		return usageErrorf("--all with --sort: want one of them")
	}
	values := flags.values()
	values.Del("limit")
	answer, err := client.stream(ctx, "/v1/tunnels", values, "application/x-ndjson")
	if err != nil {
		return err
	}
	defer answer.Close()
	if flags.output.json {
		if _, err = io.Copy(env.Stdout, answer); err != nil {
			return &exitError{code: exitNoRead, err: err}
		}
		return nil
	}
	table := newTunnelTable(env.Stdout)
	defer table.flush()
	decoder := json.NewDecoder(answer)
	for {
		var t statusapi.Tunnel
		switch err := decoder.Decode(&t); err {
		case nil:
			table.add(&t)
		case io.EOF:
			return nil
		default:
			return &exitError{code: exitNoRead, err: err}
		}
	}
}

// tunnelTable aligns some lines at a time.
type tunnelTable struct {
	out  *bufio.Writer
	tabs *tabwriter.Writer
	rows int
}

func newTunnelTable(w io.Writer) *tunnelTable {
	out := bufio.NewWriter(w)
	return &tunnelTable{out: out, tabs: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
}

func (t *tunnelTable) add(u *statusapi.Tunnel) {
	if t.rows == 0 {
		fmt.Fprintln(t.tabs, "ID\tROUTE\tBACKEND\tCLIENT\tSTATE\tAGE\tIDLE\tIN\tOUT\tMSG IN\tMSG OUT\tPATH")
	}
	fmt.Fprintf(t.tabs, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n",
		printable.Line(u.ID), printable.Line(u.Route), printable.Line(u.Backend), printable.Line(u.Client), u.State,
		briefly(u.Age), briefly(u.Idle), bytesText(u.BytesFromClient), bytesText(u.BytesFromBackend),
		u.MessagesFromClient, u.MessagesFromBackend, printable.Line(u.Path))
	if t.rows++; t.rows%1000 == 0 {
		t.tabs.Flush()
	}
}

func (t *tunnelTable) flush() {
	t.tabs.Flush()
	t.out.Flush()
}

// briefly is a time in seconds with two units at most.
func briefly(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// bytesText is a number of bytes with three digits or so.
func bytesText(n int64) string {
	value, unit := float64(n), 0
	for value >= 1000 && unit < 5 {
		value /= 1024
		unit++
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%.1f%ci", value, "_KMGTP"[unit])
}

// outputFlag is -o.
type outputFlag struct{ json bool }

func (o *outputFlag) register(f *pflag.FlagSet) { f.VarP(o, "output", "o", "table or json") }

// String implements pflag.Value.
func (o *outputFlag) String() string {
	if o.json {
		return "json"
	}
	return "table"
}

// Set implements pflag.Value.
func (o *outputFlag) Set(text string) error {
	if text != "json" && text != "table" {
		return fmt.Errorf("want table or json")
	}
	o.json = text == "json"
	return nil
}

// Type implements pflag.Value.
func (o *outputFlag) Type() string { return "format" }

// filled is a text flag that is refused when it is empty. An unset variable of a script must
// not make a command one without the flag: it would wait for nothing, or drain more.
type filled string

// String implements pflag.Value.
func (f *filled) String() string { return string(*f) }

// Set implements pflag.Value.
func (f *filled) Set(text string) error {
	if text == "" {
		return errors.New("want a text that is not empty")
	}
	*f = filled(text)
	return nil
}

// Type implements pflag.Value.
func (f *filled) Type() string { return "string" }

const closeHelp = `Ends one open tunnel of a running proxy, as a drain does: both sides get a Close
frame, and have their time to answer. The id is that of the log and of
tunnelform tunnels.

The exit status is 0 when the tunnel was told, 1 when there is no such tunnel, 2
for a wrong command line, 3 when the proxy did not answer or did not allow it.`

type closeFlags struct {
	ask    askFlags
	code   uint16
	reason string
}

func newCloseCommand(env *Env) *cobra.Command {
	var flags closeFlags
	cmd := &cobra.Command{
		Use:   "close ID",
		Short: "End one open tunnel of a running proxy",
		Long:  closeHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.ask.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if flags.code != 0 {
				query.Set("code", strconv.Itoa(int(flags.code)))
			}
			if cmd.Flags().Changed("reason") {
				query.Set("reason", flags.reason)
			}
			_, err = client.ask(cmd.Context(), http.MethodDelete, "/v1/tunnels/"+url.PathEscape(args[0]), query, nil, nil)
			if err == nil {
				fmt.Fprintln(env.Stdout, "told")
			}
			return err
		},
	}
	f := cmd.Flags()
	flags.ask.register(f)
	f.Uint16Var(&flags.code, "code", 0, "the close code; the default is the route's")
	f.StringVar(&flags.reason, "reason", "", "the reason in the Close frame; the default is the route's")
	return cmd
}
