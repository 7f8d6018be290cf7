// Reading one file, and finding whether it changed meanwhile.
package filestore

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// identity is what the file system says of a file's content. Equal identities do not prove
// equal contents (times can be set, and a write through shared memory changes none at
// once); different ones show that the file was written or replaced.
type identity struct {
	dev, ino uint64
	size     int64
	mtime    time.Time
	ctime    time.Time
}

// content is one file at one moment.
type content struct {
	data     []byte
	revision string
	id       identity
	still    bool // it did not change while it was read
	mode     fs.FileMode
	uid, gid int
}

// readFile reads a regular file of at most limit bytes (negative: any size).
func readFile(path string, limit int64) (content, error) {
	f, err := regularfile.Open(path)
	if err != nil {
		return content{}, err
	}
	defer f.Close()
	before, err := stat(f)
	if err != nil {
		return content{}, err
	}
	data, err := regularfile.ReadAll(f, before.id.size, limit)
	if err != nil {
		return content{}, err
	}
	after, err := stat(f)
	if err != nil {
		return content{}, err
	}
	after.data, after.revision = data, store.RevisionOf(data)
	after.still = before.id == after.id && int64(len(data)) == after.id.size
	return after, nil
}

func stat(f *os.File) (content, error) {
	info, err := f.Stat()
	if err != nil {
		return content{}, err
	}
	sys := info.Sys().(*syscall.Stat_t)
	return content{
		id: identity{
			dev:   uint64(sys.Dev), //nolint:unconvert // int32 on darwin
			ino:   sys.Ino,
			size:  info.Size(),
			mtime: info.ModTime(),
			ctime: ctime(sys),
		},
		mode: info.Mode(),
		uid:  int(sys.Uid),
		gid:  int(sys.Gid),
	}, nil
}
