package provider

// decode(yaml): a routes file as an object.

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type decodeFunction struct{}

func newDecodeFunction() function.Function { return decodeFunction{} }

func (decodeFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "decode"
}

func (decodeFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "A routes file as an object",
		MarkdownDescription: "Reads a routes file as the proxy reads it, where `yamldecode` would change meanings (`1.10` becomes 1.1, `on` becomes true). " +
			"Durations, sizes and counts are strings, spelled as in the file; keys that the file does not set are absent. " +
			"Short forms are expanded: `keepalive: off` is `{ping = \"off\"}`, a header's value is `{value = ...}`, a single string is a list of one.\n\n" +
			"A file with mistakes is an error that lists all of them. Conflicts between records or files are found by `check`.",
		Parameters: []function.Parameter{yamlParameter()},
		Return:     function.DynamicReturn{},
	}
}

func (decodeFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text string
	if resp.Error = req.Arguments.Get(ctx, &text); resp.Error != nil {
		return
	}
	f, err := readYAML(ctx, 0, text)
	if err != nil {
		resp.Error = err
		return
	}
	value, bad := attrFromPlain(f.Document())
	if bad != nil {
		resp.Error = function.NewFuncError(bad.Error())
		return
	}
	resp.Error = resp.Result.Set(ctx, types.DynamicValue(value))
}
