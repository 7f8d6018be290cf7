package provider

// A configured provider: its file, its proxies, and how to write.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

// configuration is the provider block. Its values may be unknown at plan.
type configuration struct {
	File                types.String
	Admin               types.List
	Wait                *waitModel
	ClashWait           types.String
	OnUnsupportedLayout types.String
	WriteInPlace        types.Bool
	ContextFiles        types.List
}

// configurationModel is the provider block as Terraform gives it: wait may be unknown as
// a whole.
type configurationModel struct {
	File                types.String `tfsdk:"file"`
	Admin               types.List   `tfsdk:"admin"`
	Wait                types.Object `tfsdk:"wait"`
	ClashWait           types.String `tfsdk:"clash_wait"`
	OnUnsupportedLayout types.String `tfsdk:"on_unsupported_layout"`
	WriteInPlace        types.Bool   `tfsdk:"write_in_place"`
	ContextFiles        types.List   `tfsdk:"context_files"`
}

// readConfiguration returns the provider block, its null settings from the environment.
func readConfiguration(ctx context.Context, from tfsdk.Config) (config configuration, diags diag.Diagnostics) {
	var m configurationModel
	diags.Append(from.Get(ctx, &m)...)
	if diags.HasError() {
		return config, diags
	}
	config = configuration{File: m.File, Admin: m.Admin, ClashWait: m.ClashWait, OnUnsupportedLayout: m.OnUnsupportedLayout,
		WriteInPlace: m.WriteInPlace, ContextFiles: m.ContextFiles}
	if m.Wait.IsUnknown() {
		config.Wait = &waitModel{Timeout: types.StringUnknown(), Require: types.StringUnknown()}
	} else if !m.Wait.IsNull() {
		diags.Append(m.Wait.As(ctx, &config.Wait, basetypes.ObjectAsOptions{})...)
	}
	return config.withEnvironment(), diags
}

type waitModel struct {
	Timeout types.String `tfsdk:"timeout"`
	Require types.String `tfsdk:"require"`
}

// withEnvironment fills null settings from the environment.
func (config configuration) withEnvironment() configuration {
	if config.Wait == nil {
		config.Wait = &waitModel{}
	}
	for name, to := range map[string]*types.String{
		"TUNNELFORM_FILE":                  &config.File,
		"TUNNELFORM_WAIT_TIMEOUT":          &config.Wait.Timeout,
		"TUNNELFORM_WAIT_REQUIRE":          &config.Wait.Require,
		"TUNNELFORM_CLASH_WAIT":            &config.ClashWait,
		"TUNNELFORM_ON_UNSUPPORTED_LAYOUT": &config.OnUnsupportedLayout,
	} {
		if value := os.Getenv(name); to.IsNull() && value != "" {
			*to = types.StringValue(value)
		}
	}
	for name, to := range map[string]*types.List{
		"TUNNELFORM_ADMIN":         &config.Admin,
		"TUNNELFORM_CONTEXT_FILES": &config.ContextFiles,
	} {
		if value := os.Getenv(name); to.IsNull() && value != "" {
			*to = stringList(value)
		}
	}
	if on, err := strconv.ParseBool(os.Getenv("TUNNELFORM_WRITE_IN_PLACE")); config.WriteInPlace.IsNull() && err == nil {
		config.WriteInPlace = types.BoolValue(on)
	}
	return config
}

func stringList(text string) types.List {
	var words []attr.Value
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, types.StringValue(word))
		}
	}
	return types.ListValueMust(types.StringType, words)
}

// session is one configured provider; it lives for one run of Terraform. Safe for
// concurrent use.
type session struct {
	file    string      // as configured; "" if unset or unknown
	store   store.Store // nil if file is ""
	unknown bool        // file or context_files is known at apply only
	editor  routefile.Editor
	proxies proxySet // empty if admin is unset

	proxiesUnknown bool // admin or wait is known at apply only
	clashWait      time.Duration
	contextFiles   []string

	reader          *reader
	writer          *writer
	plan            *planState
	recordQueries   coalescer[servedRecords]
	probe           sync.Once
	directory       sync.Once
	warnUnreachable sync.Once // a proxy that does not answer is reported once a run
}

// newSettings is a session that has its settings, and opens nothing.
func newSettings(config configuration, diags *diag.Diagnostics) *session {
	s := &session{
		file:           config.File.ValueString(),
		unknown:        config.File.IsUnknown() || listIsUnknown(config.ContextFiles),
		proxiesUnknown: listIsUnknown(config.Admin) || config.Wait.Timeout.IsUnknown() || config.Wait.Require.IsUnknown(),
		contextFiles:   knownStrings(config.ContextFiles),
		clashWait:      duration(config.ClashWait, 10*time.Second, path.Root("clash_wait"), diags),
	}
	s.editor = routefile.Editor{Path: s.file, Reformat: reformatSetting(config.OnUnsupportedLayout, diags)}
	s.proxies = newProxySet(config, diags)
	return s
}

// validate reports mistakes of the settings that are known.
func (config configuration) validate(diags *diag.Diagnostics) {
	newSettings(config, diags)
}

func newSession(config configuration, diags *diag.Diagnostics) *session {
	s := newSettings(config, diags)
	if s.file != "" {
		s.open(config.WriteInPlace.ValueBool(), diags)
	}
	s.plan = newPlanState(s)
	s.reader = &reader{session: s}
	s.writer = &writer{session: s}
	return s
}

func (s *session) open(inPlace bool, diags *diag.Diagnostics) {
	opened, err := filestore.Open(s.file, filestore.Options{MaxSize: routefile.MaxBytes, InPlace: inPlace})
	if err != nil {
		diags.Append(invalidSetting(path.Root("file"), err.Error()))
		return
	}
	s.store = opened
}

// usable reports whether there is a file to work with. A file that is unset is an
// error; a file that is unknown is not.
func (s *session) usable(diags *diag.Diagnostics) bool {
	switch {
	case s == nil: // terraform validate does not configure the provider
		return false
	case s.unknown:
		return false
	case s.store == nil:
		diags.Append(missingFile())
		return false
	}
	return true
}

// checkDirectory reports, once a run, that a planned write has no directory to go to.
func (s *session) checkDirectory(diags *diag.Diagnostics) {
	s.directory.Do(func() {
		dir := filepath.Dir(s.file)
		if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			diags.Append(missingDirectory(dir))
		}
	})
}

// ready is usable for an apply, where an unknown file is an error too.
func (s *session) ready(diags *diag.Diagnostics) bool {
	if s.usable(diags) {
		return true
	}
	if !diags.HasError() {
		diags.Append(missingFile())
	}
	return false
}

// plannedServing is the serving attribute after an apply, which waits for the
// proxies: null if there are none.
func (s *session) plannedServing() types.Bool {
	switch {
	case s == nil || s.proxiesUnknown || s.unknown:
		return types.BoolUnknown()
	case len(s.proxies.proxies) == 0:
		return types.BoolNull()
	}
	return types.BoolValue(true)
}

// sessionOf returns the session in a Configure request's ProviderData; nil before
// the provider is configured.
func sessionOf(data any) *session {
	s, _ := data.(*session)
	return s
}

// configured is embedded by resources. The plugin server calls their methods
// concurrently, Configure before all others.
type configured struct{ session *session }

func (configured *configured) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	configured.session = sessionOf(req.ProviderData)
}

// configuredData is embedded by data sources.
type configuredData struct{ session *session }

func (configured *configuredData) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	configured.session = sessionOf(req.ProviderData)
}

func listIsUnknown(l types.List) bool {
	return l.IsUnknown() || slices.ContainsFunc(l.Elements(), func(v attr.Value) bool { return v.IsUnknown() })
}

func knownStrings(l types.List) []string {
	var all []string
	for _, v := range l.Elements() {
		if text, ok := v.(types.String); ok && text.ValueString() != "" {
			all = append(all, text.ValueString())
		}
	}
	return all
}

func duration(v types.String, defaultValue time.Duration, at path.Path, diags *diag.Diagnostics) time.Duration {
	if v.IsNull() || v.IsUnknown() {
		return defaultValue
	}
	d, err := time.ParseDuration(v.ValueString())
	if err != nil || d < 0 {
		diags.Append(invalidSetting(at, fmt.Sprintf("%q is not a duration: use 30s or 2m, for example", v.ValueString())))
	}
	return d
}

func reformatSetting(v types.String, diags *diag.Diagnostics) bool {
	switch v.ValueString() {
	case "", "error":
		return false
	case "reformat":
		return true
	}
	diags.Append(invalidSetting(path.Root("on_unsupported_layout"), fmt.Sprintf("%q: want error or reformat", v.ValueString())))
	return false
}

// absolutePath is the file's path as a proxy with another working directory knows it.
func (s *session) absolutePath() string {
	if abs, err := filepath.Abs(s.file); err == nil {
		return abs
	}
	return s.file
}
