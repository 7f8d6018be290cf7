package routefile

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"

	"github.com/tunnelform/tunnelform/internal/regularfile"
)

// CheckFiles: the mistakes that only this machine can know, and the list of files whose
// changes matter.

// CheckFiles returns the mistakes in what the files refer to on this machine, each at its
// key: certificates that do not load or do not match their keys, files of CA certificates
// without any, sockets of listeners in missing directories, ports whose service has no
// number here. It reads files and opens no socket.
func CheckFiles(files ...*File) Errors {
	errs, _ := CheckFilesContext(context.Background(), files...)
	return errs
}

// CheckFilesContext is CheckFiles for as long as ctx lasts. The error is ctx's cause, and
// the only one.
func CheckFilesContext(ctx context.Context, files ...*File) (Errors, error) {
	c := &fileChecker{ctx: ctx, read: map[string]readFile{}}
	for _, f := range byPath(files) {
		c.file = f
		c.checkListeners()
		c.settings(f.Defaults, "", "defaults")
		for _, name := range sortedNames(f.Pools) {
			if ctx.Err() != nil {
				break
			}
			c.secret(f.Pools[name].Sticky, name)
			for _, named := range f.Pools[name].Health.headerLists() {
				c.headers(named.list, recordOf("pool", name), append([]string{"pools", name}, named.keys...)...)
			}
			for _, b := range sortedNames(f.Pools[name].Backends) {
				c.tls(&f.Pools[name].Backends[b].TLS, recordOf("pool", name), "pools", name, "backends", b, "tls")
			}
			if r := f.Pools[name].Resolve; r != nil {
				c.tls(&r.TLS, recordOf("pool", name), "pools", name, "resolve", "tls")
			}
		}
		for _, name := range sortedNames(f.Routes) {
			if ctx.Err() != nil {
				break
			}
			c.settings(f.Routes[name].Settings, recordOf("route", name), "routes", name)
			if r := f.Routes[name].Respond; r != nil {
				c.headers(r.Headers, recordOf("route", name), "routes", name, "respond", "headers")
			}
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return tidy(c.errs), nil
}

// fileChecker reads a file once, however many records name it, as long as what it has
// read is not too much to keep.
type fileChecker struct {
	ctx  context.Context
	file *File
	errs []*Error
	read map[string]readFile
	kept int // bytes in read
	held heldTrees
}

const mostKept = 16 << 20

type readFile struct {
	data []byte
	err  error
}

// note reports a mistake at keys, the last of which names the file.
func (c *fileChecker) note(record string, keys []string, value string, err error) {
	c.held.hold(c.file)
	c.errs = append(c.errs, &Error{
		Pos: c.file.nearestPos(keys...), Key: strings.Join(keys, "."), Record: record,
		Text: fmt.Sprintf("%s %q: %v", keys[len(keys)-1], yamledit.Clip(value), err),
	})
}

func (c *fileChecker) checkListeners() {
	for _, name := range sortedNames(c.file.Listeners) {
		l, record := c.file.Listeners[name], recordOf("listener", name)
		if err := checkPlace(c.ctx, l.Address); err != nil {
			c.note(record, []string{"listeners", name, "address"}, l.Address, err)
		}
		if _, err := SocketGroup(l.Group); err != nil {
			c.note(record, []string{"listeners", name, "group"}, l.Group, err)
		}
		if l.TLS == nil {
			continue
		}
		for _, pair := range l.TLS.Certificates {
			if c.ctx.Err() != nil {
				return
			}
			c.listed(record, name, pair)
		}
		c.authority(l.TLS.ClientCA, record, "listeners", name, "tls", "client_ca")
	}
}

// listed checks one certificate of a listener, and reports its mistakes at its position.
func (c *fileChecker) listed(record, name string, pair CertificateFiles) {
	before := len(c.errs)
	c.pair(pair.Certificate, pair.Key, record, "listeners", name, "tls", "certificates")
	for _, e := range c.errs[before:] {
		e.Pos = pair.Pos
	}
}

// checkPlace checks a listener's address on this machine.
func checkPlace(ctx context.Context, address string) error {
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		return checkDirectory(filepath.Dir(socket))
	}
	_, port, _ := httpsyntax.CutPort(address)
	if port == "" || isDigits(port) {
		return nil
	}
	if _, err := net.DefaultResolver.LookupPort(ctx, "tcp", port); err != nil {
		return fmt.Errorf("port %q: unknown service on this machine: write its number", port)
	}
	return nil
}

func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("directory %q: %w", dir, cause(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is not a directory", dir)
	}
	return nil
}

func (c *fileChecker) settings(s *Settings, record string, keys ...string) {
	if s == nil {
		return
	}
	c.tls(&s.BackendTLS, record, append(slices.Clone(keys), "backend_tls")...)
	for _, page := range s.Errors.Pages {
		if page.File == "" {
			continue
		}
		if _, err := c.content(page.File); err != nil {
			c.note(record, append(slices.Clone(keys), "errors", page.Status, "file"), page.File, err)
		}
	}
	for _, named := range s.headerLists() {
		c.headers(named.list, record, append(slices.Clone(keys), named.keys...)...)
	}
	for _, e := range s.Auth {
		for _, path := range e.files() {
			if _, err := c.content(path); err != nil {
				c.note(record, append(slices.Clone(keys), "auth"), path, err)
			}
		}
	}
}

// headers checks the files of headers; keys lead to the mapping of their names.
func (c *fileChecker) headers(list []Header, record string, keys ...string) {
	for _, h := range list {
		if h.File == "" {
			continue
		}
		data, err := c.content(h.File)
		if err == nil {
			_, err = HeaderValue(data)
		}
		if err != nil {
			c.note(record, append(slices.Clone(keys), h.Name, "file"), h.File, err)
		}
	}
}

func (c *fileChecker) tls(t *TLSSettings, record string, keys ...string) {
	c.authority(t.CA, record, append(slices.Clone(keys), "ca")...)
	if t.Certificate != "" && t.Key != "" {
		c.pair(t.Certificate, t.Key, record, keys...)
	}
}

// authority requires a certificate in a file, if one is named.
func (c *fileChecker) authority(path, record string, keys ...string) {
	if path == "" {
		return
	}
	data, err := c.content(path)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
		err = errors.New("contains no PEM certificate")
	}
	if err != nil {
		c.note(record, keys, path, err)
	}
}

// pair checks a certificate with its key; keys lead to their mapping.
func (c *fileChecker) pair(certificate, key, record string, keys ...string) {
	if certificate == "" || key == "" {
		return
	}
	chain, err := c.content(certificate)
	if err != nil {
		c.note(record, append(slices.Clone(keys), "certificate"), certificate, err)
	}
	secret, keyErr := c.content(key)
	if keyErr != nil {
		c.note(record, append(slices.Clone(keys), "key"), key, keyErr)
	}
	if err != nil || keyErr != nil {
		return
	}
	if _, err := tls.X509KeyPair(chain, secret); err != nil {
		c.note(record, append(slices.Clone(keys), "certificate"), certificate, fmt.Errorf("with key %q: %s", key, strings.TrimPrefix(err.Error(), "tls: ")))
	}
}

// content reads a file as serve does.
func (c *fileChecker) content(path string) ([]byte, error) {
	r, ok := c.read[path]
	if !ok {
		r.data, r.err = regularfile.Read(path, regularfile.Named)
		r.err = regularfile.Cause(r.err)
		if c.kept += len(r.data); c.kept > mostKept {
			clear(c.read)
			c.kept = len(r.data)
		}
		c.read[path] = r
	}
	return r.data, r.err
}

// cause drops the operation and the path, which the mistake has already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Inputs returns the paths of files that a set refers to, sorted and without duplicates:
// when one of them changes, the set must be loaded again. They are resolved against the
// directory of the routes file that names them.
func Inputs(s *Set) []string {
	var all []string
	add := func(paths ...string) { all = append(all, paths...) }
	addTLS := func(t *TLSSettings) { add(t.CA, t.Certificate, t.Key) }
	addHeaders := func(list []Header) {
		for _, h := range list {
			add(h.File)
		}
	}
	for _, l := range s.Listeners {
		if l.TLS == nil {
			continue
		}
		add(l.TLS.ClientCA)
		for _, pair := range l.TLS.Certificates {
			add(pair.Certificate, pair.Key)
		}
	}
	for _, p := range s.Pools {
		if p.Sticky != nil {
			add(p.Sticky.Secret)
		}
		for _, b := range p.Backends {
			addTLS(&b.TLS)
		}
		for _, named := range p.Health.headerLists() {
			addHeaders(named.list)
		}
		if p.Resolve != nil {
			addTLS(&p.Resolve.TLS)
		}
	}
	seen := map[*Settings]bool{} // routes share them
	for _, r := range s.Routes {
		if r.Route.Respond != nil {
			addHeaders(r.Route.Respond.Headers)
		}
		if seen[r.Resolved] {
			continue
		}
		seen[r.Resolved] = true
		addTLS(&r.Resolved.BackendTLS)
		add(r.Resolved.Errors.Files()...)
		for _, named := range r.Resolved.headerLists() {
			addHeaders(named.list)
		}
		for _, e := range r.Resolved.Auth {
			add(e.files()...)
		}
	}
	add(s.Unmatched.Files()...)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(path string) bool { return path == "" })
}
