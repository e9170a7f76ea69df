package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// eachPod runs a check on every pod of every variant.
func eachPod(t *testing.T, check func(t *testing.T, c *cluster, w workload, pod corev1.PodSpec)) {
	for _, variant := range variants {
		c := render(t, variant)
		c.makeSecrets(t, somePublicKey(t))
		for _, w := range c.workloads {
			t.Run(variant+"/"+w.name, func(t *testing.T) { check(t, c, w, w.template.Spec) })
		}
	}
}

func selects(t *testing.T, selector *metav1.LabelSelector, w workload) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return !s.Empty() && s.Matches(labels.Set(w.template.Labels))
}

func TestSelectorsSelect(t *testing.T) {
	eachPod(t, func(t *testing.T, c *cluster, w workload, pod corev1.PodSpec) {
		for _, other := range c.workloads {
			if w.selector != nil && selects(t, w.selector, other) != (other.name == w.name) {
				t.Errorf("its selector and the pods of %s: they must match its own and no others", other.name)
			}
		}
		for _, spread := range pod.TopologySpreadConstraints {
			if !selects(t, spread.LabelSelector, w) {
				t.Errorf("spread over %s does not count its own pods", spread.TopologyKey)
			}
		}
		budgets := 0
		for _, budget := range c.budgets {
			if selects(t, budget.Spec.Selector, w) {
				budgets++
			}
		}
		if want := map[bool]int{true: 0, false: 1}[w.kind == "Job"]; budgets != want {
			t.Errorf("%d disruption budgets, want %d", budgets, want)
		}
	})
}

func TestServicesReachPortsThatAreThere(t *testing.T) {
	for _, variant := range variants {
		c := render(t, variant)
		for name, service := range c.services {
			found := false
			for _, w := range c.workloads {
				if !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(w.template.Labels)) {
					continue
				}
				found = true
				for _, port := range service.Spec.Ports {
					if containerPort(w.template.Spec, port.TargetPort) == 0 {
						t.Errorf("%s: service %s: %s has no port %s", variant, name, w.name, port.TargetPort.String())
					}
				}
			}
			if !found {
				t.Errorf("%s: service %s selects no pods", variant, name)
			}
		}
		for _, ingress := range c.ingresses {
			checkIngress(t, c, ingress.Spec.Rules[0].Host, ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name,
				ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Name)
		}
	}
}

func checkIngress(t *testing.T, c *cluster, host, service, port string) {
	t.Helper()
	target := c.services[service]
	if target == nil || !slices.ContainsFunc(target.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == port }) {
		t.Errorf("ingress: no service %s with port %s", service, port)
	}
	for _, env := range c.workload(t, service).template.Spec.Containers[0].Env {
		if env.Name == "AIRLOOM_HOST" && env.Value == host {
			return
		}
	}
	t.Errorf("ingress: %s is not told that it is %s (AIRLOOM_HOST)", service, host)
}

// containerPort gives a port by name or number, 0 where the pod has none such.
func containerPort(pod corev1.PodSpec, port intstr.IntOrString) int {
	for _, container := range pod.Containers {
		for _, p := range container.Ports {
			if p.Name == port.StrVal || p.ContainerPort == port.IntVal {
				return int(p.ContainerPort)
			}
		}
	}
	return 0
}

func TestWhatPodsReferToIsThere(t *testing.T) {
	eachPod(t, func(t *testing.T, c *cluster, w workload, pod corev1.PodSpec) {
		if !c.accounts[pod.ServiceAccountName] {
			t.Errorf("no service account %q", pod.ServiceAccountName)
		}
		volumes := map[string]bool{}
		for _, v := range pod.Volumes {
			volumes[v.Name] = true
			switch {
			case v.ConfigMap != nil && c.configMaps[v.ConfigMap.Name] == nil:
				t.Errorf("volume %s: no ConfigMap %s", v.Name, v.ConfigMap.Name)
			case v.Secret != nil && c.secrets[v.Secret.SecretName] == nil:
				t.Errorf("volume %s: deploy/k8s/secrets makes no %s", v.Name, v.Secret.SecretName)
			case v.PersistentVolumeClaim != nil && c.claims[v.PersistentVolumeClaim.ClaimName] == nil:
				t.Errorf("volume %s: no claim %s", v.Name, v.PersistentVolumeClaim.ClaimName)
			}
		}
		for _, claim := range w.claims {
			volumes[claim.Name] = true
		}
		for _, container := range pod.Containers {
			for _, mount := range container.VolumeMounts {
				if !volumes[mount.Name] {
					t.Errorf("mount %s: no such volume", mount.Name)
				}
			}
			if _, err := c.environment(container, w.name+"-0"); err != nil {
				t.Error(err)
			}
		}
		if w.governing != "" {
			checkGoverning(t, c, w)
		}
	})
}

// checkGoverning holds a StatefulSet to its headless service, and nats to a route for each of its servers.
func checkGoverning(t *testing.T, c *cluster, w workload) {
	t.Helper()
	service := c.services[w.governing]
	if service == nil || service.Spec.ClusterIP != corev1.ClusterIPNone || !service.Spec.PublishNotReadyAddresses {
		t.Errorf("%s needs a headless service that publishes addresses that are not ready", w.governing)
	}
	env, err := c.environment(w.template.Spec.Containers[0], w.name+"-0")
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.replicas {
		if host := fmt.Sprintf("@%s-%d.%s:", w.name, i, w.governing); !strings.Contains(env["ROUTES"], host) {
			t.Errorf("no route to %s", host)
		}
	}
}

func TestPodsAreConfined(t *testing.T) {
	eachPod(t, func(t *testing.T, _ *cluster, _ workload, pod corev1.PodSpec) {
		if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 ||
			s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Error("it must not run as root, and under the runtime's seccomp profile")
		}
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
			t.Error("it gets a token for Kubernetes that it has no use for")
		}
		if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
			t.Error("service links put variables like AIRLOOM_PORT into its environment")
		}
		for _, container := range pod.Containers {
			if s := container.SecurityContext; s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
				s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
				t.Errorf("%s: no escalation, a read-only root and no capabilities are wanted", container.Name)
			}
		}
	})
}

func TestMemoryIsBoundAndTheRuntimeKnows(t *testing.T) {
	eachPod(t, func(t *testing.T, c *cluster, w workload, pod corev1.PodSpec) {
		for _, container := range pod.Containers {
			limit := container.Resources.Limits.Memory()
			env, err := c.environment(container, w.name+"-0")
			if err != nil {
				t.Fatal(err)
			}
			soft, err := resource.ParseQuantity(strings.TrimSuffix(env["GOMEMLIMIT"], "B"))
			if err != nil {
				t.Fatalf("GOMEMLIMIT %q: %v", env["GOMEMLIMIT"], err)
			}
			if share := soft.AsApproximateFloat64() / limit.AsApproximateFloat64(); share < 0.8 || share > 0.9 {
				t.Errorf("GOMEMLIMIT %s is %.0f %% of the limit %s, want 80 to 90", env["GOMEMLIMIT"], 100*share, limit)
			}
			if container.Resources.Requests.Memory().Cmp(*limit) != 0 || container.Resources.Requests.Cpu().IsZero() {
				t.Error("it must ask for the memory it may use, and for some CPU")
			}
		}
	})
}

func TestProbesAndGrace(t *testing.T) {
	eachPod(t, func(t *testing.T, _ *cluster, w workload, pod corev1.PodSpec) {
		if w.kind == "Job" {
			return
		}
		for _, container := range pod.Containers {
			for what, probe := range map[string]*corev1.Probe{
				"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe,
			} {
				if probe == nil || probe.HTTPGet == nil || containerPort(pod, probe.HTTPGet.Port) == 0 {
					t.Errorf("%s probe: none, or of a port that is not there", what)
				}
			}
			grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
			if wanted := drainTime(w.name, container); grace < wanted+10*time.Second {
				t.Errorf("grace %v is too short for a drain of %v", grace, wanted)
			}
			if image := container.Image; strings.HasSuffix(image, ":latest") || w.name == "nats" && !strings.HasPrefix(image, "nats:2.15.2") {
				t.Errorf("image %s", image)
			}
		}
	})
}

// drainTime is how long the container takes to stop when all its sockets need it.
func drainTime(name string, container corev1.Container) time.Duration {
	drain := map[string]time.Duration{"edge": time.Minute, "nats": 40 * time.Second, "presence": 5 * time.Second, "recorder": 30 * time.Second}[name]
	for _, env := range container.Env {
		if env.Name == "AIRLOOM_DRAIN" {
			drain, _ = time.ParseDuration(env.Value)
		}
	}
	if l := container.Lifecycle; l != nil && l.PreStop.Sleep != nil {
		drain += time.Duration(l.PreStop.Sleep.Seconds) * time.Second
	}
	return drain
}
