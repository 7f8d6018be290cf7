package cli

// tunnelform check: every mistake of the routes files, with its position.

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/proxy/internal/heap"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

const checkHelp = `Finds every mistake of the routes files and prints each as file:line:column.

The arguments are files, and directories whose *.yaml and *.yml files (not
hidden ones, not in subdirectories) are read. Together they are one set, checked
as serve checks it. A single "-" is standard input.

What the files name on this machine is checked too: certificates, the directories
of sockets, the names of ports. With --offline only the bytes are checked.

If there is no mistake, notes may be printed, of what is valid and may not be what
was meant. They change neither the exit status nor what --json prints.

The exit status is 0 without mistakes, 1 with mistakes, 2 for a wrong command
line, 3 when a file could not be read.`

type checkFlags struct {
	json    bool
	offline bool
}

func newCheckCommand(env *Env) *cobra.Command {
	var flags checkFlags
	cmd := &cobra.Command{
		Use:   "check FILE|DIR...",
		Short: "Find every mistake in the routes files",
		Long:  checkHelp,
		Args:  someFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCheck(cmd.Context(), env, flags, args)
		},
	}
	cmd.Flags().BoolVar(&flags.json, "json", false, "print a JSON array of {file, line, column, key, text} on standard output")
	cmd.Flags().BoolVar(&flags.offline, "offline", false, "check only the bytes, not what they name on this machine")
	return cmd
}

func runCheck(ctx context.Context, env *Env, flags checkFlags, paths []string) error {
	if err := onlyStdin(paths); err != nil {
		return err
	}
	documents, err := readDocuments(env, paths)
	if err != nil {
		return err
	}
	defer heap.Loading(sizeOf(documents))()
	files, mistakes, err := checkDocuments(ctx, documents, flags.offline)
	if err != nil {
		return err
	}
	if flags.json {
		err = printJSON(env, mistakes)
	} else if len(mistakes) > 0 {
		printMistakes(env, mistakes, sourcesOf(documents))
	} else {
		if notes := routefile.Notes(files...); len(notes) > 0 {
			printMistakes(env, notes, sourcesOf(documents))
		}
		if env.IsTerminal {
			fmt.Fprintln(env.Stderr, summary(files))
		}
	}
	if err == nil && len(mistakes) > 0 {
		err = &exitError{code: exitInvalid}
	}
	return err
}

// someFiles wants at least one argument: an empty list in a script must not pass as a
// valid set.
func someFiles(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageErrorf("no routes file: want at least one file or directory, or %q for standard input", stdinPath)
	}
	return nil
}

// onlyStdin refuses standard input beside other files.
func onlyStdin(paths []string) error {
	if len(paths) > 1 && slices.Contains(paths, stdinPath) {
		return usageErrorf("standard input (%q) beside other files: want it alone", stdinPath)
	}
	return nil
}

// checkDocuments parses a set and returns its mistakes, sorted by position. The error is
// ctx's cause.
func checkDocuments(ctx context.Context, documents []store.Document, offline bool) ([]*routefile.File, routefile.Errors, error) {
	var cache fileCache
	files, err := cache.parse(ctx, documents)
	if err != nil {
		return nil, nil, err
	}
	mistakes, err := routefile.CheckContext(ctx, files...)
	if err != nil {
		return nil, nil, err
	}
	if !offline {
		machine, err := routefile.CheckFilesContext(ctx, files...)
		if err != nil {
			return nil, nil, err
		}
		mistakes = routefile.Merge(mistakes, machine)
	}
	return files, mistakes, nil
}

func sourcesOf(documents []store.Document) map[string][]byte {
	sources := make(map[string][]byte, len(documents))
	for _, d := range documents {
		sources[d.Path] = d.Data
	}
	return sources
}

func printJSON(env *Env, mistakes routefile.Errors) error {
	encoder := json.NewEncoder(env.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(mistakesOf(mistakes))
}

// summary says what was checked.
func summary(files []*routefile.File) string {
	routes, pools := 0, 0
	for _, f := range files {
		routes += len(f.Routes)
		pools += len(f.Pools)
	}
	return fmt.Sprintf("no mistakes: %s, %s, %s", plural(len(files), "file"), plural(routes, "route"), plural(pools, "pool"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
