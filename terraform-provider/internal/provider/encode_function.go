package provider

// encode(object): a routes file from an object.

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

const encodeName = "encode"

// encodeFunction is called by the framework only where the server leaves a value to it.
type encodeFunction struct{}

func newEncodeFunction() function.Function { return encodeFunction{} }

func (encodeFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = encodeName
}

func (encodeFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "A routes file from an object",
		MarkdownDescription: "Encodes an object with the keys of the routes file as canonical YAML: keys in the order of the reference, names sorted, so that equal objects give equal texts. " +
			"`version` is optional, and nulls are left out. Both `headers = {X = \"v\"}` and `headers = {X = {value = \"v\"}}` are accepted.\n\n" +
			"Unknown keys and values of the wrong type are an error that lists all of them. For several thousand routes `yamlencode` is faster, " +
			"and `tunnelform_routes_file` finds the same mistakes in its text.",
		Parameters: []function.Parameter{function.DynamicParameter{Name: "document",
			MarkdownDescription: "The file: `{listeners = {...}, pools = {...}, routes = {...}}`."}},
		Return: function.StringReturn{},
	}
}

func (encodeFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var document attr.Value // the framework would convert it to any other type
	if resp.Error = req.Arguments.Get(ctx, &document); resp.Error != nil {
		return
	}
	value, err := plainFromAttr(document)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, err.Error())
		return
	}
	text, failed := encodeChecked(value)
	if failed != nil {
		resp.Error = failed
		return
	}
	resp.Error = resp.Result.Set(ctx, text)
}

func encodeChecked(value any) (string, *function.FuncError) {
	plain, ok := value.(routefile.Plain)
	if !ok {
		return "", function.NewArgumentFuncError(0, "not an object: want the keys of a routes file, such as {routes = {}}")
	}
	data, errs, err := routefile.EncodeChecked(plain)
	if err != nil {
		return "", function.NewArgumentFuncError(0, err.Error())
	}
	if len(errs) > 0 {
		return "", function.NewArgumentFuncError(0, atKeys(errs))
	}
	return string(data), nil
}

// atKeys prints mistakes with their keys: their positions are in a text that the
// user has not seen.
func atKeys(errs routefile.Errors) string {
	var lines []string
	for _, e := range errs {
		if e.Key == "" {
			lines = append(lines, e.Text)
			continue
		}
		lines = append(lines, e.Key+": "+e.Text)
	}
	return strings.Join(lines, "\n")
}
