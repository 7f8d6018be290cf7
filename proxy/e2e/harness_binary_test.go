package e2e

// The binary under test, built once by the first scenario that needs it, and which
// scenarios test it.

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long anything may take before a scenario gives up on it: much
// longer than it takes on a machine that is busy with everything else.
const patience = 60 * time.Second

// moduleRoot is where the binary is built and routes.example.yaml stands.
const moduleRoot = "../.."

// binaryDir holds what binary built; TestMain removes it.
var binaryDir string

func TestMain(m *testing.M) {
	if name := os.Getenv(backendVariable); name != "" {
		os.Exit(runBackend(name))
	}
	chooseTests()
	// A binary under the race detector would sleep for a second at its end.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if binaryDir != "" {
			os.RemoveAll(binaryDir)
		}
		os.Exit(status)
	}))
}

// quick is what runs with -short: a scenario of each kind.
const quick = "^Test(Prefix|RoundRobin|TermDrains|EditTouchesOnlyItsOwn|BadEditChangesNothing|HUPReadsAgain|" +
	"Violations|SmuggledRequest|HTTP2Clients|SNI|TunnelLimits|Pings|StickyCookie|QueueFollowsEdits|RedialDrained|EveryKeyIsShown)$"

// chooseTests sets what the command line leaves open. More scenarios run in parallel than
// there are processors, as they wait more than they work.
func chooseTests() {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	parallel := 4 * runtime.GOMAXPROCS(0)
	if raceDetector {
		parallel /= 2
	}
	if !given["test.parallel"] {
		flag.Set("test.parallel", strconv.Itoa(parallel))
	}
	if testing.Short() && !given["test.run"] {
		flag.Set("test.run", quick)
	}
}

// binaryVariable names a tunnelform to test instead of one that is built here, such as a
// script that runs another architecture's under an emulator.
const binaryVariable = "TUNNELFORM_BINARY"

// binary returns the path of the tunnelform under test.
func binary(t testing.TB) string {
	t.Helper()
	built, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return built
}

var buildOnce = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(binaryVariable); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "tunnelform-e2e-")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	var flags []string
	if raceDetector {
		flags = append(flags, "-race")
	}
	return build(filepath.Join(dir, "tunnelform"), os.Environ(), flags...)
})

// build makes the binary at path. Its commit is not stamped: a clone that
// belongs to another user would otherwise not build.
func build(path string, env []string, flags ...string) (string, error) {
	args := append([]string{"build", "-buildvcs=false", "-o", path}, flags...)
	command := exec.Command("go", append(args, ".")...)
	command.Dir = moduleRoot
	command.Env = env
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, output)
	}
	return path, nil
}
