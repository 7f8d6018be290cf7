package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// Parts of a run in two files, one scenario measured again later.
func sampleRecords() (first, second []record) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	note := func(run, scenario, row, proxy string, load, busy float64, values ...float64) (list []record) {
		for _, v := range values {
			list = append(list, record{At: at, Run: run, Machine: "2 cores", Scenario: scenario, Row: row, Proxy: proxy, Version: "1", Value: v, Load: load, Busy: busy})
		}
		return list
	}
	first = slices.Concat(
		note("2026-01-01", "echo-64B-100", "cpu", product, 1, 1, 99),
		note("2026-01-01", "idle-9000", "rss", product, 0, 0, 0.4),
		note("2026-01-01", "idle-9000", "rss", "nginx", 0, 0, 17.5),
		note("2026-01-01", "descriptors", "again", product, 0, 0, 250),
		note("2026-01-01", "reload", "dropped", product, 0, 0, 0),
		note("2026-01-01", "reload", "dropped", "caddy", 0, 0, 2000),
	)
	second = slices.Concat(
		note("2026-01-02", "echo-64B-100", "cpu", product, 1, 0.9, 11, 13, 12),
		note("2026-01-02", "echo-64B-100", "cpu", "nginx", 1.5, 0.6, 12, 12, 12),
		note("2026-01-02", "echo-64B-100", "cpu", "relay", 1, 1, 11.5),
	)
	return first, second
}

// Files of records are put together, and the later run of a scenario counts.
func TestPrintFiles(t *testing.T) {
	dir := t.TempDir()
	first, second := sampleRecords()
	a, b := filepath.Join(dir, "a.json"), filepath.Join(dir, "b.json")
	for _, part := range [][]record{first[:2], first[2:]} { // appended
		if err := appendRecords(a, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := appendRecords(b, second); err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]string{{a, b}, {b, a}} {
		var got bytes.Buffer
		if err := run(&got, append([]string{"-table"}, order...)); err != nil {
			t.Fatal(err)
		}
		golden(t, "table.md", got.Bytes())
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %v\ngot:\n%s\nwant:\n%s", file, err, got, want)
	}
}

func TestReadRecordsSaysWhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "half")
	if err := os.WriteFile(file, []byte(`{"scenario":"x"}`+"\n"+`{"scen`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readRecords(file); err == nil {
		t.Error("no error from half a record")
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}} {
		if got := median(test.values); got != test.want {
			t.Errorf("%v: %v, want %v", test.values, got, test.want)
		}
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 2: "2", 0.123456: "0.123", 12.34: "12.3", 1234.5: "1234", 9000: "9000"} {
		if got := figure(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

// What the tables rest on: names are apart, and each row is played for.
func TestScenarios(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range scenarios {
		if seen[s.name] || s.play == nil || len(s.rows) == 0 {
			t.Errorf("%s: named twice, or without play or rows", s.name)
		}
		seen[s.name] = true
		for _, name := range s.proxies {
			if !slices.Contains(names(peers), name) {
				t.Errorf("%s: proxy %q is none of ours", s.name, name)
			}
		}
		for _, r := range s.rows {
			for name := range r.ratio {
				if !slices.Contains(names(peers), name) {
					t.Errorf("%s: ratio to %q, which is none of ours", s.name, name)
				}
			}
		}
	}
}

func TestFlagsRefused(t *testing.T) {
	for _, args := range [][]string{{"-proxies", "squid"}, {"-only", "("}, {"-table"}, {"stray"}} {
		if _, err := parseFlags(args); err == nil {
			t.Errorf("%q: taken", args)
		}
	}
}
