package provider

// Shared by the functions, which are pure and work offline. Positions in a text
// name its parameter.

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/function"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// yamlParameter is the first argument of every function that reads a file.
func yamlParameter() function.StringParameter {
	return function.StringParameter{Name: "yaml", MarkdownDescription: "A routes file's text, such as `file(\"routes.yaml\")`."}
}

// readYAML parses an argument. Its mistakes are one error at that argument.
func readYAML(ctx context.Context, argument int64, text string) (*routefile.File, *function.FuncError) {
	f, errs, err := routefile.ParseContext(ctx, "yaml", []byte(text))
	if err != nil {
		return nil, function.NewFuncError(err.Error())
	}
	return f, problemsError(argument, errs)
}

// problemsError is nil if there are no mistakes.
func problemsError(argument int64, errs routefile.Errors) *function.FuncError {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return function.NewArgumentFuncError(argument, errs[0].Error())
	}
	return function.NewArgumentFuncError(argument, fmt.Sprintf("%d mistakes:\n%s", len(errs), errs.Error()))
}

// alternatives joins names: "a, b or c".
func alternatives(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
