package cli

// tunnelform diff: what an edit would change, and how many open tunnels it would drain.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload/store"
)

const diffHelp = `Shows route by route what a routes file would change, and how many open tunnels
it would drain.

  tunnelform diff routes.new.yaml                    against what is served
  tunnelform diff routes.new.yaml --against routes.yaml

The proxy (serve --admin) judges the file as a reload would, with its other files,
and counts its tunnels by the code that would drain them. Where it serves several
files, --as says in place of which the file would come, if that is not itself.
Against a file, only what is written is compared, and no proxy is asked.

The exit status is 0 when nothing would change, 1 when something would or the file
has mistakes, 2 for a wrong command line, 3 when a file could not be read or the
proxy did not answer.`

type diffFlags struct {
	ask     askFlags
	output  outputFlag
	against string
	as      string
}

func newDiffCommand(env *Env) *cobra.Command {
	var flags diffFlags
	cmd := &cobra.Command{
		Use:   "diff FILE",
		Short: "Show what an edit would change, and how many tunnels it would drain",
		Long:  diffHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.against == againstRunning {
				return diffRunning(cmd.Context(), env, &flags, args[0])
			}
			return diffFiles(cmd.Context(), env, &flags, args[0])
		},
	}
	f := cmd.Flags()
	flags.ask.register(f)
	flags.output.register(f)
	f.StringVar(&flags.against, "against", againstRunning, "another file or directory, or running")
	f.StringVar(&flags.as, "as", "", "the served file in whose place this one would come")
	return cmd
}

const againstRunning = "running"

func diffRunning(ctx context.Context, env *Env, flags *diffFlags, path string) error {
	client, err := flags.ask.client()
	if err != nil {
		return err
	}
	document, err := readOne(env, path)
	if err != nil {
		return err
	}
	as, err := client.servedAs(ctx, flags.as, path)
	if err != nil {
		return err
	}
	query := url.Values{}
	if as != "" {
		query.Set("file", as)
	}
	var result statusapi.CheckResult
	body, err := client.ask(ctx, http.MethodPost, "/v1/check", query, document.Data, &result)
	if err != nil {
		return err
	}
	if flags.output.json {
		_, _ = env.Stdout.Write(body)
	}
	if result.Impact == nil && result.OK {
		return &exitError{code: exitNoRead, err: fmt.Errorf("the proxy at %s is older and does not say what an edit does", client.admin)}
	}
	if result.Impact == nil {
		for _, m := range result.Mistakes {
			fmt.Fprintln(env.Stderr, printable.Line(m.String()))
		}
		return &exitError{code: exitInvalid}
	}
	return reportImpact(env, flags.output, result.Impact, true)
}

// readOne reads one routes file.
func readOne(env *Env, path string) (store.Document, error) {
	documents, err := readDocuments(env, []string{path})
	switch {
	case err != nil:
		return store.Document{}, err
	case len(documents) != 1:
		return store.Document{}, usageErrorf("%s: %d files: want one", path, len(documents))
	}
	return documents[0], nil
}

// servedAs is the served file in whose place the one at path would come; "" if only one is
// served.
func (c *adminClient) servedAs(ctx context.Context, as, path string) (string, error) {
	if as != "" {
		return as, nil
	}
	var status statusapi.Status
	if _, err := c.ask(ctx, http.MethodGet, "/v1/status", nil, nil, &status); err != nil {
		return "", err
	}
	if len(status.Files) == 1 {
		return "", nil
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return "", &exitError{code: exitNoRead, err: err}
	}
	var served []string
	for _, f := range status.Files {
		if f.Path == path || samePath(f.Path, whole) {
			return f.Path, nil
		}
		served = append(served, f.Path)
	}
	return "", usageErrorf("%s is not among the served files: want --as %s", path, strings.Join(served, " or "))
}

func diffFiles(ctx context.Context, env *Env, flags *diffFlags, path string) error {
	var sets [2]*routefile.Set
	for i, path := range []string{flags.against, path} {
		files, err := loadFiles(ctx, env, []string{path})
		if err != nil {
			return err
		}
		sets[i] = routefile.NewSet(files...)
	}
	impact := impactOf(proxy.CompareSets(sets[0], sets[1]), nil)
	if flags.output.json {
		text, err := json.MarshalIndent(impact, "", "  ")
		if err != nil {
			return err
		}
		_, _ = env.Stdout.Write(append(text, '\n'))
	}
	return reportImpact(env, flags.output, impact, false)
}

// reportImpact prints a table and returns the exit status.
func reportImpact(env *Env, output outputFlag, impact *statusapi.Impact, hasTunnels bool) error {
	if !output.json {
		printImpact(env.Stdout, impact, hasTunnels)
	}
	if impact.Same() {
		return nil
	}
	return &exitError{code: exitInvalid}
}

func printImpact(w io.Writer, i *statusapi.Impact, hasTunnels bool) {
	if i.Same() {
		fmt.Fprintln(w, "nothing would change")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	routes := maps.Clone(i.Routes)
	line := func(what, text, name string) {
		fmt.Fprintf(table, "%s\t%s\t%s\n", what, printable.Line(text), tunnelsText(routes, name))
		delete(routes, name)
	}
	for _, name := range i.Added {
		line("+ route", name, name)
	}
	for _, name := range i.Removed {
		line("- route", name, name)
	}
	for _, name := range slices.Sorted(maps.Keys(i.Renamed)) {
		line("> route", name+" -> "+i.Renamed[name], i.Renamed[name])
	}
	for _, name := range i.Changed {
		line("~ route", name, name)
	}
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		if routes[name].Drained > 0 {
			line("  route", name, name)
		}
	}
	printNames(table, "pool", i.Pools)
	printNames(table, "listener", i.Listeners)
	for _, name := range i.Settings {
		fmt.Fprintf(table, "~ %s\t\t\n", name)
	}
	table.Flush()
	if hasTunnels {
		fmt.Fprintln(w, drainedText(i))
	}
}

func tunnelsText(routes map[string]statusapi.RouteImpact, name string) string {
	r, ok := routes[name]
	switch {
	case !ok:
		return ""
	case r.Drained == 0:
		return fmt.Sprintf("keeps %s", plural(r.Kept, "tunnel"))
	}
	text := fmt.Sprintf("drains %d of %s over %s: %s", r.Drained, plural(r.Kept+r.Drained, "tunnel"), r.Window, printable.Line(r.Cause))
	if r.Moved > 0 {
		text += fmt.Sprintf(" (%d move to another backend)", r.Moved)
	}
	return text
}

func printNames(w io.Writer, kind string, c statusapi.NameChanges) {
	for _, part := range []struct {
		sign  string
		names []string
	}{{"+", c.Added}, {"-", c.Removed}, {"~", c.Changed}} {
		for _, name := range part.names {
			fmt.Fprintf(w, "%s %s\t%s\t\n", part.sign, kind, printable.Line(name))
		}
	}
}

// drainedText is the price of an edit in one line.
func drainedText(i *statusapi.Impact) string {
	if i.Drained == 0 {
		return fmt.Sprintf("no tunnel would be drained, %d would be kept", i.Kept)
	}
	return fmt.Sprintf("%d of %s would be drained", i.Drained, plural(i.Kept+i.Drained, "open tunnel"))
}
