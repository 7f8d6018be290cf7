package cli

// tunnelform explain: which route a request takes, why, which came close and why
// not, and where it goes.

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

const explainHelp = `Says which route of the files a request takes, why, which routes came close and
why they did not win, and where the request goes. Nothing is dialled.

The argument with a scheme (http, https, ws or wss) is the request's URL; ws and
wss ask for a WebSocket. The others are files and directories; without any it is
routes.yaml.

  tunnelform explain routes.yaml wss://chat.example.com/rooms/7/ws
  tunnelform explain -X POST -H 'X-Tenant: a' routes.d https://api.example.com/v1`

type explainFlags struct {
	method   string
	headers  []string
	upgrade  string
	listener string
	client   string
	all      bool
}

func newExplainCommand(env *Env) *cobra.Command {
	var flags explainFlags
	cmd := &cobra.Command{
		Use:   "explain [FILE|DIR...] URL",
		Short: "Say which route a request takes, and why",
		Long:  explainHelp,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			question, paths, err := flags.question(args)
			if err != nil {
				return err
			}
			return runExplain(env, flags, question, paths)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.method, "method", "X", "GET", "the request's method")
	f.StringArrayVarP(&flags.headers, "header", "H", nil, "a header line, 'Name: value'; may be repeated")
	f.StringVar(&flags.upgrade, "upgrade", "", "the protocol that the request asks to upgrade to")
	f.StringVar(&flags.listener, "listener", "", "the listener that the request comes in on")
	f.StringVar(&flags.client, "client", "", "the client's address")
	f.BoolVar(&flags.all, "all", false, "list every route, not just those that came close")
	return cmd
}

// question makes the request of the flags, and tells the URL from the files.
func (flags explainFlags) question(args []string) (q routefile.Question, paths []string, err error) {
	address := ""
	for _, arg := range args {
		switch {
		case !strings.Contains(arg, "://"):
			paths = append(paths, arg)
		case address != "":
			return q, nil, usageErrorf("two URLs, %q and %q: one is explained at a time", address, arg)
		default:
			address = arg
		}
	}
	if address == "" {
		return q, nil, usageErrorf("no URL among the arguments: want one such as wss://chat.example.com/ws")
	}
	if len(paths) == 0 {
		paths = []string{"routes.yaml"}
	}
	if q, err = routefile.NewQuestion(address, flags.upgrade); err != nil {
		return q, nil, usageErrorf("%v", err)
	}
	return q, paths, flags.complete(&q)
}

// complete puts what the URL does not say into the request.
func (flags explainFlags) complete(q *routefile.Question) (err error) {
	q.Method, q.Listener = strings.ToUpper(flags.method), flags.listener
	if flags.client != "" {
		if q.Client, err = netip.ParseAddr(flags.client); err != nil {
			return usageErrorf("--client %q: want an IP address", flags.client)
		}
	}
	for _, line := range flags.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return usageErrorf("-H %q: want 'Name: value'", line)
		}
		q.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return nil
}

func runExplain(env *Env, flags explainFlags, q routefile.Question, paths []string) error {
	files, err := loadFiles(env, paths)
	if err != nil {
		return err
	}
	explanation, err := routefile.Explain(routefile.NewSet(files...), q)
	if err != nil {
		return &exitError{code: exitInvalid, err: err}
	}
	printExplanation(env, flags, q, explanation)
	if explanation.Route == "" {
		return &exitError{code: exitInvalid}
	}
	return nil
}

func printExplanation(env *Env, flags explainFlags, q routefile.Question, e *routefile.Explanation) {
	fmt.Fprintf(env.Stdout, "%s %s\n", q.Method, q.URL)
	switch {
	case e.Refused != "":
		fmt.Fprintf(env.Stdout, "  is refused before it is matched: %s\n", e.Refused)
		return
	case e.Route == "":
		fmt.Fprintf(env.Stdout, "  matches no route: 404 Not Found\n")
	default:
		fmt.Fprintf(env.Stdout, "  takes route %q (%s)\n  %s\n", e.Route, e.Pattern, e.Outcome)
	}
	heading := "\ncame close:\n"
	for _, v := range e.Verdicts {
		if v.Close || flags.all || e.Route == "" {
			fmt.Fprintf(env.Stdout, "%s  %-16s %s\n", heading, v.Route, v.Reason)
			heading = ""
		}
	}
}
