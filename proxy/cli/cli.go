// Package cli is the command line: the only place that knows both the routes
// file's home and the proxy, and wires them.
//
// One file a command. Exit codes: 0 ok, 1 invalid or different, 2 usage, 3 could
// not ask (a file that cannot be read, a proxy that does not answer).
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// Env is the world around a command.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	IsTerminal     bool // Stderr is a terminal: print for eyes, not for logs
}

const (
	exitInvalid = 1
	exitUsage   = 2
	exitNoRead  = 3
)

// exitError ends the program with a code. A nil err has been told already.
type exitError struct {
	code int
	err  error
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

// execute runs one command in its world and returns the exit code.
func execute(ctx context.Context, env *Env, args []string) int {
	root := newRoot(env)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return report(env, cmd, err)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// report prints what went wrong and chooses the exit code: an error that does
// not say its code is one of usage, which is what cobra returns errors for.
func report(env *Env, cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		fmt.Fprintf(env.Stderr, "tunnelform: %v\nsee %s --help\n", err, cmd.CommandPath())
		return exitUsage
	}
	if exit.err != nil {
		fmt.Fprintf(env.Stderr, "tunnelform: %v\n", exit.err)
	}
	return exit.code
}

const rootHelp = `Tunnelform is a WebSocket-first reverse proxy. Its routes stand in one YAML file
(or several), which it watches: every edit is taken live, without touching a
tunnel whose own route and backend did not change.

  tunnelform serve routes.yaml        proxy, and follow the file
  tunnelform check routes.yaml        find every mistake in it
  tunnelform fmt -w routes.yaml       lay it out
  tunnelform explain routes.yaml URL  say which route a request takes, and why`

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "tunnelform",
		Short:         "A WebSocket-first reverse proxy whose routes are infrastructure code",
		Long:          rootHelp,
		SilenceErrors: true, // report prints them
		SilenceUsage:  true,
		// No Args: cobra then refuses a command that it does not know, with the nearest one.
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.AddCommand(newServeCommand(env), newCheckCommand(env), newFmtCommand(env), newExplainCommand(env),
		newStatusCommand(env), newSchemaCommand(env), newVersionCommand(env))
	root.SetHelpCommand(newHelpCommand(root))
	root.Version = versionText()
	root.SetVersionTemplate(versionLine())
	return root
}

// newHelpCommand is cobra's own, but that a topic which does not exist is an
// error like a command that does not.
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
				return usageErrorf("%w\nsee %s --help", err, root.CommandPath())
			}
			cmd.InitDefaultHelpFlag() // which its help lists
			return cmd.Help()
		},
	}
}

// printMistakes prints for eyes on a terminal (each with its line and a caret),
// one a line otherwise.
func printMistakes(env *Env, mistakes routefile.Errors, sources map[string][]byte) {
	if env.IsTerminal {
		_ = mistakes.Print(env.Stderr, sources)
		return
	}
	fmt.Fprintln(env.Stderr, mistakes.Error())
}
