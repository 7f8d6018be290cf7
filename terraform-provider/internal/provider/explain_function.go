package provider

// explain(yaml, url, options...): which route a request matches, and why.

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

type explainFunction struct{}

func newExplainFunction() function.Function { return explainFunction{} }

func (explainFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "explain"
}

type explanationObject struct {
	Route    *string         `tfsdk:"route"` // null if none matches
	Pattern  string          `tfsdk:"pattern"`
	Refused  string          `tfsdk:"refused"`
	Outcome  string          `tfsdk:"outcome"`
	Unless   []unlessObject  `tfsdk:"unless"`
	Verdicts []verdictObject `tfsdk:"verdicts"`
}

type unlessObject struct {
	Unless  string `tfsdk:"unless"`
	Route   string `tfsdk:"route"`
	Pattern string `tfsdk:"pattern"`
	Outcome string `tfsdk:"outcome"`
}

type verdictObject struct {
	Route   string `tfsdk:"route"`
	Matches bool   `tfsdk:"matches"`
	Close   bool   `tfsdk:"close"`
	Reason  string `tfsdk:"reason"`
}

var explanationTypes = map[string]attr.Type{
	"route": types.StringType, "pattern": types.StringType, "refused": types.StringType, "outcome": types.StringType,
	"unless": types.ListType{ElemType: types.ObjectType{AttrTypes: map[string]attr.Type{
		"unless": types.StringType, "route": types.StringType, "pattern": types.StringType, "outcome": types.StringType,
	}}},
	"verdicts": types.ListType{ElemType: types.ObjectType{AttrTypes: map[string]attr.Type{
		"route": types.StringType, "matches": types.BoolType, "close": types.BoolType, "reason": types.StringType,
	}}},
}

func (explainFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Which route a request matches, and why",
		MarkdownDescription: "Returns what `tunnelform explain` prints, for `check` blocks and `terraform test`. It opens no connections.\n\n" +
			"The result has `route` (null if none matches), `pattern` (the condition that matched the path), `outcome` (where the request goes), " +
			"`refused` (the answer if the request is refused before matching, else empty), `unless`: the routes that take the request if it comes " +
			"from a client, or by a listener, of which the options say nothing, each with `unless` (such as `it comes from 10.0.0.0/8`), `route`, `pattern` and `outcome`, " +
			"and `verdicts`: for every other route, in order of precedence, " +
			"`route`, `matches` (whether all its conditions hold), `close` (whether it nearly matches) and `reason` (why it was not chosen).",
		Parameters: []function.Parameter{
			yamlParameter(),
			function.StringParameter{Name: "url",
				MarkdownDescription: "The request's URL. With `ws` and `wss` the request asks for a WebSocket upgrade."},
		},
		VariadicParameter: function.DynamicParameter{Name: "options",
			MarkdownDescription: "An object with more of the request: `method` (default GET), `headers` (a map of strings), `upgrade` (the protocol), `listener` (by default that of the URL's port) and `client` (an address). All are optional."},
		Return: function.ObjectReturn{AttributeTypes: explanationTypes},
	}
}

func (explainFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text, url string
	var options []types.Dynamic
	if resp.Error = req.Arguments.Get(ctx, &text, &url, &options); resp.Error != nil {
		return
	}
	f, failed := readYAML(ctx, 0, text)
	if failed == nil {
		errs, err := routefile.CheckContext(ctx, f)
		if err != nil {
			resp.Error = function.NewFuncError(err.Error())
			return
		}
		failed = problemsError(0, errs)
	}
	if failed != nil {
		resp.Error = failed
		return
	}
	question, failed := questionFrom(url, options)
	if failed != nil {
		resp.Error = failed
		return
	}
	explanation, err := routefile.Explain(routefile.NewSet(f), question)
	if err != nil {
		resp.Error = function.NewFuncError(err.Error())
		return
	}
	resp.Error = resp.Result.Set(ctx, explanationOf(explanation))
}

func explanationOf(e *routefile.Explanation) explanationObject {
	object := explanationObject{Pattern: e.Pattern, Refused: e.Refused, Outcome: e.Outcome, Unless: []unlessObject{}, Verdicts: []verdictObject{}}
	if e.Route != "" {
		object.Route = &e.Route
	}
	for _, x := range e.Exceptions {
		object.Unless = append(object.Unless, unlessObject{x.Unless, x.Route, x.Pattern, x.Outcome})
	}
	for _, v := range e.Verdicts {
		object.Verdicts = append(object.Verdicts, verdictObject{v.Route, v.Matches, v.Close, v.Reason})
	}
	return object
}

var optionNames = []string{"client", "headers", "listener", "method", "upgrade"}

func questionFrom(url string, options []types.Dynamic) (q routefile.Question, failed *function.FuncError) {
	given := routefile.Plain{}
	for i, option := range options {
		plain, err := plainFromAttr(option)
		one, ok := plain.(routefile.Plain)
		if err != nil || !ok && plain != nil {
			return q, function.NewArgumentFuncError(int64(2+i), "not an object: want {method = \"POST\"}, for example")
		}
		for name, value := range one {
			given[name] = value
		}
	}
	q, err := routefile.NewQuestion(url, textIn(given, "upgrade"))
	if err != nil {
		return q, function.NewArgumentFuncError(1, err.Error())
	}
	if err := completeQuestion(&q, given); err != nil {
		return q, function.NewArgumentFuncError(2, err.Error())
	}
	return q, nil
}

// completeQuestion applies the options.
func completeQuestion(q *routefile.Question, options routefile.Plain) (err error) {
	for name := range options {
		if !slices.Contains(optionNames, name) {
			return fmt.Errorf("unknown option %q: want %s", name, alternatives(optionNames))
		}
	}
	if method := textIn(options, "method"); method != "" {
		q.Method = strings.ToUpper(method)
	}
	q.Listener = textIn(options, "listener")
	if client := textIn(options, "client"); client != "" {
		if q.Client, err = netip.ParseAddr(client); err != nil {
			return fmt.Errorf("client %q: want an IP address", client)
		}
	}
	headers, ok := options["headers"].(routefile.Plain)
	if !ok && options["headers"] != nil {
		return fmt.Errorf("headers is not a map: want {X-Tenant = \"a\"}, for example")
	}
	for name := range headers {
		q.Header.Set(name, textIn(headers, name))
	}
	return nil
}

// textIn returns a member as text; "" if it is missing.
func textIn(p routefile.Plain, name string) string {
	if p[name] == nil {
		return ""
	}
	return fmt.Sprint(p[name])
}
