package main

// The sources of a release, and the binaries made of them.

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// release is one of the two times that a release is built.
type release struct {
	version string // 1.2.3
	commit  string
	time    time.Time // the commit's
	module  string    // the product's module path

	source    string // the clone
	generated string // manual pages and completions
	binaries  string
	dist      string // what is published
	env       []string
}

// binary is a built program.
type binary struct {
	name     string // of the program
	platform platform
	data     []byte
	info     *buildinfo.BuildInfo
	licenses []byte // of everything that is linked into it
}

func distOf(dir string) string { return filepath.Join(dir, "dist") }

// newRelease clones the HEAD of repo below dir. A clone, not a copy of the working tree:
// only what is committed can be built again.
func newRelease(repo, dir, version, cache string) (*release, error) {
	r := &release{
		version: version,
		source:  filepath.Join(dir, "source"), generated: filepath.Join(dir, "generated"),
		binaries: filepath.Join(dir, "binaries"), dist: distOf(dir),
	}
	for _, made := range []string{r.generated, r.binaries, r.dist} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return nil, err
		}
	}
	commit, err := output(repo, nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return nil, err
	}
	if tagged, err := output(repo, nil, "git", "rev-parse", "--verify", "--quiet", "refs/tags/v"+version+"^{commit}"); err == nil && tagged != commit {
		return nil, fmt.Errorf("v%s is the tag of %s, and HEAD is %s", version, tagged, commit)
	}
	// The tag is set here too, not only in the repository: from it the go command takes
	// the version that it stamps, and a release can be tried before it is tagged.
	// Its options are named, so that a user's configuration of git changes nothing.
	for _, args := range [][]string{
		{"clone", "--quiet", "--no-checkout", "--no-tags", repo, r.source},
		{"-C", r.source, "-c", "core.autocrlf=false", "-c", "advice.detachedHead=false", "checkout", "--quiet", commit},
		{"-C", r.source, "-c", "tag.gpgSign=false", "tag", "v" + version},
	} {
		if _, err := output(".", nil, "git", args...); err != nil {
			return nil, err
		}
	}
	seconds, err := output(r.source, nil, "git", "show", "--no-patch", "--format=%ct", "HEAD")
	if err != nil {
		return nil, err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, err
	}
	r.commit, r.time = commit, time.Unix(unix, 0).UTC()
	r.env, err = goEnvironment(r.source, cache)
	if err != nil {
		return nil, err
	}
	r.module, err = output(r.source, r.env, "go", "list", "-m")
	return r, err
}

// goEnvironment is the environment of the go command: where modules come from is taken
// from the user's, and nothing that could change what is built.
func goEnvironment(source, cache string) ([]string, error) {
	toolchain, err := namedToolchain(source)
	if err != nil {
		return nil, err
	}
	list, err := output(source, nil, "go", "env", "-json", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOAUTH", "GOMODCACHE", "GOCACHE")
	if err != nil {
		return nil, err
	}
	kept := map[string]string{}
	if err := json.Unmarshal([]byte(list), &kept); err != nil {
		return nil, err
	}
	if cache != "" {
		kept["GOCACHE"] = cache
	}
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GO") && !strings.HasPrefix(variable, "CGO_") {
			env = append(env, variable)
		}
	}
	for name, value := range kept {
		env = append(env, name+"="+value)
	}
	return append(env, "GOENV=off", "GOWORK=off", "GOTOOLCHAIN="+toolchain, "GOFLAGS=-mod=readonly",
		"CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0"), nil
}

func namedToolchain(source string) (string, error) {
	file, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(file)) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "toolchain "); found {
			return name, nil
		}
	}
	return "", fmt.Errorf("go.mod names no toolchain")
}

// generate writes the manual pages and the completions.
func (r *release) generate() error {
	_, err := output(r.source, r.host(), "go", "run", "./docs/deploy/generate",
		"-date", r.time.Format(time.DateOnly), "-source", "tunnelform "+r.version, r.generated)
	return err
}

// host is r.env for programs that run here.
func (r *release) host() []string {
	return append(r.env[:len(r.env):len(r.env)], "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

// build builds the program in pkg; variable is set by the linker.
func (r *release) build(target platform, pkg, name, variable string) (binary, error) {
	path := filepath.Join(r.binaries, target.String(), name)
	env := append(r.env[:len(r.env):len(r.env)], "GOOS="+target.os, "GOARCH="+target.arch)
	_, err := output(r.source, env, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w -X "+variable, "-o", path, pkg)
	if err != nil {
		return binary{}, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return binary{}, err
	}
	info, err := buildinfo.Read(bytes.NewReader(data))
	if err != nil {
		return binary{}, err
	}
	if err := r.checkStamp(info); err != nil {
		return binary{}, fmt.Errorf("%s for %s: %w", name, target, err)
	}
	licenses, err := r.licenses(env, pkg)
	return binary{name: name, platform: target, data: data, info: info, licenses: licenses}, err
}

// checkStamp holds what the go command has stamped against what is released.
func (r *release) checkStamp(info *buildinfo.BuildInfo) error {
	if want := "v" + r.version; info.Main.Version != want {
		return fmt.Errorf("the build is stamped %s, want %s", info.Main.Version, want)
	}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision" && setting.Value != r.commit:
			return fmt.Errorf("the build is stamped with commit %s, want %s", setting.Value, r.commit)
		case setting.Key == "vcs.modified" && setting.Value != "false":
			return fmt.Errorf("the clone was modified")
		}
	}
	return nil
}

// licenses returns the licenses of Go and of the modules that pkg is built of: most of
// them ask to be handed on with the binary.
func (r *release) licenses(env []string, pkg string) ([]byte, error) {
	root, err := output(r.source, env, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	list, err := output(r.source, env, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", pkg)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	seen := map[string]bool{"": true}
	for line := range strings.Lines("The Go standard library\t" + root + "\n" + list) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if seen[name] {
			continue
		}
		seen[name] = true
		found, err := licensesIn(dir)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s has no license", name)
		}
		fmt.Fprintf(&text, "==== %s ====\n\n%s\n", name, found)
	}
	return text.Bytes(), nil
}

func licensesIn(dir string) ([]byte, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, file := range files {
		name := strings.ToUpper(file.Name())
		wanted := strings.HasPrefix(name, "LICEN") || strings.HasPrefix(name, "COPYING") || strings.HasPrefix(name, "NOTICE") || strings.HasPrefix(name, "PATENTS")
		if !wanted || !file.Type().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return nil, err
		}
		text = append(append(text, bytes.TrimSpace(data)...), "\n\n"...)
	}
	return text, nil
}

// output runs a program in dir and returns what it prints, without the last newline.
func output(dir string, env []string, name string, args ...string) (string, error) {
	command := exec.Command(name, args...)
	command.Dir, command.Env = dir, env
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdout, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", command, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(stdout)), nil
}
