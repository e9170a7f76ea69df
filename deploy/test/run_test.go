package deploy_test

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

const root = "../.."

// TestTheManifestsRun starts what is rendered and stops it again. The public overlay differs in names, sizes and its region's users only.
func TestTheManifestsRun(t *testing.T) {
	binaries := build(t)
	for _, variant := range []string{"base", "overlays/dev"} {
		t.Run(variant, func(t *testing.T) { runVariant(t, variant, binaries) })
	}
}

func runVariant(t *testing.T, variant string, binaries map[string]string) {
	c := render(t, variant)
	c.makeSecrets(t, publicKey(t, binaries["airloom"]))
	k := newKubelet(t, c, binaries)

	servers := k.startAll(c.workload(t, "nats"))
	for _, p := range servers {
		p.becomesReady(time.Minute)
	}
	job := k.start(c.workload(t, "log-init"), 0)
	if err := within(t, time.Minute, job); err != nil {
		t.Fatalf("log-init: %v", err)
	}
	checkReplicas(t, c, servers)

	var services []*pod
	for _, name := range []string{"presence", "recorder", "edge"} {
		services = append(services, k.startAll(c.workload(t, name))...)
	}
	for _, p := range services {
		p.becomesReady(time.Minute)
	}
	if len(servers) == 3 {
		servers[2] = k.replace(c.workload(t, "nats"), servers[2], 2)
		for _, p := range services {
			p.becomesReady(time.Minute)
		}
	}
	// All at once, as when a namespace is deleted: the services first, for they need NATS to end well.
	stopAll(t, services)
	stopAll(t, servers)
}

func (k *kubelet) startAll(w workload) (pods []*pod) {
	k.t.Helper()
	for i := range w.replicas {
		k.address(w, i)
	}
	for i := range w.replicas {
		pods = append(pods, k.start(w, i))
	}
	return pods
}

// replace kills a pod and starts it anew on its volumes, as after the loss of a node.
func (k *kubelet) replace(w workload, p *pod, index int) *pod {
	k.t.Helper()
	if err := p.process.Process.Kill(); err != nil {
		k.t.Fatal(err)
	}
	p.done <- <-p.done
	again := k.start(w, index)
	again.becomesReady(time.Minute)
	return again
}

func stopAll(t *testing.T, pods []*pod) {
	t.Helper()
	ends := make([]chan error, len(pods))
	for i, p := range pods {
		ends[i] = make(chan error, 1)
		go func() { ends[i] <- p.stop() }()
	}
	for i, p := range pods {
		if err := <-ends[i]; err != nil {
			t.Errorf("%s stopped: %v, want exit 0 within its grace", p.name, err)
		}
	}
}

func within(t *testing.T, patience time.Duration, p *pod) error {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(patience):
		t.Fatalf("%s has not ended after %v", p.name, patience)
		return nil
	}
}

// checkReplicas asks as admin how the streams were made.
func checkReplicas(t *testing.T, c *cluster, servers []*pod) {
	t.Helper()
	conn, err := nats.Connect("nats://"+servers[len(servers)-1].ip+":4222",
		nats.UserInfo("admin", string(c.secrets["airloom-nats"].Data["admin"])), nats.CustomInboxPrefix("_INBOX_admin"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer, err := conn.Request("$JS.API.STREAM.LIST", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Streams []struct {
			Config struct {
				Name     string `json:"name"`
				Replicas int    `json:"num_replicas"`
			} `json:"config"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(answer.Data, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Streams) != 3 { // events, audio, snapshots
		t.Errorf("%d streams, want 3: %s", len(list.Streams), answer.Data)
	}
	for _, s := range list.Streams {
		if s.Config.Replicas != len(servers) || !strings.HasSuffix(s.Config.Name, "_main") {
			t.Errorf("stream %s has %d replicas, want one of region main on each of %d servers", s.Config.Name, s.Config.Replicas, len(servers))
		}
	}
}

// build makes airloom as the Dockerfile does, and the NATS server.
func build(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	binaries := map[string]string{"airloom": filepath.Join(dir, "airloom"), "nats-server": filepath.Join(dir, "nats-server")}
	line := strings.Replace(dockerfile(t, "RUN CGO_ENABLED=0 go build"), "-o /airloom", "-o "+binaries["airloom"], 1)
	airloom := exec.CommandContext(t.Context(), "sh", "-c", strings.TrimPrefix(line, "RUN "))
	airloom.Dir = root
	server := exec.CommandContext(t.Context(), "go", "build", "-o", binaries["nats-server"], "github.com/nats-io/nats-server/v2")
	for _, command := range []*exec.Cmd{airloom, server} {
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	checkStatic(t, binaries["airloom"])
	return binaries
}

func checkStatic(t *testing.T, binary string) {
	t.Helper()
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			t.Error("airloom as the Dockerfile builds it needs a loader, and the image has none")
		}
	}
}

// dockerfile gives the line that begins so.
func dockerfile(t *testing.T, begins string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, begins) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("the Dockerfile has no line %q", begins)
	return ""
}

// entrypoint is what the image runs where a container names no command.
func entrypoint(t *testing.T) []string {
	t.Helper()
	var words []string
	if err := json.Unmarshal([]byte(strings.TrimPrefix(dockerfile(t, "ENTRYPOINT "), "ENTRYPOINT ")), &words); err != nil {
		t.Fatal(err)
	}
	return words
}

func publicKey(t *testing.T, airloom string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "airloom.key")
	if out, err := exec.CommandContext(t.Context(), airloom, "key", path).CombinedOutput(); err != nil {
		t.Fatalf("airloom key: %v: %s", err, out)
	}
	return path + ".pub"
}

// The image's user is the pods' user, and never root.
func TestTheImageRunsAsNobody(t *testing.T) {
	if user := dockerfile(t, "USER "); user != "USER 65532:65532" {
		t.Errorf("%s", user)
	}
}
