// Command bench compares Tunnelform with Apache, nginx, HAProxy, Caddy and with
// the smallest relay that can be written in C, which is the kernel's own price.
//
//	cd proxy/bench && go run . [-quick] [-only REGEXP] [-proxies LIST] [-rounds N]
//
// Every proxy gets an equivalent configuration (configs.go), its access log on,
// and the same backend and load, both in this process (backend.go, load.go).
// Rounds are interleaved: each round measures every proxy once, in another
// order. What is printed are medians of what the proxies' processes used (CPU
// from /proc/PID/stat, memory from /proc/PID/smaps_rollup), never wall time of a
// busy machine, and their ratios to the others.
//
// All traffic stays on 127.0.0.1, and every scenario is bounded in time and
// connections. Proxies that are not installed are left out, with a line that
// says so.
package main

import (
	"flag"
	"fmt"
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
	if err := run(); err != nil {
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
}

func parseFlags() (options, error) {
	quick := flag.Bool("quick", false, "three rounds of one second, and the short list of scenarios")
	only := flag.String("only", "", "measure only the scenarios that match this regular expression")
	proxies := flag.String("proxies", "", "measure only these, comma-separated: "+strings.Join(names(peers), ", "))
	rounds := flag.Int("rounds", 0, "rounds (default 5, with -quick 3)")
	flag.Parse()
	o := options{quick: *quick, rounds: *rounds, length: 3 * time.Second}
	if o.quick {
		o.length = time.Second
	}
	if o.rounds == 0 {
		o.rounds = 5
		if o.quick {
			o.rounds = 3
		}
	}
	if *proxies != "" {
		o.proxies = strings.Split(*proxies, ",")
	}
	var err error
	o.only, err = regexp.Compile(*only)
	return o, err
}

// run measures everything that was asked for, and prints.
func run() error {
	o, err := parseFlags()
	if err != nil {
		return err
	}
	raiseDescriptorLimit()
	dir, err := os.MkdirTemp("", "tunnelform-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	installed, err := prepare(dir, o)
	if err != nil {
		return err
	}
	printMachine(os.Stdout, installed)
	for _, s := range scenarios {
		if !o.only.MatchString(s.name) || o.quick && !s.quick {
			continue
		}
		results, err := measure(dir, o, s, installed, stop)
		if err != nil {
			return err
		}
		printResults(os.Stdout, s, installed, results)
	}
	return nil
}

// measure plays one scenario in rounds over all proxies. A proxy that fails has
// no result, and says why.
func measure(dir string, o options, s scenario, installed []peer, stop <-chan os.Signal) (map[string][]float64, error) {
	results := make(map[string][]float64)
	for round := range o.rounds {
		for _, i := range rand.Perm(len(installed)) {
			select {
			case <-stop:
				return nil, fmt.Errorf("interrupted")
			default:
			}
			p := installed[i]
			if !s.fits(p) {
				continue
			}
			value, err := once(dir, o, s, p)
			if err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s, %s, round %d: %v\n", s.name, p.name, round+1, err)
				continue
			}
			results[p.name] = append(results[p.name], value)
		}
	}
	return results, nil
}

// once starts the proxy, plays the scenario, and stops the proxy.
func once(dir string, o options, s scenario, p peer) (float64, error) {
	b, err := startBackend()
	if err != nil {
		return 0, err
	}
	defer b.close()
	proxy, err := p.launch(dir, b.addr, s.tls)
	if err != nil {
		return 0, err
	}
	defer proxy.stop()
	return s.play(proxy, o)
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

func raiseDescriptorLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}
