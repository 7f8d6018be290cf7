package routefile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
)

// Parse: bytes to records.

// Parse reads a routes file. path names it in positions, and paths inside the file are
// relative to its directory ("-", standard input, to the working directory). Nothing is
// read from the disk.
//
// Parse returns every mistake of the file alone at once, sorted. The File is never nil:
// with mistakes it holds what could be read, for Check alone, which finds the mistakes
// across records too.
func Parse(path string, data []byte) (*File, Errors) {
	f, errs, _ := ParseContext(context.Background(), path, data)
	return f, errs
}

// ParseContext is Parse for as long as ctx lasts. The error is ctx's cause, and the
// only one; the File is nil then.
func ParseContext(ctx context.Context, path string, data []byte) (*File, Errors, error) {
	f := newFile(path, data)
	p := &parser{ctx: ctx, file: f}
	if n := p.load(data); n != nil {
		f.keep(n)
		p.mapping(&document, n, f)
	}
	if p.tooMany {
		p.noteAt(0, 0, fmt.Sprintf("more than %d mistakes: only the first ones are shown", maxMistakes))
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	f.errs = tidy(p.errs)
	return f, f.errs, nil
}

func newFile(path string, data []byte) *File {
	sum := sha256.Sum256(data)
	f := &File{
		Path: path, Revision: hex.EncodeToString(sum[:]), data: data,
		Listeners: map[string]*Listener{}, Pools: map[string]*Pool{}, Routes: map[string]*Route{},
	}
	f.measure()
	return f
}

// resolve joins a path in the file to the file's directory.
func (f *File) resolve(path string) string {
	if filepath.IsAbs(path) || f.Path == "-" {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(f.Path), path)
}
