package main

// The provider, as the Terraform registry wants it: a release of a repository named
// terraform-provider-tunnelform whose tag is the version, with these assets, and with the
// documentation in that repository.

import (
	"errors"
	"path"
	"path/filepath"
)

const (
	providerName = "terraform-provider-tunnelform"
	assetsDir    = providerName + "/assets"
)

// writeProvider writes the archive for one platform. Terraform looks for the program by
// the beginning of its name, and takes the archive as it is from a mirror too.
func (r *release) writeProvider(b binary) error {
	files, err := r.sources("", "LICENSE", "CHANGELOG.md")
	if err != nil {
		return err
	}
	archive, err := zipOf(append(files, file{b.name + "_v" + r.version, 0o755, b.data},
		file{"LICENSES-THIRD-PARTY", 0o644, b.licenses}), r.time)
	if err != nil {
		return err
	}
	return r.write(path.Join(assetsDir, r.base(b)+".zip"), archive)
}

// finishProvider writes the manifest, the checksums (which the registry refuses without
// the manifest's) and the files of the repository.
func (r *release) finishProvider() error {
	manifest, err := r.sources("", "terraform-provider/terraform-registry-manifest.json")
	if err != nil {
		return err
	}
	name := providerName + "_" + r.version
	if err := r.write(path.Join(assetsDir, name+"_manifest.json"), manifest[0].data); err != nil {
		return err
	}
	if err := writeSums(filepath.Join(r.dist, filepath.FromSlash(assetsDir)), name+"_"+sumsName); err != nil {
		return err
	}
	return r.writeProviderRepository(manifest)
}

func (r *release) writeProviderRepository(list []file) error {
	const dir = providerName + "/repository"
	top, err := r.sources("", "LICENSE", "CHANGELOG.md")
	list = append(list, top...)
	for _, name := range []string{"docs", "examples"} {
		found, err2 := filesBelow(filepath.Join(r.source, "terraform-provider", name), name)
		list, err = append(list, found...), errors.Join(err, err2)
	}
	if err != nil {
		return err
	}
	list = append(list, file{name: "README.md", data: []byte("# Terraform provider for Tunnelform\n\n" +
		"Releases and documentation of the provider, written by the releases of\n[tunnelform](" + homepage + "), where its source is\nand where issues belong. This is version " +
		r.version + ", built from commit\n`" + r.commit + "`.\n")})
	for _, f := range list {
		if err := r.write(path.Join(dir, f.name), f.data); err != nil {
			return err
		}
	}
	return nil
}
