package main

// What was measured: kept as JSON, one object a line, merged, summed up.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// record is one number of one play.
type record struct {
	At       time.Time `json:"at"`  // when the play ended
	Run      string    `json:"run"` // what was measured together has it in common
	Machine  string    `json:"machine"`
	Scenario string    `json:"scenario"`
	Row      string    `json:"row"`
	Proxy    string    `json:"proxy"`
	Version  string    `json:"version"`
	Value    float64   `json:"value"` // in the row's unit
	// Cores in use meanwhile, by the load (client and backend) and by the proxy;
	// 0 where CPU was not measured.
	Load float64 `json:"load,omitempty"`
	Busy float64 `json:"busy,omitempty"`
}

// thisRun names this process's measurements.
var thisRun = time.Now().UTC().Format("2006-01-02T15:04:05Z")

func (s *stage) records(sc scenario, values []float64) (records []record) {
	for i, r := range sc.rows {
		if math.IsNaN(values[i]) {
			continue // this machine cannot tell
		}
		records = append(records, record{
			At: time.Now().UTC().Truncate(time.Second), Run: thisRun, Machine: machine(), Scenario: sc.name, Row: r.name,
			Proxy: s.peer.name, Version: s.peer.version, Value: values[i], Load: s.busy.load, Busy: s.busy.proxy,
		})
	}
	return records
}

func machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, model, _ := strings.Cut(string(info), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	return fmt.Sprintf("%d cores of %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), runtime.Version())
}

// appendRecords adds to a file; "" is none.
func appendRecords(file string, records []record) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(f)
	for _, r := range records {
		if err := encoder.Encode(r); err != nil {
			f.Close()
			return err
		}
	}
	return f.Close()
}

func readRecords(file string) (records []record, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for decoder := json.NewDecoder(f); ; {
		var r record
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return records, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		records = append(records, r)
	}
}

// latest leaves of each scenario the run that was made last: ratios are of one run.
func latest(records []record) []record {
	last := make(map[string]string)
	for _, r := range records {
		last[r.Scenario] = max(last[r.Scenario], r.Run)
	}
	return slices.DeleteFunc(slices.Clone(records), func(r record) bool { return r.Run != last[r.Scenario] })
}

// summary is one row of one proxy.
type summary struct {
	median, least, greatest float64
	load, busy              float64 // medians
}

// sumUp returns false when nothing was measured.
func sumUp(records []record, scenario, row, proxy string) (summary, bool) {
	var values, load, busy []float64
	for _, r := range records {
		if r.Scenario == scenario && r.Row == row && r.Proxy == proxy {
			values, load, busy = append(values, r.Value), append(load, r.Load), append(busy, r.Busy)
		}
	}
	if len(values) == 0 {
		return summary{}, false
	}
	return summary{median(values), slices.Min(values), slices.Max(values), median(load), median(busy)}, true
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	if len(sorted)%2 == 1 {
		return sorted[len(sorted)/2]
	}
	return (sorted[len(sorted)/2-1] + sorted[len(sorted)/2]) / 2
}

// percentile is the p-th, from 0 to 1, by nearest rank.
func percentile(waits []time.Duration, p float64) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(waits))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
