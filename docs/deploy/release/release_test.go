package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var commitTime = time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)

// TestArchives: the same files in any order are the same bytes, sorted, at the commit's time.
func TestArchives(t *testing.T) {
	files := []file{{"d/b", 0o644, []byte("two")}, {"d/a", 0o755, []byte("one")}, {"c", 0o644, nil}}
	turned := slices.Clone(files)
	slices.Reverse(turned)
	first, second := must(tarOf(files, commitTime)), must(tarOf(turned, commitTime))
	if !bytes.Equal(first, second) {
		t.Error("the order of the files is in the tar archive")
	}
	if !bytes.Equal(must(zipOf(files, commitTime)), must(zipOf(turned, commitTime))) {
		t.Error("the order of the files is in the zip archive")
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(first)); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if !header.ModTime.Equal(commitTime) || header.Uid != 0 || header.Uname != "" {
			t.Errorf("%s: time %s, owner %d %q", header.Name, header.ModTime, header.Uid, header.Uname)
		}
	}
	if want := []string{"c", "d/", "d/a", "d/b"}; !slices.Equal(names, want) {
		t.Errorf("tar holds %q, want %q", names, want)
	}
	unzipped := must(zip.NewReader(bytes.NewReader(must(zipOf(files, commitTime))), int64(len(must(zipOf(files, commitTime))))))
	if f := unzipped.File[1]; f.Name != "d/a" || f.Mode() != 0o755 || !f.Modified.Equal(commitTime) {
		t.Errorf("zip holds %s, mode %s, time %s", f.Name, f.Mode(), f.Modified)
	}
	unpacked := must(gzip.NewReader(bytes.NewReader(must(gzipOf(first)))))
	if !unpacked.ModTime.IsZero() || unpacked.Name != "" || !bytes.Equal(must(io.ReadAll(unpacked)), first) {
		t.Errorf("gzip header %+v, or another content", unpacked.Header)
	}
}

// TestPackagedUnit: the unit in the repository still has what is changed for a package.
func TestPackagedUnit(t *testing.T) {
	unit := must(os.ReadFile("../tunnelform.service"))
	packaged := string(must(packagedUnit(unit)))
	for _, want := range []string{"[Unit]\n", "\nExecStart=/usr/bin/tunnelform serve /etc/tunnelform/routes.yaml", "\nUser=tunnelform\n"} {
		if !strings.Contains(packaged, want) {
			t.Errorf("no %q in the packaged unit", want)
		}
	}
	for _, unwanted := range []string{"/usr/local", "DynamicUser"} {
		if strings.Contains(packaged, unwanted) {
			t.Errorf("%q is in the packaged unit", unwanted)
		}
	}
	if _, err := packagedUnit(bytes.ReplaceAll(unit, []byte("DynamicUser=yes\n"), nil)); err == nil {
		t.Error("a unit without DynamicUser is taken, want an error")
	}
}

// TestContainerfile: the archive runs as the image that podman builds.
func TestContainerfile(t *testing.T) {
	config, layers, err := parseContainerfile(string(must(os.ReadFile("../Containerfile.binary"))))
	if err != nil {
		t.Fatal(err)
	}
	if config.User != "65532:65532" || !slices.Equal(config.Entrypoint, []string{"/tunnelform"}) || config.StopSignal != "SIGTERM" ||
		!slices.Equal(config.Cmd, []string{"serve", "/etc/tunnelform/routes.yaml"}) || len(config.ExposedPorts) != 1 {
		t.Errorf("the image's configuration is %+v", config)
	}
	want := []copied{{"ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt"}, {"tunnelform", "/tunnelform"}}
	if !slices.Equal(layers, want) {
		t.Errorf("layers %v, want %v", layers, want)
	}
	for _, text := range []string{"FROM scratch\nUSER 1\n", "USER 1\nCOPY a /a\nENTRYPOINT [\"/a\"]\nRUN true\n"} {
		if _, _, err := parseContainerfile(text); err == nil {
			t.Errorf("%q is taken, want an error", text)
		}
	}
}

func TestRootCertificates(t *testing.T) {
	if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(rootCertificates()) {
		t.Error("no root certificate can be read")
	}
	if n := bytes.Count(rootCertificates(), []byte("BEGIN CERTIFICATE")); n < 50 {
		t.Errorf("%d root certificates, want Mozilla's", n)
	}
}

// TestSBOM makes the bill of this test's own modules.
func TestSBOM(t *testing.T) {
	r := &release{version: "1.2.3", time: commitTime}
	b := binary{name: "tunnelform", platform: platform{"linux", "arm64"}, data: []byte("program"), info: &debug.BuildInfo{
		GoVersion: "go1.26.10", Path: "example.com/Main/cmd", Main: debug.Module{Path: "example.com/Main"},
		Deps: []*debug.Module{
			{Path: "example.com/a", Version: "v1.0.0+incompatible", Sum: "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
		},
	}}
	text := must(r.bomOf(b, component{}))
	if !bytes.Equal(text, must(r.bomOf(b, component{}))) {
		t.Error("the same binary has two bills")
	}
	var list bom
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	if got, want := list.Metadata.Component.PURL, "pkg:golang/example.com/main@v1.2.3#cmd"; got != want {
		t.Errorf("the program is %s, want %s", got, want)
	}
	var urls []string
	for _, c := range list.Components {
		urls = append(urls, c.PURL)
	}
	if want := []string{"pkg:golang/std@1.26.10", "pkg:golang/example.com/a@v1.0.0%2Bincompatible"}; !slices.Equal(urls, want) {
		t.Errorf("components %q, want %q", urls, want)
	}
	if got, want := list.Components[1].Hashes[0].Content, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	b.info.Deps[0].Sum = ""
	if _, err := r.bomOf(b, component{}); err == nil {
		t.Error("a module without a checksum is taken, want an error")
	}
}

func TestCompareTrees(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	if compareTrees(a, b) == nil {
		t.Error("two empty directories are the same release, want an error")
	}
	write := func(dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(a, "x", "1")
	write(b, "x", "1")
	if err := compareTrees(a, b); err != nil {
		t.Error(err)
	}
	write(b, "x", "2")
	if compareTrees(a, b) == nil {
		t.Error("another content is the same, want an error")
	}
	write(b, "x", "1")
	write(b, "y", "1")
	if compareTrees(a, b) == nil {
		t.Error("one file more is the same, want an error")
	}
}

// TestSign: every file of checksums is signed, in any directory, and the signature is good.
func TestSign(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip(err)
	}
	home, dir := t.TempDir(), t.TempDir()
	t.Setenv("GNUPGHOME", home)
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	gpg := func(args ...string) {
		t.Helper()
		if output, err := exec.Command("gpg", append([]string{"--batch"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("gpg %s: %v\n%s", args, err, output)
		}
	}
	gpg("--passphrase", "", "--quick-generate-key", "releases@example.com", "rsa2048", "sign", "never")
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--kill", "all").Run() })
	list := []string{filepath.Join(dir, "SHA256SUMS"), filepath.Join(dir, "assets", "provider_1.2.3_SHA256SUMS")}
	for _, name := range list {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := sign(dir, "releases@example.com"); err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		gpg("--verify", name+".sig", name)
	}
	if sign(dir, "nobody@example.com") == nil {
		t.Error("a key that is not there signs, want an error")
	}
}

// TestSums: the checksums name the files beside them, and not themselves.
func TestSums(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a", "d/c"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for range 2 { // the second time the file is there already
		if err := writeSums(dir, sumsName); err != nil {
			t.Fatal(err)
		}
		if got, want := string(must(os.ReadFile(filepath.Join(dir, sumsName)))), empty+"  a\n"+empty+"  b\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, good := range map[string]bool{
		"1.2.3": true, "0.1.0-rc.1": true, "": false, "1.2": false, "01.2.3": false, "1.2.3+build": false, "1.2.3 ": false,
	} {
		if got := semanticVersion.MatchString(version); got != good {
			t.Errorf("%q: %t, want %t", version, got, good)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
