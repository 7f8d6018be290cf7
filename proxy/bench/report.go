package main

// What is printed: Markdown, to be pasted where it is wanted. Two tables: the
// proxies side by side, and what Tunnelform does under pressure.

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// printFiles prints what files of records hold together.
func printFiles(w io.Writer, files []string) error {
	var all []record
	for _, file := range files {
		records, err := readRecords(file)
		if err != nil {
			return err
		}
		all = append(all, records...)
	}
	printRecords(w, latest(all))
	return nil
}

func printRecords(w io.Writer, records []record) {
	seen := measured(records)
	printMachines(w, records)
	if rows := chosen(records, false); len(rows) > 0 {
		fmt.Fprintf(w, "\n| | unit | %s | load |\n|---|---|%s---|\n", strings.Join(seen, " | "), strings.Repeat("---|", len(seen)))
		for _, r := range rows {
			printRow(w, r, seen, records)
		}
	}
	if rows := chosen(records, true); len(rows) > 0 {
		fmt.Fprintf(w, "\n| under pressure | unit | measured | wanted | | others |\n|---|---|---|---|---|---|\n")
		for _, r := range rows {
			printPressure(w, r, seen, records)
		}
	}
	printWarnings(w, records)
}

func printMachines(w io.Writer, records []record) {
	var machines, versions []string
	for _, r := range records {
		machines = append(machines, r.Machine)
		versions = append(versions, r.Proxy+": "+r.Version)
	}
	for _, list := range [][]string{machines, versions} {
		slices.Sort(list)
		for _, line := range slices.Compact(list) {
			fmt.Fprintf(w, "- %s\n", line)
		}
	}
}

// measured are the proxies that have records, in the usual order.
func measured(records []record) []string {
	return slices.DeleteFunc(names(peers), func(name string) bool {
		return !slices.ContainsFunc(records, func(r record) bool { return r.Proxy == name })
	})
}

// line is one row of a table, with its scenario.
type line struct {
	scenario scenario
	row      row
}

// chosen are the rows of one of the two tables that anything was measured for.
func chosen(records []record, pressure bool) (lines []line) {
	for _, s := range scenarios {
		for _, r := range s.rows {
			there := slices.ContainsFunc(records, func(rec record) bool { return rec.Scenario == s.name && rec.Row == r.name })
			if there && s.pressure == pressure {
				lines = append(lines, line{s, r})
			}
		}
	}
	return lines
}

// printRow writes each proxy's median with the spread, and in brackets our own as
// a multiple of it, with a mark where the aim was missed.
func printRow(w io.Writer, l line, seen []string, records []record) {
	ours, _ := sumUp(records, l.scenario.name, l.row.name, product)
	cells := make([]string, 0, len(seen))
	for _, name := range seen {
		got, ok := sumUp(records, l.scenario.name, l.row.name, name)
		text := amount(got)
		switch {
		case !ok:
			text = ""
		case name == product:
			text = "**" + text + "**" + ownVerdict(l.row, got)
		case ours.median != 0 && got.median != 0:
			ratio := ours.median / got.median
			text += fmt.Sprintf(" · %.2f%s", ratio, verdict(l.row, name, ratio))
		}
		cells = append(cells, text)
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s |\n", l.about(), l.row.unit, strings.Join(cells, " | "), shares(ours))
}

func (l line) about() string {
	if l.row.about == "" {
		return l.scenario.name + ": " + l.scenario.about
	}
	return l.scenario.name + ": " + l.scenario.about + ", " + l.row.about
}

// amount is a median and, where they differ, the least and the greatest.
func amount(s summary) string {
	text := figure(s.median)
	if figure(s.least) != figure(s.greatest) {
		text += fmt.Sprintf(" (%s–%s)", figure(s.least), figure(s.greatest))
	}
	return text
}

// figure writes three digits, and whole numbers whole.
func figure(v float64) string {
	if v >= 1000 || v == float64(int64(v)) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// shares is how many cores the load and our proxy used.
func shares(s summary) string {
	if s.busy == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f to %.1f", s.load, s.busy)
}

func verdict(r row, other string, ratio float64) string {
	target, aimed := r.ratio[other]
	switch {
	case !aimed:
		return ""
	case ratio <= target:
		return fmt.Sprintf(" ≤ %.2f", target)
	}
	return fmt.Sprintf(" **>** %.2f", target)
}

func ownVerdict(r row, ours summary) string {
	switch {
	case r.most == nil:
		return ""
	case ours.median <= *r.most:
		return " ≤ " + figure(*r.most)
	}
	return " **>** " + figure(*r.most)
}

// printPressure writes our own figure beside the one aimed at, and what others
// have of it.
func printPressure(w io.Writer, l line, seen []string, records []record) {
	ours, ok := sumUp(records, l.scenario.name, l.row.name, product)
	text, wanted, result := amount(ours), "", ""
	if l.row.most != nil {
		wanted, result = "≤ "+figure(*l.row.most), "pass"
		if ours.median > *l.row.most {
			result = "**fail**"
		}
	}
	if !ok {
		text, result = "", ""
	}
	var others []string
	for _, name := range seen {
		if got, ok := sumUp(records, l.scenario.name, l.row.name, name); ok && name != product {
			others = append(others, name+" "+amount(got))
		}
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", l.about(), l.row.unit, text, wanted, result, strings.Join(others, ", "))
}

// tooBusy is how many cores the load may use beyond the proxy's before its figures
// say more of the load.
const tooBusy = 0.8

// printWarnings names the figures that the load may have spoiled.
func printWarnings(w io.Writer, records []record) {
	var warned []string
	for _, r := range records {
		s, _ := sumUp(records, r.Scenario, r.Row, r.Proxy)
		if s.busy > 0 && s.load-s.busy > tooBusy {
			warned = append(warned, fmt.Sprintf("%s, %s: the load used %.1f cores, the proxy %.1f", r.Scenario, r.Proxy, s.load, s.busy))
		}
	}
	slices.Sort(warned)
	for i, text := range slices.Compact(warned) {
		if i == 0 {
			fmt.Fprintf(w, "\nWhere the load was busier than the proxy by more than %.1f of a core:\n\n", tooBusy)
		}
		fmt.Fprintf(w, "- %s\n", text)
	}
	if len(records) == 0 {
		fmt.Fprintln(os.Stderr, "bench: nothing was measured")
	}
}
