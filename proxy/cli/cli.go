// Package cli is the command line. It is the only package that knows both the proxy and
// the reload loop, and connects them.
//
// There is one file a command; serve also has serve_*.go, admin*.go, build*.go, records.go
// and log_writer.go. Exit codes: 0 ok, 1 invalid or different, 2 usage, 3 for a file that
// cannot be read or a proxy that does not answer.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// Env is the world around a command.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	IsTerminal     bool // Stderr is a terminal: print for people, not for logs

	// rawStdout and rawStderr are for the bytes of a file, and for a terminal's controls. What
	// a command writes to Stdout and Stderr is made printable: it has names from outside.
	rawStdout, rawStderr io.Writer
}

// guarded returns env for a command.
func (env *Env) guarded() *Env {
	guarded := *env
	guarded.rawStdout, guarded.Stdout = env.Stdout, printable.NewWriter(env.Stdout)
	guarded.rawStderr, guarded.Stderr = env.Stderr, printable.NewWriter(env.Stderr)
	return &guarded
}

const (
	exitInvalid = 1
	exitUsage   = 2
	exitNoRead  = 3
)

// exitError ends the program with a code. With a nil err nothing more is printed.
type exitError struct {
	code int
	err  error
	hint string // if not empty, a line behind it
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// Main runs one command and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	env := &Env{Stdin: stdin, Stdout: stdout, Stderr: stderr, IsTerminal: isTerminal(stderr)}
	return execute(context.Background(), env, args)
}

func execute(ctx context.Context, env *Env, args []string) int {
	env = env.guarded()
	root := newRoot(env)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return report(env, cmd, err)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// report prints the error and returns the exit code. An error without a code is one of
// cobra's, which are about usage.
func report(env *Env, cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{code: exitUsage, err: err, hint: "see " + cmd.CommandPath() + " --help"}
	}
	switch {
	case exit.err == nil:
	case exit.hint != "": // cobra quotes what it repeats, and suggests commands on lines of their own
		fmt.Fprintf(env.Stderr, "tunnelform: %v\n%s\n", exit.err, exit.hint)
	default:
		fmt.Fprintf(env.Stderr, "tunnelform: %s\n", printable.Line(exit.err.Error()))
	}
	return exit.code
}

const rootHelp = `Tunnelform is a WebSocket-first reverse proxy. Its routes are in one YAML file (or
several), which it watches. An edit takes effect at once, and leaves every tunnel
open whose own route and backend have not changed.

  tunnelform serve routes.yaml        proxy, and follow the file
  tunnelform check routes.yaml        find every mistake in it
  tunnelform diff routes.yaml         show what an edit would change and drain
  tunnelform fmt -w routes.yaml       format it
  tunnelform explain routes.yaml URL  show which route a request takes, and why`

// Command returns the tree of commands, for what is generated from it: the manual pages.
func Command() *cobra.Command {
	return newRoot(&Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "tunnelform",
		Short:         "A WebSocket-first reverse proxy whose routes are infrastructure code",
		Long:          rootHelp,
		SilenceErrors: true, // report prints them
		SilenceUsage:  true,
		// Without Args cobra refuses an unknown command, and suggests the nearest one.
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.AddCommand(newServeCommand(env), newCheckCommand(env), newFmtCommand(env), newExplainCommand(env),
		newStatusCommand(env), newTunnelsCommand(env), newCloseCommand(env), newDrainCommand(env), newDiffCommand(env), newPoolsCommand(env),
		newHistoryCommand(env), newSchemaCommand(env), newVersionCommand(env))
	root.SetHelpCommand(newHelpCommand(root))
	root.Version = versionText()
	root.SetVersionTemplate(versionLine())
	return root
}

// newHelpCommand replaces cobra's, which does not fail for an unknown topic.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("unknown command %q for %q", rest[0], cmd.CommandPath())
			}
			if err != nil {
				return &exitError{code: exitUsage, err: err, hint: "see " + root.CommandPath() + " --help"}
			}
			cmd.InitDefaultHelpFlag() // or the help does not list it
			return cmd.Help()
		},
	}
}

// printMistakes prints each mistake on a line, on a terminal with its line of the file and
// a caret.
func printMistakes(env *Env, mistakes routefile.Errors, sources map[string][]byte) {
	if env.IsTerminal {
		_ = mistakes.Print(env.Stderr, sources)
		return
	}
	fmt.Fprintln(env.Stderr, mistakes.Error())
}
