package cli

// tunnelform schema: the JSON Schema of the routes file, for editors.

import (
	"github.com/spf13/cobra"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

const schemaHelp = `Prints the JSON Schema (draft-07) of the routes file, for editors that complete
and explain keys:

  tunnelform schema > routes.schema.json

and, in the first line of the routes file:

  # yaml-language-server: $schema=routes.schema.json

The schema has the keys and their values. Mistakes between records are found only
by check.`

func newSchemaCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the routes file",
		Long:  schemaHelp,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := env.Stdout.Write(routefile.Schema()); err != nil {
				return &exitError{code: exitNoRead, err: err}
			}
			return nil
		},
	}
}
