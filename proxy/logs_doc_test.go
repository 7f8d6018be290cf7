package proxy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// loggers are the methods whose first text is a line's msg. Lines of the level debug are
// for the makers of the proxy, and are not documented.
var loggers = []string{"Info", "Warn", "Error", "LogAttrs", "LogLost", "logAt"}

// TestLogsAreDocumented holds that docs/logs.md names every line that can be logged: its
// msg is an interface.
func TestLogsAreDocumented(t *testing.T) {
	docs, err := os.ReadFile("../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	note := func(at token.Position, msg string) {
		seen++
		if !strings.Contains(string(docs), "`"+msg+"`") && !strings.Contains(string(docs), "`"+strings.TrimSpace(msg)+" ") {
			t.Errorf("%s: docs/logs.md does not have %q", at, msg)
		}
	}
	for _, root := range []string{".", "../reload"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && (d.Name() == "bench" || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			return eachMessage(path, note)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 30 {
		t.Errorf("found %d lines, want the proxy's", seen)
	}
}

// eachMessage yields the messages of a file's calls of loggers.
func eachMessage(path string, yield func(token.Position, string)) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		var args []ast.Expr
		switch n := n.(type) {
		case *ast.CallExpr:
			if method, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains(loggers, method.Sel.Name) && !isTesting(method.X) {
				args = n.Args
			}
		case *ast.CompositeLit:
			if name, ok := n.Type.(*ast.Ident); ok && name.Name == "logKind" {
				args = n.Elts
			}
		}
		for _, arg := range args {
			if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING {
				msg, _ := strconv.Unquote(text.Value)
				yield(set.Position(text.Pos()), msg)
				break
			}
		}
		return true
	})
	return nil
}

// isTesting reports whether x is a test's t, whose Error is no log's, or package http.
func isTesting(x ast.Expr) bool {
	name, ok := x.(*ast.Ident)
	return ok && (name.Name == "t" || name.Name == "http")
}
