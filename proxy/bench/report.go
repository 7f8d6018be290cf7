package main

// What is printed: Markdown, to be pasted where it is wanted.

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

func printMachine(w io.Writer, installed []peer) {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Fprintf(w, "%d cores, Linux %s, %s\n\n", runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version())
	for _, p := range installed {
		fmt.Fprintf(w, "- %s: %s\n", p.name, p.version())
	}
	fmt.Fprintf(w, "\n| | unit | %s |\n|---|---|%s\n", strings.Join(names(installed), " | "), strings.Repeat("---|", len(installed)))
}

// printResults writes one row: each proxy's median, and in brackets our own as a
// multiple of it, with a mark where the aim was missed.
func printResults(w io.Writer, s scenario, installed []peer, results map[string][]float64) {
	ours := median(results[product])
	cells := make([]string, 0, len(installed))
	for _, p := range installed {
		value := median(results[p.name])
		switch {
		case len(results[p.name]) == 0:
			cells = append(cells, "")
		case p.name == product:
			cells = append(cells, fmt.Sprintf("**%.3g**", value))
		case ours == 0 || value == 0: // nothing to divide by
			cells = append(cells, fmt.Sprintf("%.3g", value))
		default:
			cells = append(cells, fmt.Sprintf("%.3g (%.2f%s)", value, ours/value, verdict(s, p.name, ours/value)))
		}
	}
	fmt.Fprintf(w, "| %s: %s | %s | %s |\n", s.name, s.about, s.unit, strings.Join(cells, " | "))
}

func verdict(s scenario, other string, ratio float64) string {
	target, aimed := s.target[other]
	switch {
	case !aimed:
		return ""
	case ratio <= target:
		return fmt.Sprintf(" ≤ %.2f", target)
	}
	return fmt.Sprintf(" **>** %.2f", target)
}
