package provider

// revision(yaml): the revision that a proxy reports for a file.

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/function"

	"github.com/tunnelform/tunnelform/reload/store"
)

type revisionFunction struct{}

func newRevisionFunction() function.Function { return revisionFunction{} }

func (revisionFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "revision"
}

func (revisionFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "The revision of a routes file",
		MarkdownDescription: "Returns the revision that a proxy reports if it serves this file alone: the SHA-256 of its bytes in hex. " +
			"For `tunnelform_serving`, and to compare with `tunnelform_status`.",
		Parameters: []function.Parameter{yamlParameter()},
		Return:     function.StringReturn{},
	}
}

func (revisionFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text string
	if resp.Error = req.Arguments.Get(ctx, &text); resp.Error == nil {
		resp.Error = resp.Result.Set(ctx, store.RevisionOf([]byte(text)))
	}
}
