package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// kubelet runs the containers of rendered pods as processes: with the rendered command, environment and files, each pod on a loopback
// address of its own, under the rendered user where the test may choose one.
type kubelet struct {
	t         *testing.T
	cluster   *cluster
	dir       string
	binaries  map[string]string // by the first word of a command
	addresses map[string]string // host name in the cluster -> loopback address
	network   string            // the first three numbers of all addresses
}

// pod is a running container.
type pod struct {
	kubelet *kubelet
	name    string
	ip      string
	spec    corev1.PodSpec
	env     []string
	place   *strings.Replacer // from paths and names of the cluster to those here
	process *exec.Cmd
	output  *lockedBuffer
	done    chan error
}

func newKubelet(t *testing.T, c *cluster, binaries map[string]string) *kubelet {
	t.Helper()
	pid := os.Getpid()
	k := &kubelet{
		t: t, cluster: c, dir: t.TempDir(), binaries: binaries, addresses: map[string]string{},
		// The whole of 127/8 is this machine's on Linux, so pods may use the same ports, and other runs of this test others.
		network: fmt.Sprintf("127.%d.%d", 16+pid/250%200, pid%250),
	}
	for at := k.dir; strings.HasPrefix(at, os.TempDir()) && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil { // the pods' users come through here
			t.Fatal(err)
		}
	}
	return k
}

// address gives a pod its address and its names.
func (k *kubelet) address(w workload, index int) string {
	name := fmt.Sprintf("%s-%d", w.name, index)
	if ip := k.addresses[name]; ip != "" {
		return ip
	}
	ip := fmt.Sprintf("%s.%d", k.network, 10+len(k.addresses))
	k.addresses[name] = ip
	if _, taken := k.addresses[w.name]; !taken {
		k.addresses[w.name] = ip // the service's name
	}
	return ip
}

// start starts pod number index of a workload.
func (k *kubelet) start(w workload, index int) *pod {
	k.t.Helper()
	container := w.template.Spec.Containers[0]
	p := &pod{
		kubelet: k, name: fmt.Sprintf("%s-%d", w.name, index), ip: k.address(w, index), spec: w.template.Spec,
		output: &lockedBuffer{}, done: make(chan error, 1),
	}
	env, err := k.cluster.environment(container, p.name)
	if err != nil {
		k.t.Fatal(err)
	}
	p.mount(container, w.claims)
	for name, value := range env {
		p.env = append(p.env, name+"="+p.localize(value))
	}
	command := container.Command
	if len(command) == 0 {
		command = entrypoint(k.t)
	}
	p.process = p.command(append(command, container.Args...))
	p.process.Stdout, p.process.Stderr = p.output, p.output
	if err := p.process.Start(); err != nil {
		k.t.Fatalf("start %s: %v", p.name, err)
	}
	go func() { p.done <- p.process.Wait() }()
	k.t.Cleanup(p.end)
	return p
}

// end is for a test that failed before it stopped the pod.
func (p *pod) end() {
	if p.process.ProcessState == nil {
		_ = p.process.Process.Kill()
		<-p.done
	}
	if p.kubelet.t.Failed() {
		p.kubelet.t.Logf("%s said:\n%s", p.name, p.output)
	}
}

// command makes a process of a command of the container, with nothing but the container's environment.
func (p *pod) command(words []string) *exec.Cmd {
	p.kubelet.t.Helper()
	binary := p.kubelet.binaries[filepath.Base(words[0])]
	if binary == "" {
		p.kubelet.t.Fatalf("%s: command %q: the test has no such program", p.name, words[0])
	}
	args := make([]string, 0, len(words))
	for _, word := range words[1:] {
		args = append(args, p.localize(word))
	}
	command := exec.CommandContext(context.WithoutCancel(p.kubelet.t.Context()), binary, args...)
	command.Env, command.Dir = p.env, "/"
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if s := p.spec.SecurityContext; os.Getuid() == 0 {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(*s.RunAsUser), Gid: uint32(*s.RunAsGroup), NoSetGroups: true}
	}
	return command
}

// mount makes the pod's volumes and remembers where they are.
func (p *pod) mount(container corev1.Container, claims []corev1.PersistentVolumeClaim) {
	t := p.kubelet.t
	pairs := []string{"0.0.0.0:", p.ip + ":"}
	for host, ip := range p.kubelet.addresses {
		for _, service := range p.kubelet.cluster.services {
			pairs = append(pairs, "@"+host+"."+service.Name+":", "@"+ip+":")
		}
		pairs = append(pairs, "@"+host+":", "@"+ip+":")
	}
	contents := map[string]map[string][]byte{}
	for _, v := range p.spec.Volumes {
		contents[v.Name] = p.kubelet.cluster.contents(v)
	}
	dirs := map[string]string{}
	for _, m := range container.VolumeMounts {
		dirs[m.Name] = filepath.Join(p.kubelet.dir, p.name, m.Name)
		pairs = append(pairs, m.MountPath, dirs[m.Name])
	}
	p.place = strings.NewReplacer(pairs...)
	for name, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, content := range contents[name] {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(p.place.Replace(string(content))), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if os.Getuid() == 0 && contents[name] == nil { // writable volumes belong to the pod's group
			if err := os.Chown(dir, int(*p.spec.SecurityContext.RunAsUser), int(*p.spec.SecurityContext.FSGroup)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// contents are the files of a ConfigMap or Secret; nil for a volume that the pod writes to.
func (c *cluster) contents(v corev1.Volume) map[string][]byte {
	switch {
	case v.ConfigMap != nil:
		files := map[string][]byte{}
		for name, text := range c.configMaps[v.ConfigMap.Name].Data {
			files[name] = []byte(text)
		}
		return files
	case v.Secret != nil:
		return c.secrets[v.Secret.SecretName].Data
	default:
		return nil
	}
}

var anyAddress = regexp.MustCompile(`^:(\d+)$`)

func (p *pod) localize(word string) string {
	return anyAddress.ReplaceAllString(p.place.Replace(word), p.ip+":$1")
}

// probe asks once what the kubelet would ask.
func (p *pod) probe(probe *corev1.Probe) (int, error) {
	where := fmt.Sprintf("http://%s:%d%s", p.ip, containerPort(p.spec, probe.HTTPGet.Port), probe.HTTPGet.Path)
	client := http.Client{Timeout: max(time.Duration(probe.TimeoutSeconds), 1) * time.Second}
	answer, err := client.Get(where)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// becomesReady waits until its probes say so, in the order of the kubelet.
func (p *pod) becomesReady(patience time.Duration) {
	p.kubelet.t.Helper()
	container := p.spec.Containers[0]
	deadline := time.Now().Add(patience)
	for _, probe := range []*corev1.Probe{container.StartupProbe, container.ReadinessProbe, container.LivenessProbe} {
		tick := time.NewTicker(50 * time.Millisecond)
		for {
			status, err := p.probe(probe)
			if status == http.StatusOK {
				break
			}
			if time.Now().After(deadline) {
				p.kubelet.t.Fatalf("%s: %s after %v: %d, %v", p.name, probe.HTTPGet.Path, patience, status, err)
			}
			select {
			case err := <-p.done:
				p.done <- err
				p.kubelet.t.Fatalf("%s ended: %v", p.name, err)
			case <-tick.C:
			}
		}
		tick.Stop()
	}
}

// stop does what the kubelet does to a pod that is deleted, and gives back how it ended.
func (p *pod) stop() error {
	container := p.spec.Containers[0]
	if l := container.Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Exec != nil {
		if out, err := p.command(l.PreStop.Exec.Command).CombinedOutput(); err != nil {
			return fmt.Errorf("preStop: %w: %s", err, out)
		}
	}
	// A server without sockets has ended its lame duck by now.
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	grace := time.Duration(*p.spec.TerminationGracePeriodSeconds) * time.Second
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(grace):
		return fmt.Errorf("still there after %v of grace", grace)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
