package main

// A running proxy: its processes, and what they have used.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// running is a proxy that accepts connections. Its methods may be called
// concurrently; what started it stops it.
type running struct {
	site site
	addr string
	tls  bool
	log  string // file that it writes its output to
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// spawn starts a command in a process group of its own and waits until it
// accepts connections. Should this process be killed, the kernel kills it.
func spawn(ctx context.Context, s site, name string, args []string) (*running, error) {
	output := filepath.Join(s.dir, "output")
	log, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if s.descriptors > 0 {
		limited := []string{"-c", `ulimit -n "$1" && shift && exec "$@"`, "sh", strconv.Itoa(s.descriptors), name}
		name, args = "/bin/sh", append(limited, args...)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &running{site: s, addr: s.address(), tls: s.tls, log: output, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(r.done)
	}()
	if err := r.ready(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *running) ready(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; {
		conn, err := net.Dial("tcp", r.addr)
		if err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("%s ended at once: %s", r.cmd.Path, r.output())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not accept at %s", r.cmd.Path, r.addr)
}

// output is what it has written so far.
func (r *running) output() string {
	said, _ := os.ReadFile(r.log)
	return string(said)
}

// kill ends the process group. Its number is not used again before its first
// process has been waited for, and not while any other is left.
func (r *running) kill() {
	select {
	case <-r.done:
		if syscall.Kill(-r.cmd.Process.Pid, 0) != nil {
			return
		}
	default:
	}
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
}

// stop kills the process group and waits until it is gone.
func (r *running) stop() {
	r.kill()
	<-r.done
	for range 500 {
		if syscall.Kill(-r.cmd.Process.Pid, 0) != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// pids are the process and all its descendants.
func (r *running) pids() []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		fields, err := statFields(file)
		if err != nil {
			continue // it has just ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	all := []int{r.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// statFields are those of /proc/PID/stat behind the command's name: state, parent, ...
func statFields(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, rest, ok := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 14 {
		return nil, errors.New("short stat")
	}
	return fields, nil
}

// tick is the kernel's unit of CPU time for user space, 100 a second on Linux.
const tick = 10 * time.Millisecond

// cpu is user and system time of all processes since their start.
func (r *running) cpu() time.Duration {
	var ticks int64
	for _, pid := range r.pids() {
		fields, err := statFields(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		user, _ := strconv.ParseInt(fields[11], 10, 64)
		system, _ := strconv.ParseInt(fields[12], 10, 64)
		ticks += user + system
	}
	return time.Duration(ticks) * tick
}

// memory sums a field of smaps_rollup ("Rss", "Pss") over all processes, in KiB.
func (r *running) memory(field string) int64 {
	var sum int64
	for _, pid := range r.pids() {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if rest, ok := strings.CutPrefix(line, field+":"); ok {
				n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				sum += n
			}
		}
	}
	return sum
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
