package main

// Bills of materials in CycloneDX, made of what the go command has recorded in the binary:
// the same as go version -m shows.

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

type bom struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	SerialNumber string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Scope      string     `json:"scope,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licenses   []license  `json:"licenses,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type license struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

func (r *release) writeSBOM(b binary) error {
	text, err := r.bomOf(b, component{})
	if err != nil {
		return err
	}
	return r.write(r.base(b)+".cdx.json", text)
}

// writeImageSBOM writes what is in the image for b's platform: the binary, and the roots.
func (r *release) writeImageSBOM(b binary, digest string) error {
	text, err := r.bomOf(b, component{
		Type: "container", Ref: "image", Name: "tunnelform", Version: r.version,
		Hashes: []hash{{"SHA-256", strings.TrimPrefix(digest, "sha256:")}},
		PURL:   "pkg:oci/tunnelform@" + strings.Replace(digest, ":", "%3A", 1) + "?arch=" + b.platform.arch,
	})
	if err != nil {
		return err
	}
	return r.write("tunnelform_"+r.version+"_oci_"+b.platform.String()+".cdx.json", text)
}

// bomOf returns the bill of a binary, or of the image that holds it.
func (r *release) bomOf(b binary, image component) ([]byte, error) {
	program, modules, err := r.componentsOf(b)
	if err != nil {
		return nil, err
	}
	var refs []string
	for _, module := range modules {
		refs = append(refs, module.Ref)
	}
	list := bom{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata:   metadata{r.time.Format(time.RFC3339), program},
		Components: modules,
		// Which module needs which is not in the binary; that it is linked, is.
		Dependencies: []dependency{{program.Ref, refs}},
	}
	if image.Name != "" {
		roots, err := rootsComponent()
		if err != nil {
			return nil, err
		}
		list.Metadata.Component = image
		list.Components = append(list.Components, program, roots)
		list.Dependencies = append(list.Dependencies, dependency{image.Ref, []string{program.Ref, roots.Ref}})
	}
	return list.encode()
}

// encode gives the bill a serial number that follows from its content.
func (b bom) encode() ([]byte, error) {
	plain, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(plain)
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // RFC 9562, version 8
	b.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}

// componentsOf returns the program and what is linked into it.
func (r *release) componentsOf(b binary) (component, []component, error) {
	program := component{
		Type: "application", Name: b.name, Version: r.version, Ref: b.name,
		Hashes: []hash{{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(b.data))}},
		PURL:   moduleURL(b.info.Main.Path, "v"+r.version, strings.TrimPrefix(strings.TrimPrefix(b.info.Path, b.info.Main.Path), "/")),
	}
	program.Licenses = make([]license, 1)
	program.Licenses[0].License.ID = "Apache-2.0"
	for _, setting := range b.info.Settings {
		program.Properties = append(program.Properties, property{"go:build:" + setting.Key, setting.Value})
	}
	goVersion := strings.TrimPrefix(b.info.GoVersion, "go")
	modules := []component{{Type: "library", Name: "std", Version: b.info.GoVersion, Scope: "required", PURL: "pkg:golang/std@" + goVersion, Ref: "pkg:golang/std@" + goVersion}}
	for _, dep := range b.info.Deps {
		module, err := moduleComponent(dep)
		if err != nil {
			return component{}, nil, err
		}
		modules = append(modules, module)
	}
	return program, modules, nil
}

func moduleComponent(module *debug.Module) (component, error) {
	if module.Replace != nil {
		module = module.Replace
	}
	url := moduleURL(module.Path, module.Version, "")
	c := component{Type: "library", Name: module.Path, Version: module.Version, Scope: "required", PURL: url, Ref: url}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(module.Sum, "h1:"))
	if err != nil || len(sum) != sha256.Size {
		return c, fmt.Errorf("%s %s has the checksum %q", module.Path, module.Version, module.Sum)
	}
	// The hash of go.sum, over the names and hashes of the module's files.
	c.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
	return c, nil
}

// moduleURL is a package URL, https://github.com/package-url/purl-spec.
func moduleURL(path, version, subpath string) string {
	url := "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")
	if subpath != "" {
		url += "#" + subpath
	}
	return url
}

// rootsModule is where the image's root certificates come from.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

func rootsComponent() (component, error) {
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		if dep.Path == rootsModule {
			return moduleComponent(dep)
		}
	}
	return component{}, fmt.Errorf("%s is not linked into this program", rootsModule)
}
