package provider

// data tunnelform_status: the status of the running proxies.

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

type statusData struct{ configuredData }

func newStatusData() datasource.DataSource { return &statusData{} }

func (d *statusData) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "tunnelform_status"
}

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
		MarkdownDescription: "Asks running proxies for their status through the admin API. A proxy that does not answer is an error.",
		Attributes: map[string]schema.Attribute{
			"admin": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Admin addresses to ask: `host:port` or `unix:/path`. Default: the provider's `admin`."},
			"revision": schema.StringAttribute{Computed: true,
				MarkdownDescription: "The revision that all proxies serve; null if they differ."},
			"sound": schema.BoolAttribute{Computed: true,
				MarkdownDescription: "Whether all proxies are ready and none has refused its files."},
			"proxies": schema.ListNestedAttribute{Computed: true, MarkdownDescription: "Each proxy's status, in the order of `admin`.",
				NestedObject: schema.NestedAttributeObject{Attributes: proxyAttributes()}},
		},
	}
}

func proxyAttributes() map[string]schema.Attribute {
	texts := func(words string) schema.Attribute {
		return schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: words}
	}
	return map[string]schema.Attribute{
		"address":    schema.StringAttribute{Computed: true, MarkdownDescription: "The admin address."},
		"version":    schema.StringAttribute{Computed: true, MarkdownDescription: "The proxy's version."},
		"started_at": schema.StringAttribute{Computed: true, MarkdownDescription: "When it started (RFC 3339)."},
		"ready":      schema.BoolAttribute{Computed: true, MarkdownDescription: "False once a shutdown has begun."},
		"generation": schema.Int64Attribute{Computed: true, MarkdownDescription: "Generation of the routes served; 1 is the first."},
		"revision":   schema.StringAttribute{Computed: true, MarkdownDescription: "Revision served: a file's SHA-256, or a hash over several files."},
		"loaded_at":  schema.StringAttribute{Computed: true, MarkdownDescription: "When that revision was loaded (RFC 3339)."},
		"routes":     schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of routes served."},
		"files":      texts("Path of each routes file, with the revision of it that is served."),
		"listeners":  texts("Name of each listener, with the address it is bound to."),
		"tunnels": schema.SingleNestedAttribute{Computed: true, MarkdownDescription: "Tunnel counts.", Attributes: map[string]schema.Attribute{
			"open":     schema.Int64Attribute{Computed: true, MarkdownDescription: "Open tunnels."},
			"draining": schema.Int64Attribute{Computed: true, MarkdownDescription: "Open tunnels that are being drained."},
		}},
		"refused": schema.SingleNestedAttribute{Computed: true, MarkdownDescription: "The files' current content, if the proxy has refused it; null otherwise.", Attributes: map[string]schema.Attribute{
			"revision": schema.StringAttribute{Computed: true, MarkdownDescription: "Its revision; empty if the files could not be read."},
			"at":       schema.StringAttribute{Computed: true, MarkdownDescription: "When it was refused (RFC 3339)."},
			"mistakes": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "The mistakes: `file:line:column: text`."},
		}},
	}
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

// statusProxies are the proxies at admin, or the provider's if it is null.
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
