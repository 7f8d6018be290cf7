package cli

// tunnelform fmt: the canonical layout of routes files.

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

const fmtHelp = `Formats routes files: two spaces a level, keys in the order of the reference.
Comments and single blank lines are kept, and the meaning does not change.

The result is printed on standard output. -d prints a diff instead, and exits with
1 if there is one. -l prints the names of files whose layout differs, and exits with
1 if there are any. -w replaces the file atomically and keeps its mode and owner; with
-l it also prints the names of the files that it replaced.
A single "-" is standard input.`

type fmtFlags struct {
	diff  bool
	list  bool
	write bool
}

func newFmtCommand(env *Env) *cobra.Command {
	var flags fmtFlags
	cmd := &cobra.Command{
		Use:   "fmt FILE|DIR...",
		Short: "Format the routes files",
		Long:  fmtHelp,
		Args:  someFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runFmt(cmd.Context(), env, flags, args)
		},
	}
	cmd.Flags().BoolVarP(&flags.diff, "diff", "d", false, "print a unified diff, and exit with 1 if there is one")
	cmd.Flags().BoolVarP(&flags.list, "list", "l", false, "print the names of files that differ, and exit with 1 if there are any")
	cmd.Flags().BoolVarP(&flags.write, "write", "w", false, "write the result to the file")
	return cmd
}

func runFmt(ctx context.Context, env *Env, flags fmtFlags, paths []string) error {
	if err := onlyStdin(paths); err != nil {
		return err
	}
	if flags.diff && flags.write {
		return usageErrorf("-d and -w: want only one of them")
	}
	if flags.diff && flags.list {
		return usageErrorf("-d and -l: want only one of them")
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
		if different && (flags.diff || flags.list && !flags.write) {
			code = exitInvalid
		}
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

// formatOne formats one file, or prints why it cannot.
func formatOne(env *Env, d store.Document) ([]byte, bool) {
	formatted, err := routefile.Format(d.Data)
	if err == nil {
		return formatted, true
	}
	var layout *routefile.LayoutError
	if errors.As(err, &layout) {
		layout.Pos.File = d.Path
		mistake := &routefile.Error{Pos: layout.Pos, Record: layout.Record, Text: layout.Text}
		printMistakes(env, routefile.Errors{mistake}, sourcesOf([]store.Document{d}))
		return nil, false
	}
	// Format does not say where a file is not YAML, but Parse does.
	if _, mistakes := routefile.Parse(d.Path, d.Data); len(mistakes) > 0 {
		printMistakes(env, mistakes, sourcesOf([]store.Document{d}))
		return nil, false
	}
	fmt.Fprintf(env.Stderr, "tunnelform: %s: %v\n", printable.Line(d.Path), err)
	return nil, false
}

// deliver prints or writes one result, and reports whether it differs from the file.
func (flags fmtFlags) deliver(ctx context.Context, env *Env, d store.Document, formatted []byte) (different bool, err error) {
	different = !bytes.Equal(d.Data, formatted)
	switch {
	case flags.diff:
		name := printable.Line(d.Path)
		_, err = env.rawStdout.Write(diff.Diff(name, d.Data, name+" (formatted)", formatted))
	case !flags.write && !flags.list:
		_, err = env.rawStdout.Write(formatted)
	case different && flags.write:
		err = replaceFile(ctx, d, formatted)
	}
	if different && flags.list && err == nil {
		_, err = fmt.Fprintln(env.Stdout, printable.Line(d.Path))
	}
	return different, err
}

// replaceFile writes through the store, which does not overwrite what Terraform or
// another fmt has written meanwhile.
func replaceFile(ctx context.Context, d store.Document, data []byte) error {
	file, err := filestore.Open(d.Path, filestore.Options{MaxSize: routefile.MaxBytes})
	if err != nil {
		return err
	}
	_, err = file.Write(ctx, data, d.Revision)
	return err
}
