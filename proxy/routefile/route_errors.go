package routefile

import (
	"errors"
	"fmt"
	"iter"
	"mime"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Own bodies for errors.

// ErrorAnswers are the bodies of answers with an error's status: those that the proxy makes
// itself, and those of the backend that Override has.
type ErrorAnswers struct {
	Pages    []ErrorPage // sorted by status
	Override []string    // statuses and classes, as ErrorPage has them
}

// ErrorPage is the body for one status, or for a class where the status has none of its own.
// Exactly one of File and Body is set, but for an empty Body.
type ErrorPage struct {
	Status      string // "404", or "5xx" for a class
	File        string
	Body        string
	ContentType string // "" is by the file's suffix, or plain text
}

func errorKeys() []*Key {
	return []*Key{
		key("override", "Statuses of the backend whose body is replaced too: 503, or 5xx for all of a class.",
			texts(func(e *ErrorAnswers) *[]string { return &e.Override }, checkErrorStatus), numbersToo, example("[5xx]")),
		key("*", "The body for this status, or for a class such as 5xx.", mapping(self[ErrorPage],
			key("file", "File that holds the body, sent as it is. It is watched.",
				file(func(e *ErrorPage) *string { return &e.File }), example("errors/down.html")),
			key("body", "The body. "+placeholderHelp,
				value(func(e *ErrorPage) *string { return &e.Body }, checkErrorBody), example(`"back soon\n"`)),
			key("content_type", "Content-Type of the body. Defaults to that of the file's suffix, or to plain text.",
				text(func(e *ErrorPage) *string { return &e.ContentType }, checkContentType), example("text/html")),
		), exactlyOne("file", "body"), afterwards(finishErrorPage), example("{file: errors/down.html}")),
	}
}

// errorStatuses lets a mapping have a page for every status beside its other keys.
func errorStatuses(k *Key) {
	k.each = func(p *parser, dst any, status string, key node) any {
		e := dst.(*ErrorAnswers)
		if err := checkErrorStatus(status); err != nil {
			p.fail(key, "%v, or override", err)
			return &ErrorPage{}
		}
		e.Pages = append(e.Pages, ErrorPage{Status: status})
		return &e.Pages[len(e.Pages)-1] // used before the next one grows the list
	}
	k.all = func(src any) iter.Seq2[string, any] {
		return func(yield func(string, any) bool) {
			pages := src.(*ErrorAnswers).Pages
			for i := range pages {
				if !yield(pages[i].Status, &pages[i]) {
					return
				}
			}
		}
	}
	get := k.get
	k.write = func(src any) node { // an empty mapping clears the defaults
		e := get(src).(*ErrorAnswers)
		if e.Pages == nil || len(e.Pages)+len(e.Override) > 0 {
			return nil
		}
		return yamledit.Mapping{}.Node()
	}
}

func finishErrors(_ *parser, n node, e *ErrorAnswers) {
	if len(n.Content) == 0 {
		e.Pages, e.Override = []ErrorPage{}, []string{}
	}
	slices.SortFunc(e.Pages, func(a, b ErrorPage) int { return strings.Compare(a.Status, b.Status) })
}

func finishErrorPage(p *parser, n node, e *ErrorPage) {
	if e.File != "" && e.ContentType == "" && contentTypeOf(e.File) == "" {
		p.fail(childOf(n, "file"), "%q: has a suffix of no known type: write content_type", yamledit.Clip(e.File))
	}
}

var errorStatus = regexp.MustCompile(errorStatusPattern)

const errorStatusPattern = `^[45]([0-9][0-9]|xx)$`

func checkErrorStatus(s string) error {
	if !errorStatus.MatchString(s) {
		return errors.New("wanted a status from 400 to 599, 4xx or 5xx")
	}
	return nil
}

func checkErrorBody(s string) error {
	if len(s) > regularfile.Named {
		return fmt.Errorf("%d bytes, wanted at most %d", len(s), regularfile.Named)
	}
	return checkText(s)
}

func checkContentType(s string) error {
	if mediaType, _, err := mime.ParseMediaType(s); err != nil || !strings.Contains(mediaType, "/") {
		return errors.New("wanted a media type such as text/html or application/json; charset=utf-8")
	}
	return checkHeaderValue(s)
}

// contentTypes are the types of bodies by suffix: the same on every machine.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".txt": "text/plain; charset=utf-8",
	".json": "application/json", ".xml": "application/xml", ".svg": "image/svg+xml", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".pdf": "application/pdf",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".ico": "image/x-icon",
}

func contentTypeOf(file string) string { return contentTypes[strings.ToLower(path.Ext(file))] }

// MediaType is the Content-Type of the page.
func (e *ErrorPage) MediaType() string {
	switch {
	case e.ContentType != "":
		return e.ContentType
	case e.File != "":
		return contentTypeOf(e.File)
	}
	return "text/plain; charset=utf-8"
}

// Files returns the files of the pages.
func (e *ErrorAnswers) Files() (files []string) {
	for _, page := range e.Pages {
		if page.File != "" {
			files = append(files, page.File)
		}
	}
	return files
}

// bodyFor reports whether there is a page for a status or class.
func (e *ErrorAnswers) bodyFor(status string) bool {
	return slices.ContainsFunc(e.Pages, func(page ErrorPage) bool {
		class := page.Status[:1] + "xx"
		return page.Status == status || class == status || page.Status == class && status[:1] == class[:1]
	})
}

// checkErrors reports statuses of the backend that are to be replaced by nothing.
func (c *checker) checkErrors() {
	for _, name := range sortedNames(c.routes) {
		r := c.routes[name]
		if r.it.Settings == nil || len(r.it.Settings.Errors.Override) == 0 || r.it.invalid {
			continue
		}
		effective := overlay(r.it.Settings.Errors, deref(r.file.Defaults).Errors)
		for _, status := range effective.Override {
			if !effective.bodyFor(status) {
				c.at(r.file, []string{"routes", name, "errors", "override"}, recordOf("route", name),
					"errors.override %q has no effect: errors has no body for it", status)
			}
		}
	}
}

// unmatchedErrors are the pages for requests that no route matches: those of the defaults, if
// they are in one file only.
func unmatchedErrors(files []*File) (found ErrorAnswers) {
	for _, f := range files {
		switch {
		case f.Defaults == nil || len(f.Defaults.Errors.Pages) == 0:
		case found.Pages != nil:
			return ErrorAnswers{}
		default:
			found = f.Defaults.Errors
		}
	}
	return found
}
