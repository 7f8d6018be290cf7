package routing

// Values of headers, from the routes file or from files that it names.

import (
	"crypto/sha256"
	"fmt"
	"net/http"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

func (b *builder) headerEdit(e routefile.HeaderEdit) (edit forward.HeaderEdit, err error) {
	edit.Remove = e.Remove
	for _, part := range []struct {
		spec  []routefile.Header
		lines *[]forward.Header
	}{{e.Set, &edit.Set}, {e.Add, &edit.Add}, {e.Default, &edit.Default}} {
		if *part.lines, err = b.headerLines(part.spec); err != nil {
			return edit, err
		}
	}
	return edit, nil
}

// headerLines compiles headers whose values may have placeholders. What comes from a file
// is literal.
func (b *builder) headerLines(list []routefile.Header) (lines []forward.Header, err error) {
	for _, h := range list {
		line := forward.Header{Name: h.Name}
		if h.File != "" {
			line.Value, err = b.headerFile(h)
		} else {
			line.Value, line.Text, err = parseText(h.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", h.Name, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// parseText returns the text, or what it is made of if requests differ in it.
func parseText(source string) (literal string, text *match.Text, err error) {
	parsed, err := match.ParseText(source)
	if err != nil {
		return "", nil, err
	}
	if literal, ok := parsed.Literal(); ok {
		return literal, nil, nil
	}
	return "", &parsed, nil
}

// headerFile reads the value of a header, once a Build. The error has nothing of it.
func (b *builder) headerFile(h routefile.Header) (string, error) {
	data, err := b.content(h.File)
	if err != nil {
		return "", err
	}
	value, err := routefile.HeaderValue(data)
	if err != nil {
		return "", fmt.Errorf("file %q: %w", h.File, err)
	}
	return value, nil
}

// content reads a file that holds a text to be sent, once a Build.
func (b *builder) content(path string) ([]byte, error) {
	if data, known := b.contents[path]; known {
		return data, nil
	}
	data, err := regularfile.Read(path, regularfile.Named)
	if err == nil {
		b.contents[path] = data
	}
	return data, err
}

// probeHeader is the header of a probe. No request is behind it, so its values have no
// placeholders.
func (b *builder) probeHeader(list []routefile.Header) (http.Header, error) {
	header := make(http.Header, len(list))
	for _, line := range list {
		value := line.Value
		if line.File != "" {
			var err error
			if value, err = b.headerFile(line); err != nil {
				return nil, fmt.Errorf("header %s: %w", line.Name, err)
			}
		}
		header.Add(line.Name, value)
	}
	for _, line := range list { // in the spelling of the file
		spelling.Respell(header, line.Name)
	}
	return header, nil
}

// digestOf is a hash of what files hold, so that a change of it is a change of the route.
func (b *builder) digestOf(files []string) fingerprint {
	h := sha256.New()
	for _, file := range files {
		sum := sha256.Sum256(b.contents[file])
		h.Write(sum[:])
	}
	return fingerprint(h.Sum(nil))
}

func headerFiles(lists ...[]routefile.Header) (files []string) {
	for _, list := range lists {
		for _, line := range list {
			if line.File != "" {
				files = append(files, line.File)
			}
		}
	}
	return files
}
