// Command bench compares Tunnelform with Apache, nginx, HAProxy, Caddy and with
// the smallest relay that can be written in C, which is the kernel's own price;
// and it puts Tunnelform under pressure.
//
//	cd proxy/bench && go run . [-quick] [-only REGEXP] [-proxies LIST] [-rounds N] [-before PROGRAM] [-out FILE]
//	cd proxy/bench && go run . -table FILE...
//
// Every proxy gets an equivalent configuration (configs.go), its access log on,
// and the same backend and load, both in this process (backend.go, load.go,
// loop.go). Rounds are interleaved: each round measures every proxy once, in
// another order. What is printed are medians, the least and the greatest beside
// them, of what the proxies' processes used (CPU from /proc/PID/stat, memory from
// /proc/PID/smaps_rollup), seldom wall time of a busy machine, and their ratios.
//
// -out keeps every single measurement, one JSON object a line, appended: a full
// run can be made in parts, and -table prints the parts together. Where a
// scenario was measured again, the last run of it counts.
//
// All traffic stays on 127.0.0.1, and every scenario is bounded in time,
// connections and descriptors. Proxies that are not installed are left out, with
// a line that says so. However the run ends, the proxies end with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	quick   bool
	only    *regexp.Regexp
	proxies []string
	rounds  int
	length  time.Duration // of one measurement
	before  string        // another build of the product, measured beside this one; "" none
	out     string        // file that every measurement is appended to; "" none
	tables  []string      // files to print instead of measuring
}

func parseFlags(args []string) (options, error) {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	quick := flags.Bool("quick", false, "short rounds, and the short list of scenarios: three minutes")
	only := flags.String("only", "", "measure only the scenarios that match this regular expression")
	proxies := flags.String("proxies", "", "measure only these, comma-separated: "+strings.Join(names(peers), ", "))
	rounds := flags.Int("rounds", 0, "rounds, where a scenario does not want fewer (default 3, with -quick 2)")
	earlier := flags.String("before", "", "measure this build of the product too, as \"before\"")
	out := flags.String("out", "", "append every measurement to this file")
	table := flags.Bool("table", false, "measure nothing: print what the files named hold")
	_ = flags.Parse(args) // exits on a mistake
	o := options{quick: *quick, rounds: 3, length: 1500 * time.Millisecond, before: *earlier, out: *out}
	if o.quick {
		o.rounds, o.length = 2, 600*time.Millisecond
	}
	if *rounds > 0 {
		o.rounds = *rounds
	}
	if *table {
		o.tables = flags.Args()
	}
	if *table != (flags.NArg() > 0) {
		return o, fmt.Errorf("arguments %q: wanted files behind -table, and nothing without it", flags.Args())
	}
	if *proxies != "" {
		o.proxies = strings.Split(*proxies, ",")
	}
	for _, name := range o.proxies {
		if !slices.Contains(names(peers), name) {
			return o, fmt.Errorf("proxy %q: wanted one of %s", name, strings.Join(names(peers), ", "))
		}
	}
	var err error
	o.only, err = regexp.Compile(*only)
	return o, err
}

// wants says whether a scenario was asked for: by its name, or because it belongs
// to the run.
func (o options) wants(s scenario) bool {
	if s.standIn && !o.quick && o.only.String() == "" {
		return false
	}
	return o.only.MatchString(s.name) && (s.quick || !o.quick)
}

// run measures everything that was asked for, and prints.
func run(w io.Writer, args []string) error {
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	if len(o.tables) > 0 {
		return printFiles(w, o.tables)
	}
	raiseDescriptorLimit()
	dir, err := os.MkdirTemp("", "tunnelform-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	installed, err := prepare(dir, o)
	if err != nil {
		return err
	}
	return measureAll(ctx, w, dir, o, installed)
}

func measureAll(ctx context.Context, w io.Writer, dir string, o options, installed []peer) error {
	var all []record
	for _, s := range scenarios {
		if !o.wants(s) {
			continue
		}
		began := time.Now()
		records := measure(ctx, dir, o, s, installed)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %v\n", s.name, time.Since(began).Round(time.Second))
		all = append(all, records...)
		if err := appendRecords(o.out, records); err != nil {
			return err
		}
	}
	printRecords(w, all)
	return nil
}

// measure plays one scenario in rounds over all proxies. A proxy that fails has
// no result, and says why.
func measure(ctx context.Context, dir string, o options, s scenario, installed []peer) (records []record) {
	for round := range s.roundsOf(o) {
		for _, i := range rand.Perm(len(installed)) {
			p := installed[i]
			if !s.fits(p) || ctx.Err() != nil {
				continue
			}
			got, err := once(ctx, dir, o, s, p)
			if err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s, %s, round %d: %v\n", s.name, p.name, round+1, err)
				continue
			}
			records = append(records, got...)
		}
	}
	return records
}

func raiseDescriptorLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}
