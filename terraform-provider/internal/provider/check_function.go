package provider

// check(yaml, others...): the mistakes in a routes file.

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

type checkFunction struct{}

func newCheckFunction() function.Function { return checkFunction{} }

func (checkFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "check"
}

type mistakeObject struct {
	File    string `tfsdk:"file"`
	Line    int64  `tfsdk:"line"`
	Column  int64  `tfsdk:"column"`
	Key     string `tfsdk:"key"`
	Text    string `tfsdk:"text"`
	Message string `tfsdk:"message"`
}

var mistakeType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"file": types.StringType, "line": types.Int64Type, "column": types.Int64Type,
	"key": types.StringType, "text": types.StringType, "message": types.StringType,
}}

func (checkFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "The mistakes in a routes file",
		MarkdownDescription: "Checks a routes file as `tunnelform check` does, and returns its mistakes sorted by position; the list is empty if the file is valid. " +
			"Only the text is checked, not the certificates and sockets on the proxy's machine.\n\n" +
			"Each mistake has `file` (the argument's name), `line` and `column` (from 1; 0 if unknown), `key` (`routes.chat.match.host`), `text`, " +
			"and `message`, which is all of them on one line.",
		Parameters: []function.Parameter{yamlParameter()},
		VariadicParameter: function.StringParameter{Name: "others",
			MarkdownDescription: "Texts of other routes files that the same proxy serves: all are checked as one set."},
		Return: function.ListReturn{ElementType: mistakeType},
	}
}

func (checkFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text string
	var others []string
	if resp.Error = req.Arguments.Get(ctx, &text, &others); resp.Error != nil {
		return
	}
	mistakes := []mistakeObject{}
	errs, err := checkTexts(ctx, text, others)
	if err != nil {
		resp.Error = function.NewFuncError(err.Error())
		return
	}
	for _, e := range errs {
		mistakes = append(mistakes, mistakeObject{
			File: e.Pos.File, Line: int64(e.Pos.Line), Column: int64(e.Pos.Col), Key: e.Key, Text: e.Text, Message: e.Error(),
		})
	}
	resp.Error = resp.Result.Set(ctx, mistakes)
}

// checkTexts checks the texts of one set, each under its argument's name. The error is
// ctx's cause.
func checkTexts(ctx context.Context, text string, others []string) (routefile.Errors, error) {
	first, _, err := routefile.ParseContext(ctx, "yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	files := []*routefile.File{first}
	for i, other := range others {
		f, _, err := routefile.ParseContext(ctx, fmt.Sprintf("others[%d]", i), []byte(other))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return routefile.CheckContext(ctx, files...)
}
