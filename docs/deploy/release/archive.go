package main

// Archives whose bytes follow from their contents: sorted names, one time, no owner.

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is a file of an archive, a package or an image.
type file struct {
	name string // without a leading slash
	mode int64
	data []byte
}

func byName(a, b file) int { return cmp.Compare(a.name, b.name) }

// tarOf returns a tar archive of the files and of the directories that they are in.
func tarOf(files []file, mtime time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{".": true}
	var parents func(dir string) error
	parents = func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		if err := parents(path.Dir(dir)); err != nil {
			return err
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: mtime, Format: tar.FormatPAX})
	}
	for _, f := range slices.SortedFunc(slices.Values(files), byName) {
		if err := parents(path.Dir(f.name)); err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: mtime, Format: tar.FormatPAX}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// gzipOf compresses with no name and no time in the header.
func gzipOf(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

func zipOf(files []file, mtime time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range slices.SortedFunc(slices.Values(files), byName) {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: mtime}
		header.SetMode(fs.FileMode(f.mode))
		entry, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// filesBelow returns the files of dir, their names below prefix.
func filesBelow(dir, prefix string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		files = append(files, file{path.Join(prefix, filepath.ToSlash(relative)), 0o644, data})
		return err
	})
	return files, err
}

// sources returns files of the repository, their names below prefix.
func (r *release) sources(prefix string, names ...string) ([]file, error) {
	var files []file
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(r.source, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		files = append(files, file{path.Join(prefix, path.Base(name)), 0o644, data})
	}
	return files, nil
}

// write writes a file of the release.
func (r *release) write(name string, data []byte) error {
	name = filepath.Join(r.dist, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}

// base is the beginning of the names of what is made of b.
func (r *release) base(b binary) string {
	return strings.Join([]string{b.name, r.version, b.platform.String()}, "_")
}

// writeArchive writes the archive for an installation by hand.
func (r *release) writeArchive(b binary) error {
	base := r.base(b)
	files, err := r.sources(base, "README.md", "LICENSE", "CHANGELOG.md", "routes.example.yaml", "docs/deploy/tunnelform.service")
	if err != nil {
		return err
	}
	generated, err := filesBelow(r.generated, base)
	if err != nil {
		return err
	}
	files = append(append(files, generated...),
		file{base + "/" + b.name, 0o755, b.data}, file{base + "/LICENSES-THIRD-PARTY", 0o644, b.licenses})
	archive, err := tarOf(files, r.time)
	if err != nil {
		return err
	}
	compressed, err := gzipOf(archive)
	if err != nil {
		return err
	}
	return r.write(base+".tar.gz", compressed)
}
