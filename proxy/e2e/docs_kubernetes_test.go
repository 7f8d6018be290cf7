package e2e

// docs/deploy/kubernetes-sidecar.yaml: the application must outlive the proxy's drain,
// which is a matter of the order in which a kubelet ends containers.

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// container is what the tests need of one.
type container struct {
	Name          string
	Image         string
	Args          []string
	RestartPolicy string `yaml:"restartPolicy"`
	Ports         []struct {
		ContainerPort int `yaml:"containerPort"`
	}
	StartupProbe struct {
		PeriodSeconds    int `yaml:"periodSeconds"`
		FailureThreshold int `yaml:"failureThreshold"`
	} `yaml:"startupProbe"`
}

func (c container) isProxy() bool { return len(c.Args) > 0 && c.Args[0] == "serve" }

// sidecarPod is the manifest's pod and its routes file.
type sidecarPod struct {
	Grace          int         `yaml:"terminationGracePeriodSeconds"`
	InitContainers []container `yaml:"initContainers"`
	Containers     []container
	routes         string
}

func readSidecarPod(t *testing.T) (pod sidecarPod) {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "deploy", "kubernetes-sidecar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(manifest), "\n---\n") {
		var object struct {
			Kind string
			Data map[string]string
			Spec struct{ Template struct{ Spec sidecarPod } }
		}
		if err := yamledit.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		switch object.Kind {
		case "ConfigMap":
			pod.routes = object.Data["routes.yaml"]
		case "Deployment":
			routes := pod.routes
			pod = object.Spec.Template.Spec
			pod.routes = routes
		}
	}
	if pod.routes == "" || len(pod.Containers) == 0 {
		t.Fatal("no routes or no containers in the manifest")
	}
	return pod
}

// ended are the containers in the order in which a kubelet ends them: the ordinary ones
// together, and when they are gone the sidecars, the last one first.
func (p sidecarPod) ended() (first, later []container) {
	for i := len(p.InitContainers) - 1; i >= 0; i-- {
		if p.InitContainers[i].RestartPolicy == "Always" {
			later = append(later, p.InitContainers[i])
		}
	}
	return p.Containers, later
}

// TestSidecarManifest: the proxy is ended before the application, and has the time for it.
func TestSidecarManifest(t *testing.T) {
	t.Parallel()
	pod := readSidecarPod(t)
	first, later := pod.ended()
	if len(first) != 1 || !first[0].isProxy() || len(later) != 1 || later[0].isProxy() {
		t.Fatalf("a kubelet ends %v and then %v, wanted the proxy and then the application", first, later)
	}
	file, mistakes := routefile.Parse("routes.yaml", []byte(pod.routes))
	if mistakes = append(mistakes, routefile.Check(file)...); len(mistakes) > 0 || len(file.Routes) == 0 {
		t.Fatalf("%d routes, mistakes: %v", len(file.Routes), mistakes)
	}
	set := routefile.NewSet(file)
	needs := set.Shutdown.Delay + set.Shutdown.Window
	for name, route := range set.Routes {
		needs = max(needs, set.Shutdown.Delay+set.Shutdown.Window+route.Resolved.Drain.CloseTimeout)
		if port := later[0].Ports[0].ContainerPort; !strings.HasSuffix(route.Route.To.Host, ":"+strconv.Itoa(port)) {
			t.Errorf("route %s leads to %s, and the application listens on %d", name, route.Route.To.Host, port)
		}
	}
	if grace := time.Duration(pod.Grace) * time.Second; grace < needs+10*time.Second {
		t.Errorf("%v until SIGKILL, wanted the %v that the proxy may take, and some for the application", grace, needs)
	}
	for _, l := range set.Listeners {
		if _, port, _ := net.SplitHostPort(l.Address); port != strconv.Itoa(first[0].Ports[0].ContainerPort) {
			t.Errorf("the proxy listens on %s, and its container has port %d", l.Address, first[0].Ports[0].ContainerPort)
		}
	}
	tagged := regexp.MustCompile(`^[^ ]+/[^ /:]+:v?[0-9][^ ]*$`)
	for _, c := range append(first, later...) {
		if !tagged.MatchString(c.Image) {
			t.Errorf("image %q of %s, wanted one with a version", c.Image, c.Name)
		}
		if p := c.StartupProbe; p.PeriodSeconds*p.FailureThreshold < 30 {
			t.Errorf("%s has %d times %ds to start, wanted 30s at least", c.Name, p.FailureThreshold, p.PeriodSeconds)
		}
	}
}

// TestKubeletsOrder plays a kubelet that ends the manifest's pod: SIGTERM to the proxy, and
// to the application when the proxy has ended. The tunnels are closed by the proxy, over its
// window, and none is lost.
func TestKubeletsOrder(t *testing.T) {
	t.Parallel()
	const tunnels, window = 20, 3 * time.Second
	if first, later := readSidecarPod(t).ended(); len(first) != 1 || !first[0].isProxy() || len(later) != 1 {
		t.Fatalf("a kubelet ends %v and then %v: this is not what is played here", first, later)
	}
	routes := readSidecarPod(t).routes
	application := newProcess(t, "application")
	for old, new := range map[string]string{
		`":8080"`:                `"127.0.0.1:0"`,
		"delay: 5s, window: 15s": "delay: 100ms, window: " + window.String(),
		"127.0.0.1:9000":         application.address,
	} {
		if !strings.Contains(routes, old) {
			t.Fatalf("no %q in the manifest's routes", old)
		}
		routes = strings.ReplaceAll(routes, old, new)
	}
	p := start(t, routes)
	conns := dialMany(t, p.ws("/ws"), tunnels)
	var reading sync.WaitGroup
	times := make(chan time.Time, tunnels)
	for _, conn := range conns {
		reading.Go(func() {
			_, _, err := conn.ReadMessage()
			times <- time.Now()
			if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("a tunnel ended with %v, wanted a Close frame with 1001", err)
			}
			conn.Close()
		})
	}
	p.signal(syscall.SIGTERM)
	if status := p.exit(); status != 0 {
		t.Errorf("the proxy ended with %d", status)
	}
	reading.Wait()
	application.be(well) // it is still there
	application.signal(syscall.SIGTERM)
	_ = application.command.Wait()
	close(times)
	var begun, ended time.Time
	for at := range times {
		if begun.IsZero() || at.Before(begun) {
			begun = at
		}
		if at.After(ended) {
			ended = at
		}
	}
	if spread := ended.Sub(begun); spread < window/2 {
		t.Errorf("all tunnels were closed within %v, wanted them spread over %v", spread, window)
	}
	closed, err := p.log.wait(0, tunnels, "tunnel closed", fields{"closed_by": "proxy", "reason": "shutdown", "code": 1001})
	if err != nil || len(closed) != tunnels {
		t.Errorf("%d tunnels logged as closed by the proxy, wanted %d: %v", len(closed), tunnels, err)
	}
}
