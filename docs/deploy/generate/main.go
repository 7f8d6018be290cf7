// Command generate writes what packages hold besides the binary and is made of the
// definition of the command line: the manual pages, one for each command, and the
// completions of the shells.
//
//	go run ./docs/deploy/generate -date 2026-11-01 -source "tunnelform 1.2.3" DIR
package main

import (
	"cmp"
	"flag"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/tunnelform/tunnelform/proxy/cli"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("generate: ")
	date := flag.String("date", "", "the date of the manual pages, as 2026-11-01")
	source := flag.String("source", "tunnelform", "the program and its version")
	flag.Parse()
	day, err := time.Parse(time.DateOnly, *date)
	if err != nil || flag.NArg() != 1 {
		log.Fatal("usage: generate -date YYYY-MM-DD [-source TEXT] DIR")
	}
	err = cmp.Or(pages(filepath.Join(flag.Arg(0), "man1"), *source, day), completions(filepath.Join(flag.Arg(0), "completions")))
	if err != nil {
		log.Fatal(err)
	}
}

func pages(dir, source string, day time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := cli.Command()
	// Both are added when a command runs, which none does here.
	root.InitDefaultVersionFlag()
	root.InitDefaultCompletionCmd()
	forMarkdown(root)
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Date: &day, Source: source, Manual: "Tunnelform"}, dir)
}

// forMarkdown turns the help of cmd and of the commands below it into the Markdown that
// cobra/doc takes it for: there, an indented line is code only from four spaces on.
func forMarkdown(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true // the tag holds the time of the build
	lines := strings.Split(cmd.Long, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "  ") {
			lines[i] = "  " + line
		}
	}
	cmd.Long = strings.Join(lines, "\n")
	for _, child := range cmd.Commands() {
		forMarkdown(child)
	}
}

func completions(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := cli.Command()
	return cmp.Or(
		root.GenBashCompletionFileV2(filepath.Join(dir, "tunnelform.bash"), true),
		root.GenZshCompletionFile(filepath.Join(dir, "_tunnelform")),
		root.GenFishCompletionFile(filepath.Join(dir, "tunnelform.fish"), true),
	)
}
