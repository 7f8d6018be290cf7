// Command release makes what a release consists of, from a commit of this repository:
//
//	archives      tunnelform_1.2.3_linux_amd64.tar.gz: binary, manual pages, completions, unit
//	packages      tunnelform_1.2.3_amd64.deb, tunnelform-1.2.3-1.x86_64.rpm
//	image         tunnelform_1.2.3_oci.tar, an OCI archive for every Linux platform
//	SBOMs         *.cdx.json, CycloneDX, one beside each of the above that has its own
//	provider      terraform-provider-tunnelform/: the registry's assets and its repository
//	SHA256SUMS    of all these files, and SHA256SUMS.sig if there is a key
//
// It builds everything twice, in two clones at two paths, the second time with an empty
// build cache, and fails unless the two are equal byte for byte. Nothing depends on the
// machine or on the time: the toolchain is the one that go.mod names, every time is the
// commit's.
//
// The files: build.go runs git and go; archive.go writes tar, gzip and zip; packages.go
// deb and rpm; image.go the OCI archive; sbom.go the bills of materials; provider.go what
// the Terraform registry wants; sums.go checksums, signatures and the comparison.
//
// It is a module of its own, so that what it needs is no dependency of the product.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const defaultPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

func main() {
	log.SetFlags(0)
	log.SetPrefix("release: ")
	repo := flag.String("repo", ".", "a clone of the repository, whose HEAD is released")
	version := flag.String("version", "", "the version, such as 1.2.3")
	out := flag.String("out", "dist", "the directory to write, which must not exist")
	platforms := flag.String("platforms", defaultPlatforms, "what to build for")
	key := flag.String("sign", "", "the GPG key that signs the checksums; none: they are not signed")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	if err := run(*repo, *version, *out, *platforms, *key); err != nil {
		log.Fatal(err)
	}
}

// semanticVersion is a version as https://semver.org has it, without build metadata: two
// releases that differ in nothing else could not be told apart by Terraform.
var semanticVersion = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func run(repo, version, out, platforms, key string) error {
	version = strings.TrimPrefix(version, "v")
	if !semanticVersion.MatchString(version) {
		return fmt.Errorf("-version %q: want a semantic version, such as 1.2.3", version)
	}
	if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("-out %s exists: %w", out, cmp.Or(err, os.ErrExist))
	}
	targets, err := parsePlatforms(platforms)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)

	// The names differ in length too: a path that got into a file would move what follows.
	first, second := filepath.Join(temp, "1"), filepath.Join(temp, "the-second")
	for _, dir := range []string{first, second} {
		cache := ""
		if dir == second {
			cache = filepath.Join(temp, "cache")
		}
		r, err := newRelease(repo, dir, version, cache)
		if err != nil {
			return err
		}
		if err := r.make(targets); err != nil {
			return err
		}
	}
	if err := compareTrees(distOf(first), distOf(second)); err != nil {
		return fmt.Errorf("built twice, the release is not the same: %w", err)
	}
	log.Print("built twice, equal byte for byte")
	if err := os.CopyFS(out, os.DirFS(distOf(first))); err != nil {
		return err
	}
	return sign(out, key)
}

type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

func parsePlatforms(text string) ([]platform, error) {
	var targets []platform
	for name := range strings.SplitSeq(text, ",") {
		goos, arch, found := strings.Cut(name, "/")
		if !found || goos == "" || arch == "" {
			return nil, fmt.Errorf("-platforms: %q: want os/arch, such as linux/amd64", name)
		}
		targets = append(targets, platform{goos, arch})
	}
	return targets, nil
}

// make writes the whole release for the platforms into r.dist.
func (r *release) make(targets []platform) error {
	if err := r.generate(); err != nil {
		return err
	}
	var linux []binary
	for _, target := range targets {
		log.Printf("%s: %s", r.source, target)
		proxy, err := r.build(target, ".", "tunnelform", r.module+"/proxy/cli.version=v"+r.version)
		if err != nil {
			return err
		}
		provider, err := r.build(target, "./terraform-provider", "terraform-provider-tunnelform", "main.version="+r.version)
		if err != nil {
			return err
		}
		if err := errors.Join(r.writeArchive(proxy), r.writeSBOM(proxy), r.writeProvider(provider), r.writeSBOM(provider)); err != nil {
			return err
		}
		if target.os == "linux" {
			if err := r.writePackages(proxy); err != nil {
				return err
			}
			linux = append(linux, proxy)
		}
	}
	if len(linux) > 0 {
		if err := r.writeImage(linux); err != nil {
			return err
		}
	}
	return errors.Join(r.finishProvider(), writeSums(r.dist, sumsName))
}
