package cli

// Reading routes files for the commands that need them once.

import (
	"context"
	"io"

	"github.com/tunnelform/tunnelform/proxy/internal/heap"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

// stdinPath is the argument that means standard input.
const stdinPath = "-"

// readDocuments reads files and directories as serve does; "-" alone is standard input.
func readDocuments(env *Env, paths []string) ([]store.Document, error) {
	if len(paths) == 1 && paths[0] == stdinPath {
		data, err := io.ReadAll(io.LimitReader(env.Stdin, routefile.MaxBytes+1))
		if err != nil {
			return nil, &exitError{code: exitNoRead, err: err}
		}
		return []store.Document{{Path: stdinPath, Data: data, Revision: store.RevisionOf(data)}}, nil
	}
	source, err := filestore.NewSource(paths, filestore.Options{MaxSize: routefile.MaxBytes, Settle: -1})
	if err != nil {
		return nil, &exitError{code: exitNoRead, err: err}
	}
	snapshot, err := source.Read(context.Background())
	if err != nil {
		return nil, &exitError{code: exitNoRead, err: err}
	}
	if len(snapshot.Documents) == 0 {
		return nil, &exitError{code: exitNoRead, err: errNoFile}
	}
	return snapshot.Documents, nil
}

// loadFiles reads, parses and checks files. It prints their mistakes.
func loadFiles(ctx context.Context, env *Env, paths []string) ([]*routefile.File, error) {
	documents, err := readDocuments(env, paths)
	if err != nil {
		return nil, err
	}
	defer heap.Loading(sizeOf(documents))()
	files, mistakes, err := checkDocuments(ctx, documents, true)
	if err != nil {
		return nil, err
	}
	if len(mistakes) > 0 {
		printMistakes(env, mistakes, sourcesOf(documents))
		return nil, &exitError{code: exitInvalid}
	}
	return files, nil
}
