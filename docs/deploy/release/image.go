package main

// The image: an OCI archive for every Linux platform, made without any daemon. What is in
// it and how it runs is read from Containerfile.binary, so that podman build makes the
// same one.

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *imagePlatform    `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type imagePlatform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

type index struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Manifests     []descriptor      `json:"manifests"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

type imageConfig struct {
	Created string `json:"created"`
	imagePlatform
	Config  containerConfig `json:"config"`
	RootFS  rootFS          `json:"rootfs"`
	History []history       `json:"history"`
}

type containerConfig struct {
	User         string              `json:"User"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts"`
	Entrypoint   []string            `json:"Entrypoint"`
	Cmd          []string            `json:"Cmd"`
	Labels       map[string]string   `json:"Labels"`
	StopSignal   string              `json:"StopSignal"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// copied is a COPY of the Containerfile.
type copied struct{ source, path string }

// writeImage writes the archive, and a bill of materials for each platform.
func (r *release) writeImage(binaries []binary) error {
	text, err := os.ReadFile(filepath.Join(r.source, "docs", "deploy", "Containerfile.binary"))
	if err != nil {
		return err
	}
	settings, layers, err := parseContainerfile(string(text))
	if err != nil {
		return fmt.Errorf("Containerfile.binary: %w", err)
	}
	settings.Labels = r.labels()
	blobs := blobSet{}
	all := index{SchemaVersion: 2, MediaType: indexType, Annotations: r.labels()}
	for _, b := range binaries {
		described, err := r.imageFor(b, settings, layers, blobs)
		if err != nil {
			return err
		}
		all.Manifests = append(all.Manifests, described)
		if err := r.writeImageSBOM(b, described.Digest); err != nil {
			return err
		}
	}
	top, err := blobs.addJSON(indexType, all)
	if err != nil {
		return err
	}
	top.Annotations = map[string]string{"org.opencontainers.image.ref.name": "tunnelform:" + r.version}
	entry, err := json.Marshal(index{SchemaVersion: 2, MediaType: indexType, Manifests: []descriptor{top}})
	if err != nil {
		return err
	}
	archive, err := tarOf(append(blobs.files(), file{"index.json", 0o644, entry},
		file{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)}), r.time)
	if err != nil {
		return err
	}
	return r.write("tunnelform_"+r.version+"_oci.tar", archive)
}

func (r *release) labels() map[string]string {
	const prefix = "org.opencontainers.image."
	return map[string]string{
		prefix + "title": "tunnelform", prefix + "description": summary, prefix + "licenses": "Apache-2.0",
		prefix + "url": homepage, prefix + "source": homepage, prefix + "documentation": homepage + "/tree/v" + r.version + "/docs",
		prefix + "version": r.version, prefix + "revision": r.commit, prefix + "created": r.time.Format(time.RFC3339),
	}
}

// imageFor adds the image for one platform and returns its descriptor.
func (r *release) imageFor(b binary, settings containerConfig, layers []copied, blobs blobSet) (descriptor, error) {
	on := imagePlatform{Architecture: b.platform.arch, OS: "linux"}
	if on.Architecture == "arm64" {
		on.Variant = "v8"
	}
	created := r.time.Format(time.RFC3339)
	config := imageConfig{Created: created, imagePlatform: on, Config: settings, RootFS: rootFS{Type: "layers"}}
	m := manifest{SchemaVersion: 2, MediaType: manifestType, Annotations: r.labels()}
	context := map[string]file{
		"tunnelform":          {mode: 0o755, data: b.data},
		"ca-certificates.crt": {mode: 0o644, data: rootCertificates()},
	}
	for _, layer := range layers {
		f, found := context[layer.source]
		if !found {
			return descriptor{}, fmt.Errorf("COPY %s: there is no such file", layer.source)
		}
		f.name = strings.TrimPrefix(layer.path, "/")
		plain, err := tarOf([]file{f}, r.time)
		if err != nil {
			return descriptor{}, err
		}
		compressed, err := gzipOf(plain)
		if err != nil {
			return descriptor{}, err
		}
		m.Layers = append(m.Layers, blobs.add(layerType, compressed))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digestOf(plain))
		config.History = append(config.History, history{created, "COPY " + layer.source + " " + layer.path})
	}
	var err error
	if m.Config, err = blobs.addJSON(configType, config); err != nil {
		return descriptor{}, err
	}
	described, err := blobs.addJSON(manifestType, m)
	described.Platform = &on
	return described, err
}

// parseContainerfile reads the instructions that Containerfile.binary is made of, and
// fails for any other.
func parseContainerfile(text string) (containerConfig, []copied, error) {
	var config containerConfig
	var layers []copied
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line == "FROM scratch" {
			continue
		}
		instruction, rest, _ := strings.Cut(line, " ")
		var err error
		switch instruction {
		case "COPY":
			source, target, _ := strings.Cut(rest, " ")
			if strings.HasSuffix(target, "/") {
				target += path.Base(source)
			}
			layers = append(layers, copied{source, target})
		case "USER":
			config.User = rest
		case "EXPOSE":
			config.ExposedPorts = map[string]struct{}{rest + "/tcp": {}}
		case "STOPSIGNAL":
			config.StopSignal = rest
		case "ENTRYPOINT":
			err = json.Unmarshal([]byte(rest), &config.Entrypoint)
		case "CMD":
			err = json.Unmarshal([]byte(rest), &config.Cmd)
		default:
			err = fmt.Errorf("an instruction that the release does not know")
		}
		if err != nil {
			return config, nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	if config.User == "" || len(config.Entrypoint) == 0 || len(layers) == 0 {
		return config, nil, fmt.Errorf("no user, no entry point or no files")
	}
	return config, layers, nil
}

// rootCertificates are Mozilla's, as go.sum pins them: a machine's own differ from one to
// the next. A root that Mozilla trusts only with a constraint is left out, because a PEM
// file cannot say the constraint.
func rootCertificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return out.Bytes()
}

// blobSet are the blobs of a layout, by digest.
type blobSet map[string][]byte

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func (s blobSet) add(mediaType string, data []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digestOf(data), Size: len(data)}
	s[d.Digest] = data
	return d
}

func (s blobSet) addJSON(mediaType string, value any) (descriptor, error) {
	data, err := json.Marshal(value)
	return s.add(mediaType, data), err
}

func (s blobSet) files() []file {
	var list []file
	for digest, data := range s {
		list = append(list, file{"blobs/" + strings.Replace(digest, ":", "/", 1), 0o644, data})
	}
	return list
}
