package routefile

import (
	"bytes"
	"sync"
	"weak"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// The nodes of a file take several times what its records take, and after Parse they are
// of use only for the position of a mistake and for plain values. So a File does not keep
// them: they go with the next garbage collection, and are made again when somebody asks.

// tree makes the nodes of a document. Safe for concurrent use.
type tree struct {
	data []byte

	mu    sync.Mutex
	nodes weak.Pointer[nodes]
}

// nodes are those of one document. Immutable, but for records.
type nodes struct {
	root node // a mapping

	index   sync.Once
	records map[Section]map[string]node
}

// singleKeys are those that are allowed in one file of a set only.
var singleKeys = []string{"trusted_proxies", "shutdown"}

// keep notes the document's mapping.
func (f *File) keep(root node) {
	f.tree = &tree{data: f.data, nodes: weak.Make(&nodes{root: root})}
	f.single = make(map[string]Pos)
	for _, name := range singleKeys {
		if key := keyOf(root, name); key != nil {
			f.single[name] = f.pos(key)
		}
	}
}

// nodes returns the file's, nil if it has no mapping.
func (f *File) nodes() *nodes {
	if f.tree == nil {
		return nil
	}
	return f.tree.get()
}

func (f *File) root() node {
	if n := f.nodes(); n != nil {
		return n.root
	}
	return nil
}

func (t *tree) get() *nodes {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes.Value(); n != nil {
		return n
	}
	doc, _, err := yamledit.Decode(bytes.NewReader(bytes.TrimPrefix(t.data, []byte(bom))))
	if err != nil {
		panic("routefile: decoding what was decoded before: " + err.Error())
	}
	n := &nodes{root: doc.Content[0]}
	t.nodes = weak.Make(n)
	return n
}

// record returns a record's value, nil if it is missing.
func (n *nodes) record(s Section, name string) node {
	n.index.Do(func() {
		n.records = make(map[Section]map[string]node, len(sections))
		for _, s := range sections {
			if all := childOf(n.root, string(s)); all != nil {
				n.records[s] = yamledit.Fields(all)
			}
		}
	})
	return n.records[s][name]
}

// heldTrees keeps the nodes of files that have mistakes: a file with a thousand of them
// is not decoded a thousand times.
type heldTrees map[*File]*nodes

func (h *heldTrees) hold(f *File) {
	if *h == nil {
		*h = heldTrees{}
	}
	if (*h)[f] == nil {
		(*h)[f] = f.nodes()
	}
}
