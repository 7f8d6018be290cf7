package main

// deb and rpm.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

const (
	homepage    = "https://github.com/tunnelform/tunnelform"
	maintainer  = "The Tunnelform authors <maintainers@tunnelform.invalid>"
	summary     = "WebSocket-first reverse proxy"
	description = summary + `
Tunnels WebSocket connections to backends and forwards ordinary HTTP beside them.
Its routes are in one YAML file, which it watches: an edit takes effect at once,
and only the tunnels that it concerns are touched.`
)

// depends names what brings /bin/kill, with which the unit reloads.
var depends = map[string][]string{"deb": {"procps"}, "rpm": {"util-linux"}}

// writePackages writes the deb and the rpm of the proxy.
func (r *release) writePackages(b binary) error {
	contents, err := r.packaged(b)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(r.binaries, "package-")
	if err != nil {
		return err
	}
	for _, format := range []string{"deb", "rpm"} {
		if err := r.writePackage(format, b, contents, dir); err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
	}
	return nil
}

func (r *release) writePackage(format string, b binary, contents []file, dir string) error {
	list, err := asContents(format, contents, dir, r.time)
	if err != nil {
		return err
	}
	script := func(name string) string { return filepath.Join(r.source, "docs", "deploy", "package", name) }
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "tunnelform", Arch: b.platform.arch, Platform: "linux", Version: r.version, Release: "1",
		Section: "net", Priority: "optional", License: "Apache-2.0",
		Homepage: homepage, Maintainer: maintainer, Vendor: "Tunnelform", Description: description,
		DisableGlobbing: true, MTime: r.time,
		Overridables: nfpm.Overridables{
			// wss:// and https:// backends are verified against the system's roots.
			Recommends: []string{"ca-certificates"},
			Depends:    depends[format],
			Contents:   list,
			Scripts: nfpm.Scripts{
				PostInstall: script("postinstall.sh"), PreRemove: script("preremove.sh"), PostRemove: script("postremove.sh"),
			},
			RPM: nfpm.RPM{Summary: summary, Group: "Unspecified", BuildHost: "localhost", Packager: maintainer},
		},
	})
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := packager.Package(info, &out); err != nil {
		return err
	}
	return r.write(packager.ConventionalFileName(info), out.Bytes())
}

// asContents writes the files below dir, from where nfpm reads them. Only the distributions
// of deb have a directory of zsh for what packages bring.
func asContents(format string, contents []file, dir string, mtime time.Time) (files.Contents, error) {
	list := files.Contents{{Destination: "/etc/tunnelform", Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o755, MTime: mtime}}}
	for _, f := range contents {
		path := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, f.data, 0o644); err != nil {
			return nil, err
		}
		destination := "/" + f.name
		if format == "rpm" {
			destination = strings.Replace(destination, "/zsh/vendor-completions/", "/zsh/site-functions/", 1)
		}
		kind := files.TypeFile
		if strings.HasPrefix(f.name, "etc/") {
			kind = files.TypeConfigNoReplace // an edited one survives an upgrade and a removal
		}
		list = append(list, &files.Content{Source: path, Destination: destination, Type: kind,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: os.FileMode(f.mode), MTime: mtime}})
	}
	return list, nil
}

// packaged returns the files of a package, by their paths on the machine.
func (r *release) packaged(b binary) ([]file, error) {
	const doc = "usr/share/doc/tunnelform"
	list, err := r.sources(doc, "README.md", "CHANGELOG.md", "routes.example.yaml")
	if err != nil {
		return nil, err
	}
	for source, path := range map[string]string{
		"docs/deploy/package/routes.yaml":         "etc/tunnelform/routes.yaml",
		"docs/deploy/package/tunnelform.sysusers": "usr/lib/sysusers.d/tunnelform.conf",
		"docs/deploy/tunnelform.service":          "usr/lib/systemd/system/tunnelform.service",
		"LICENSE":                                 doc + "/copyright",
	} {
		found, err := r.sources("", source)
		if err != nil {
			return nil, err
		}
		found[0].name = path
		list = append(list, found[0])
	}
	for i := range list {
		if strings.HasSuffix(list[i].name, ".service") {
			list[i].data, err = packagedUnit(list[i].data)
			if err != nil {
				return nil, err
			}
		}
	}
	generated, err := r.packagedGenerated()
	return append(append(list, generated...),
		file{"usr/bin/tunnelform", 0o755, b.data}, file{doc + "/LICENSES-THIRD-PARTY", 0o644, b.licenses}), err
}

// packagedGenerated returns the manual pages and the completions, where programs look for
// them.
func (r *release) packagedGenerated() ([]file, error) {
	generated, err := filesBelow(r.generated, "")
	if err != nil {
		return nil, err
	}
	completions := map[string]string{
		"completions/tunnelform.bash": "usr/share/bash-completion/completions/tunnelform",
		"completions/_tunnelform":     "usr/share/zsh/vendor-completions/_tunnelform",
		"completions/tunnelform.fish": "usr/share/fish/vendor_completions.d/tunnelform.fish",
	}
	for i := range generated {
		f := &generated[i]
		if path, found := completions[f.name]; found {
			f.name = path
			continue
		}
		f.name = "usr/share/man/" + f.name + ".gz"
		if f.data, err = gzipOf(f.data); err != nil {
			return nil, err
		}
	}
	return generated, nil
}

// unitChanges turn the unit for an installation by hand into a package's: its program is
// in /usr/bin, and its user is there before it starts, so that files can be given to it.
var unitChanges = []struct{ from, to string }{
	{"ExecStart=/usr/local/bin/", "ExecStart=/usr/bin/"},
	{"\nDynamicUser=yes\n", "\nUser=tunnelform\nGroup=tunnelform\nRemoveIPC=yes\n"},
	{"# A user made up at start, who can read what everybody can.", "# A user that owns nothing, and can read what everybody or its group can."},
}

func packagedUnit(unit []byte) ([]byte, error) {
	text := string(unit)
	// How to install it by hand.
	_, text, found := strings.Cut(text, "\n\n[Unit]\n")
	if !found {
		return nil, fmt.Errorf("the unit has no comment before [Unit]")
	}
	text = "[Unit]\n" + text
	for _, change := range unitChanges {
		if strings.Count(text, change.from) != 1 {
			return nil, fmt.Errorf("the unit has no %q, or has it more than once", change.from)
		}
		text = strings.Replace(text, change.from, change.to, 1)
	}
	return []byte(text), nil
}
