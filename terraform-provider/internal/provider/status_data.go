package provider

// data tunnelform_status: what the running proxies serve.

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

type statusData struct{ session *session }

func newStatusData() datasource.DataSource { return &statusData{} }

func (d *statusData) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "tunnelform_status"
}

// statusModel is the data source's attributes.
type statusModel struct {
	Admin    types.List    `tfsdk:"admin"`
	Revision *string       `tfsdk:"revision"`
	Sound    bool          `tfsdk:"sound"`
	Proxies  []proxyStatus `tfsdk:"proxies"`
}

type proxyStatus struct {
	Address    string            `tfsdk:"address"`
	Version    string            `tfsdk:"version"`
	StartedAt  string            `tfsdk:"started_at"`
	Ready      bool              `tfsdk:"ready"`
	Generation int64             `tfsdk:"generation"`
	Revision   string            `tfsdk:"revision"`
	LoadedAt   string            `tfsdk:"loaded_at"`
	Routes     int64             `tfsdk:"routes"`
	Files      map[string]string `tfsdk:"files"`
	Listeners  map[string]string `tfsdk:"listeners"`
	Tunnels    tunnelCounts      `tfsdk:"tunnels"`
	Refused    *refusedStatus    `tfsdk:"refused"`
}

type tunnelCounts struct {
	Open     int64 `tfsdk:"open"`
	Draining int64 `tfsdk:"draining"`
}

type refusedStatus struct {
	Revision string   `tfsdk:"revision"`
	At       string   `tfsdk:"at"`
	Mistakes []string `tfsdk:"mistakes"`
}

func (d *statusData) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Asks running proxies on their admin API what they serve. A proxy that does not answer is an error.",
		Attributes: map[string]schema.Attribute{
			"admin": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Whom to ask: `host:port` or `unix:/path`. Default: the provider's `admin`."},
			"revision": schema.StringAttribute{Computed: true,
				MarkdownDescription: "The revision that all of them serve; null when they differ."},
			"sound": schema.BoolAttribute{Computed: true,
				MarkdownDescription: "All of them are ready, and none has refused what stands in its files."},
			"proxies": schema.ListNestedAttribute{Computed: true, MarkdownDescription: "Each proxy's answer, in the order of `admin`.",
				NestedObject: schema.NestedAttributeObject{Attributes: proxyAttributes()}},
		},
	}
}

func proxyAttributes() map[string]schema.Attribute {
	texts := func(words string) schema.Attribute {
		return schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: words}
	}
	return map[string]schema.Attribute{
		"address":    schema.StringAttribute{Computed: true, MarkdownDescription: "Whom was asked."},
		"version":    schema.StringAttribute{Computed: true, MarkdownDescription: "The proxy's version."},
		"started_at": schema.StringAttribute{Computed: true, MarkdownDescription: "When it was started (RFC 3339)."},
		"ready":      schema.BoolAttribute{Computed: true, MarkdownDescription: "False once a shutdown has begun."},
		"generation": schema.Int64Attribute{Computed: true, MarkdownDescription: "Of the routes that are served; 1 is the first."},
		"revision":   schema.StringAttribute{Computed: true, MarkdownDescription: "Of what is served: one file's SHA-256, or of several a hash over all."},
		"loaded_at":  schema.StringAttribute{Computed: true, MarkdownDescription: "When that began to be served (RFC 3339)."},
		"routes":     schema.Int64Attribute{Computed: true, MarkdownDescription: "How many routes are served."},
		"files":      texts("Each routes file's path with the revision of it that is served."),
		"listeners":  texts("Each listener's name with the address that is bound."),
		"tunnels": schema.SingleNestedAttribute{Computed: true, MarkdownDescription: "The tunnels.", Attributes: map[string]schema.Attribute{
			"open":     schema.Int64Attribute{Computed: true, MarkdownDescription: "Open ones."},
			"draining": schema.Int64Attribute{Computed: true, MarkdownDescription: "Those among them that are on their way out."},
		}},
		"refused": schema.SingleNestedAttribute{Computed: true, MarkdownDescription: "What stands in the files now, if it was refused; null otherwise.", Attributes: map[string]schema.Attribute{
			"revision": schema.StringAttribute{Computed: true, MarkdownDescription: "Its revision; empty when the files could not be read."},
			"at":       schema.StringAttribute{Computed: true, MarkdownDescription: "When it was refused (RFC 3339)."},
			"mistakes": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Why: `file:line:column: text`."},
		}},
	}
}

func (d *statusData) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	d.session = sessionOf(req.ProviderData)
}

func (d *statusData) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m statusModel
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("admin"), &m.Admin)...)
	proxies, diags := d.session.statusProxies(m.Admin)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	m.Sound = true
	for i, p := range proxies {
		status, err := p.status(ctx, "", 0)
		if err != nil {
			resp.Diagnostics.Append(statusFailed(err))
			continue
		}
		m.add(p.address, status, i == 0)
	}
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

// asked are the proxies of a list of addresses, or the provider's.
func (s *session) statusProxies(admin types.List) (proxies []*proxy, diags diag.Diagnostics) {
	if admin.IsNull() {
		if s == nil || len(s.proxies.proxies) == 0 {
			diags.Append(noProxies())
			return nil, diags
		}
		return s.proxies.proxies, diags
	}
	for i, address := range knownStrings(admin) {
		p, err := newProxy(address)
		if err != nil {
			diags.Append(errorAt(path.Root("admin").AtListIndex(i), "Invalid address", err.Error()))
			continue
		}
		proxies = append(proxies, p)
	}
	if len(proxies) == 0 && !diags.HasError() {
		diags.Append(noProxies())
	}
	return proxies, diags
}

// add takes one more proxy's status in.
func (m *statusModel) add(address string, s statusapi.Status, first bool) {
	one := proxyStatus{
		Address: address, Version: s.Version, StartedAt: s.StartedAt.Format(time.RFC3339), Ready: s.Ready,
		Generation: int64(s.Generation), Revision: s.Revision, LoadedAt: s.LoadedAt.Format(time.RFC3339), Routes: int64(s.Routes),
		Files: map[string]string{}, Listeners: s.Listeners, Tunnels: tunnelCounts{int64(s.Tunnels.Open), int64(s.Tunnels.Draining)},
	}
	for _, f := range s.Files {
		one.Files[f.Path] = f.Revision
	}
	if s.Refused != nil {
		one.Refused = &refusedStatus{Revision: s.Refused.Revision, At: s.Refused.At.Format(time.RFC3339), Mistakes: []string{}}
		for _, mistake := range s.Refused.Mistakes {
			one.Refused.Mistakes = append(one.Refused.Mistakes, mistake.String())
		}
	}
	m.Sound = m.Sound && s.Ready && s.Refused == nil
	switch {
	case first:
		m.Revision = &s.Revision
	case m.Revision != nil && *m.Revision != s.Revision:
		m.Revision = nil
	}
	m.Proxies = append(m.Proxies, one)
}
