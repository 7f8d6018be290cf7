package routing

// Own bodies for errors.

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// Unmatched is the bodies for requests that no route matches.
func (t *Table) Unmatched() *forward.ErrorAnswers { return &t.unmatched }

func (b *builder) unmatched() {
	var err error
	if b.table.unmatched, err = b.errorAnswers(b.set.Unmatched); err != nil {
		b.fail(routefile.Pos{}, "defaults.errors", "", err)
	}
}

// errorAnswers compiles the bodies. Routes that share a file share its bytes.
func (b *builder) errorAnswers(spec routefile.ErrorAnswers) (answers forward.ErrorAnswers, err error) {
	if len(spec.Pages) == 0 {
		return answers, nil
	}
	answers.Pages = make(map[int]*forward.ErrorPage, len(spec.Pages))
	for _, page := range spec.Pages {
		built := &forward.ErrorPage{ContentType: page.MediaType()}
		if page.File != "" {
			built.Data, err = b.content(page.File)
		} else {
			var literal string
			literal, built.Text, err = parseText(page.Body)
			built.Data = []byte(literal)
		}
		if err != nil {
			return answers, fmt.Errorf("errors.%s: %w", page.Status, err)
		}
		answers.Pages[statusOrClass(page.Status)] = built
	}
	for _, status := range spec.Override {
		answers.Override = append(answers.Override, statusOrClass(status))
	}
	return answers, nil
}

// statusOrClass is 503 for 503, and 5 for 5xx.
func statusOrClass(text string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(text, "xx")) // digits, as Parse has checked
	return n
}
