package cli

// tunnelform fmt: routes files in the canonical layout.

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

const fmtHelp = `Lays routes files out: two spaces a level, keys in the order of the reference,
comments and single blank lines kept. The result means the same.

It is printed on standard output; -d prints what would change instead, and exits
with 1 if anything would; -w writes it to the file, all of it or nothing, mode
and owner kept. A single "-" is standard input.`

type fmtFlags struct {
	diff  bool
	write bool
}

func newFmtCommand(env *Env) *cobra.Command {
	var flags fmtFlags
	cmd := &cobra.Command{
		Use:   "fmt FILE|DIR...",
		Short: "Lay the routes files out",
		Long:  fmtHelp,
		Args:  someFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runFmt(cmd.Context(), env, flags, args)
		},
	}
	cmd.Flags().BoolVarP(&flags.diff, "diff", "d", false, "print a unified diff, and exit with 1 if there is one")
	cmd.Flags().BoolVarP(&flags.write, "write", "w", false, "write the result to the file")
	return cmd
}

func runFmt(ctx context.Context, env *Env, flags fmtFlags, paths []string) error {
	if err := onlyStdin(paths); err != nil {
		return err
	}
	if flags.diff && flags.write {
		return usageErrorf("-d and -w: want one of them")
	}
	if flags.write && paths[0] == stdinPath {
		return usageErrorf("-w with standard input: want a file to write to")
	}
	documents, err := readDocuments(env, paths)
	if err != nil {
		return err
	}
	code := 0
	for _, d := range documents {
		formatted, ok := formatOne(env, d)
		if !ok {
			code = exitInvalid
			continue
		}
		different, err := flags.deliver(ctx, env, d, formatted)
		if err != nil {
			return &exitError{code: exitNoRead, err: err}
		}
		if different && flags.diff {
			code = exitInvalid
		}
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

// formatOne formats one file and says what is in the way if it cannot be.
func formatOne(env *Env, d store.Document) ([]byte, bool) {
	formatted, err := routefile.Format(d.Data)
	if err == nil {
		return formatted, true
	}
	var layout *routefile.LayoutError
	if errors.As(err, &layout) {
		layout.Pos.File = d.Path
		place := &routefile.Error{Pos: layout.Pos, Record: layout.Record, Text: layout.Text}
		printMistakes(env, routefile.Errors{place}, sourcesOf([]store.Document{d}))
		return nil, false
	}
	// What is no YAML, the parser tells with its place.
	if _, mistakes := routefile.Parse(d.Path, d.Data); len(mistakes) > 0 {
		printMistakes(env, mistakes, sourcesOf([]store.Document{d}))
		return nil, false
	}
	fmt.Fprintf(env.Stderr, "tunnelform: %s: %v\n", d.Path, err)
	return nil, false
}

// deliver prints or writes one result and says whether it differs from the file.
func (flags fmtFlags) deliver(ctx context.Context, env *Env, d store.Document, formatted []byte) (different bool, err error) {
	different = !bytes.Equal(d.Data, formatted)
	switch {
	case flags.diff:
		_, err = env.Stdout.Write(diff.Diff(d.Path, d.Data, d.Path+" (formatted)", formatted))
	case !flags.write:
		_, err = env.Stdout.Write(formatted)
	case different:
		err = replaceFile(ctx, d, formatted)
	}
	return different, err
}

// replaceFile writes through the store, so that a file which Terraform or another
// fmt has changed meanwhile is not overwritten.
func replaceFile(ctx context.Context, d store.Document, data []byte) error {
	file, err := filestore.Open(d.Path, filestore.Options{MaxSize: routefile.MaxBytes})
	if err != nil {
		return err
	}
	_, err = file.Write(ctx, data, d.Revision)
	return err
}
