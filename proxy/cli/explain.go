package cli

// tunnelform explain: which route a request takes and why, which routes came close, and
// where the request goes.

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

const explainHelp = `Shows which route of the files a request takes and why, which routes came close
and why they did not win, and where the request goes. No backend is contacted.

The argument with a scheme (http, https, ws or wss) is the request's URL; ws and
wss ask for a WebSocket. The others are files and directories; the default is
routes.yaml.

The URL's port says which listener receives the request. Where it depends on the
client's address, or on a listener that the port does not tell, which route is
taken, each of those routes is printed with its condition.

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
		Short: "Show which route a request takes, and why",
		Long:  explainHelp,
		Args:  cobra.ArbitraryArgs, // question checks them
		RunE: func(cmd *cobra.Command, args []string) error {
			question, paths, err := flags.question(args)
			if err != nil {
				return err
			}
			return runExplain(cmd.Context(), env, flags, question, paths)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.method, "method", "X", "GET", "the request's method")
	f.StringArrayVarP(&flags.headers, "header", "H", nil, "a header line, 'Name: value'; may be repeated")
	f.StringVar(&flags.upgrade, "upgrade", "", "the protocol that the request asks to upgrade to")
	f.StringVar(&flags.listener, "listener", "", "the listener that receives it, where the port does not say which")
	f.StringVar(&flags.client, "client", "", "the client's address; routes that depend on it are listed without it")
	f.BoolVar(&flags.all, "all", false, "list every route, not only those that came close")
	return cmd
}

// question makes a request of the flags and the arguments.
func (flags explainFlags) question(args []string) (q routefile.Question, paths []string, err error) {
	address := ""
	for _, arg := range args {
		switch {
		case !strings.Contains(arg, "://"):
			paths = append(paths, arg)
		case address != "":
			return q, nil, usageErrorf("two URLs, %q and %q: want one", address, arg)
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

// complete adds to the request what is not in the URL.
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
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); httpsyntax.EqualFold(name, "Host") {
			q.URL.Host = value // Host is no header field of http.Request
			continue
		}
		q.Header.Add(name, value)
	}
	return nil
}

// checkListener refuses a listener that the files do not have.
func (flags explainFlags) checkListener(set *routefile.Set) error {
	if flags.listener == "" || set.Listeners[flags.listener] != nil {
		return nil
	}
	return usageErrorf("--listener %q is not in the files: want %s",
		flags.listener, strings.Join(slices.Sorted(maps.Keys(set.Listeners)), " or "))
}

func runExplain(ctx context.Context, env *Env, flags explainFlags, q routefile.Question, paths []string) error {
	files, err := loadFiles(ctx, env, paths)
	if err != nil {
		return err
	}
	set := routefile.NewSet(files...)
	if err := flags.checkListener(set); err != nil {
		return err
	}
	explanation, err := routefile.Explain(set, q)
	if err != nil {
		return &exitError{code: exitInvalid, err: err}
	}
	if flags.listener == "" && len(set.Listeners) == 1 {
		explanation.Listener = "" // nobody needs to be told
	}
	printExplanation(env, flags, q, explanation)
	if explanation.Route == "" {
		return &exitError{code: exitInvalid}
	}
	return nil
}

func printExplanation(env *Env, flags explainFlags, q routefile.Question, e *routefile.Explanation) {
	printLine(env, "%s %s", q.Method, q.URL)
	switch {
	case e.Refused != "":
		printLine(env, "  is refused before it is matched: %s", e.Refused)
		return
	case e.Route == "":
		printLine(env, "  matches no route: 404 Not Found")
	default:
		printLine(env, "  takes route %q (%s) at %s", e.Route, e.Pattern, lineOf(e.Pos))
		printLine(env, "  %s", e.Outcome)
	}
	for _, x := range e.Exceptions {
		printLine(env, "  unless %s: then it takes route %q (%s) at %s, and %s",
			x.Unless, x.Route, x.Pattern, lineOf(x.Pos), x.Outcome)
	}
	if e.Listener != "" && flags.listener == "" {
		printLine(env, "  comes in by listener %q", e.Listener)
	}
	printVerdicts(env, flags.all, e)
}

// printLine prints one line, whatever is in the names and values.
func printLine(env *Env, format string, args ...any) {
	fmt.Fprintln(env.Stdout, printable.Line(fmt.Sprintf(format, args...)))
}

// lineOf is the place of a route, file:line.
func lineOf(pos routefile.Pos) string { return fmt.Sprintf("%s:%d", pos.File, pos.Line) }

// fewRoutes is how many routes that did not come close are printed.
const fewRoutes = 20

// printVerdicts lists the routes that came close, and the others with --all, or when no
// route matched and they are few.
func printVerdicts(env *Env, all bool, e *routefile.Explanation) {
	var near, far []routefile.Verdict
	for _, v := range e.Verdicts {
		if v.Close {
			near = append(near, v)
		} else {
			far = append(far, v)
		}
	}
	printRoutes(env, "came close:", near)
	switch {
	case all || e.Route == "" && len(far) <= fewRoutes:
		printRoutes(env, "do not match:", far)
	case e.Route == "":
		fmt.Fprintln(env.Stdout)
		printLine(env, "%d routes do not match; --all lists them", len(far))
	}
}

func printRoutes(env *Env, heading string, verdicts []routefile.Verdict) {
	if len(verdicts) == 0 {
		return
	}
	fmt.Fprintln(env.Stdout)
	printLine(env, "%s", heading)
	for _, v := range verdicts {
		printLine(env, "  %-16s %s (%s)", v.Route, v.Reason, lineOf(v.Pos))
	}
}
