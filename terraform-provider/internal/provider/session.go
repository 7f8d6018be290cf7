package provider

// What a configured provider is: which file, whom to ask, how to write.

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

// configuration is the provider block as written. Values may be unknown at plan.
type configuration struct {
	File                types.String `tfsdk:"file"`
	Admin               types.List   `tfsdk:"admin"`
	Wait                *waitModel   `tfsdk:"wait"`
	ClashWait           types.String `tfsdk:"clash_wait"`
	OnUnsupportedLayout types.String `tfsdk:"on_unsupported_layout"`
	WriteInPlace        types.Bool   `tfsdk:"write_in_place"`
	ContextFiles        types.List   `tfsdk:"context_files"`
}

type waitModel struct {
	Timeout types.String `tfsdk:"timeout"`
	Require types.String `tfsdk:"require"`
}

// withEnvironment takes what the block does not say from the environment.
func (c configuration) withEnvironment() configuration {
	if c.Wait == nil {
		c.Wait = &waitModel{}
	}
	for name, to := range map[string]*types.String{
		"TUNNELFORM_FILE":                  &c.File,
		"TUNNELFORM_WAIT_TIMEOUT":          &c.Wait.Timeout,
		"TUNNELFORM_WAIT_REQUIRE":          &c.Wait.Require,
		"TUNNELFORM_CLASH_WAIT":            &c.ClashWait,
		"TUNNELFORM_ON_UNSUPPORTED_LAYOUT": &c.OnUnsupportedLayout,
	} {
		if value := os.Getenv(name); to.IsNull() && value != "" {
			*to = types.StringValue(value)
		}
	}
	for name, to := range map[string]*types.List{
		"TUNNELFORM_ADMIN":         &c.Admin,
		"TUNNELFORM_CONTEXT_FILES": &c.ContextFiles,
	} {
		if value := os.Getenv(name); to.IsNull() && value != "" {
			*to = stringList(value)
		}
	}
	if on, err := strconv.ParseBool(os.Getenv("TUNNELFORM_WRITE_IN_PLACE")); c.WriteInPlace.IsNull() && err == nil {
		c.WriteInPlace = types.BoolValue(on)
	}
	return c
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

// session is one configured provider, for as long as one run of Terraform uses
// it. Safe for concurrent use.
type session struct {
	file    string      // as it was configured; "" when none was, or it is not known yet
	store   store.Store // nil when file is ""
	unknown bool        // the file, or the files beside it, are known at apply only
	editor  routefile.Editor
	proxies proxySet // without members when nobody is to be asked

	proxiesUnknown bool // whom to ask is known at apply only
	clashWait      time.Duration
	contextFiles   []string

	reader          *reader
	writer          *writer
	plan            *planState
	recordQueries   coalescer[servedRecords]
	warnUnreachable sync.Once // a proxy that does not answer is warned of
}

// newSession reads the configuration. What is wrong with it goes to diags.
func newSession(c configuration, diags *diag.Diagnostics) *session {
	s := &session{
		file:           c.File.ValueString(),
		unknown:        c.File.IsUnknown() || listIsUnknown(c.ContextFiles),
		proxiesUnknown: listIsUnknown(c.Admin) || c.Wait.Timeout.IsUnknown() || c.Wait.Require.IsUnknown(),
		contextFiles:   knownStrings(c.ContextFiles),
		clashWait:      duration(c.ClashWait, 10*time.Second, path.Root("clash_wait"), diags),
	}
	s.editor = routefile.Editor{Path: s.file, Reformat: reformatSetting(c.OnUnsupportedLayout, diags)}
	s.proxies = newProxySet(c, diags)
	if s.file != "" {
		s.open(c.WriteInPlace.ValueBool(), diags)
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

// usable says whether there is a file to work with. A file that is not
// configured at all is an error; one that is not known yet is none.
func (s *session) usable(diags *diag.Diagnostics) bool {
	switch {
	case s == nil: // not configured: terraform validate
		return false
	case s.unknown:
		return false
	case s.store == nil:
		diags.Append(missingFile())
		return false
	}
	return true
}

// sessionOf is what Configure of a resource or data source is given; nil before
// the provider itself is configured.
func sessionOf(data any) *session {
	s, _ := data.(*session)
	return s
}

func listIsUnknown(l types.List) bool {
	return l.IsUnknown() || slices.ContainsFunc(l.Elements(), func(v attr.Value) bool { return v.IsUnknown() })
}

// words are the known texts of a list.
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
		diags.Append(invalidSetting(at, fmt.Sprintf("%q is no duration: want such as 30s or 2m", v.ValueString())))
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

// absolute is the file's path from the root, as another process may know it.
func (s *session) absolutePath() string {
	if abs, err := filepath.Abs(s.file); err == nil {
		return abs
	}
	return s.file
}
