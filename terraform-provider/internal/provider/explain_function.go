package provider

// explain(yaml, url, options...): which route a request takes, and why.

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

// explanationObject is a routefile.Explanation as an object.
type explanationObject struct {
	Route    *string         `tfsdk:"route"` // null when none matches
	Pattern  string          `tfsdk:"pattern"`
	Refused  string          `tfsdk:"refused"`
	Outcome  string          `tfsdk:"outcome"`
	Verdicts []verdictObject `tfsdk:"verdicts"`
}

type verdictObject struct {
	Route   string `tfsdk:"route"`
	Matches bool   `tfsdk:"matches"`
	Close   bool   `tfsdk:"close"`
	Reason  string `tfsdk:"reason"`
}

var explanationTypes = map[string]attr.Type{
	"route": types.StringType, "pattern": types.StringType, "refused": types.StringType, "outcome": types.StringType,
	"verdicts": types.ListType{ElemType: types.ObjectType{AttrTypes: map[string]attr.Type{
		"route": types.StringType, "matches": types.BoolType, "close": types.BoolType, "reason": types.StringType,
	}}},
}

func (explainFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Which route a request takes, and why",
		MarkdownDescription: "Says what `tunnelform explain` says, for `check` blocks and `terraform test`: nothing is dialled.\n\n" +
			"The result has `route` (null when none matches), `pattern` (what of its match took the path), `outcome` (where the request goes), " +
			"`refused` (the answer of a request that is refused before it is matched, else empty) and `verdicts`: of every other route, in order of precedence, " +
			"`route`, `matches` (all its conditions hold), `close` (it came close) and `reason` (why it did not win).",
		Parameters: []function.Parameter{
			yamlParameter(),
			function.StringParameter{Name: "url",
				MarkdownDescription: "The request's URL. `ws` and `wss` ask for a WebSocket, `http` and `https` for nothing."},
		},
		VariadicParameter: function.DynamicParameter{Name: "options",
			MarkdownDescription: "An object with what else the request says: `method` (GET), `headers` (a map of texts), `upgrade` (the protocol asked for), `listener` and `client` (its address). All may be left out."},
		Return: function.ObjectReturn{AttributeTypes: explanationTypes},
	}
}

func (explainFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text, url string
	var options []types.Dynamic
	if resp.Error = req.Arguments.Get(ctx, &text, &url, &options); resp.Error != nil {
		return
	}
	f, failed := readYAML(0, text)
	if failed == nil {
		failed = problemsError(0, routefile.Check(f))
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
	object := explanationObject{Pattern: e.Pattern, Refused: e.Refused, Outcome: e.Outcome, Verdicts: []verdictObject{}}
	if e.Route != "" {
		object.Route = &e.Route
	}
	for _, v := range e.Verdicts {
		object.Verdicts = append(object.Verdicts, verdictObject(v))
	}
	return object
}

// optionNames are the members that the options may have.
var optionNames = []string{"client", "headers", "listener", "method", "upgrade"}

func questionFrom(url string, options []types.Dynamic) (q routefile.Question, failed *function.FuncError) {
	said := routefile.Plain{}
	for i, option := range options {
		plain, err := plainFromAttr(option)
		one, ok := plain.(routefile.Plain)
		if err != nil || !ok && plain != nil {
			return q, function.NewArgumentFuncError(int64(2+i), "no object: want such as {method = \"POST\"}")
		}
		for name, value := range one {
			said[name] = value
		}
	}
	q, err := routefile.NewQuestion(url, textIn(said, "upgrade"))
	if err != nil {
		return q, function.NewArgumentFuncError(1, err.Error())
	}
	if err := completeQuestion(&q, said); err != nil {
		return q, function.NewArgumentFuncError(2, err.Error())
	}
	return q, nil
}

// completeQuestion puts what the options say into the question.
func completeQuestion(q *routefile.Question, said routefile.Plain) (err error) {
	for name := range said {
		if !slices.Contains(optionNames, name) {
			return fmt.Errorf("unknown option %q: want %s", name, alternatives(optionNames))
		}
	}
	if method := textIn(said, "method"); method != "" {
		q.Method = strings.ToUpper(method)
	}
	q.Listener = textIn(said, "listener")
	if client := textIn(said, "client"); client != "" {
		if q.Client, err = netip.ParseAddr(client); err != nil {
			return fmt.Errorf("client %q: want an IP address", client)
		}
	}
	headers, ok := said["headers"].(routefile.Plain)
	if !ok && said["headers"] != nil {
		return fmt.Errorf("headers is no map: want such as {X-Tenant = \"a\"}")
	}
	for name := range headers {
		q.Header.Set(name, textIn(headers, name))
	}
	return nil
}

// textIn is a member as text; "" when it is not said.
func textIn(p routefile.Plain, name string) string {
	if p[name] == nil {
		return ""
	}
	return fmt.Sprint(p[name])
}
