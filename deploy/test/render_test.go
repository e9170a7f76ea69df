// Package deploy_test holds the Kubernetes manifests to what they say: they are rendered by kustomize and decoded strictly, what refers
// to something finds it, and their commands, variables, files and probes are run as processes of this machine.
package deploy_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const manifests = "../k8s"

var variants = []string{"base", "overlays/dev", "overlays/example"}

var decoder = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}()

// cluster is what a rendered folder would put into one.
type cluster struct {
	workloads  []workload
	services   map[string]*corev1.Service
	configMaps map[string]*corev1.ConfigMap
	claims     map[string]*corev1.PersistentVolumeClaim
	accounts   map[string]bool
	budgets    []*policyv1.PodDisruptionBudget
	ingresses  []*networkingv1.Ingress
	secrets    map[string]*corev1.Secret // from the script, never from the folder
}

// workload is a Deployment, StatefulSet or Job.
type workload struct {
	kind, name string
	replicas   int
	selector   *metav1.LabelSelector // nil for a Job
	template   corev1.PodTemplateSpec
	claims     []corev1.PersistentVolumeClaim
	governing  string // the service of a StatefulSet
}

func TestManifestsDecodeStrictly(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if c := render(t, variant); len(c.workloads) != 5 {
				t.Errorf("%d workloads, want nats, edge, presence, recorder, log-init", len(c.workloads))
			}
		})
	}
}

func render(t *testing.T, variant string) *cluster {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(manifests, variant))
	if err != nil {
		t.Fatalf("kustomize %s: %v", variant, err)
	}
	c := &cluster{
		services: map[string]*corev1.Service{}, configMaps: map[string]*corev1.ConfigMap{},
		claims: map[string]*corev1.PersistentVolumeClaim{}, accounts: map[string]bool{}, secrets: map[string]*corev1.Secret{},
	}
	for _, resource := range rendered.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Fatalf("%s: %s: %v", variant, resource.CurId(), err)
		}
		c.take(t, object)
	}
	return c
}

func (c *cluster) take(t *testing.T, object runtime.Object) {
	t.Helper()
	switch o := object.(type) {
	case *appsv1.Deployment:
		c.workloads = append(c.workloads, workload{
			kind: "Deployment", name: o.Name, replicas: int(*o.Spec.Replicas), selector: o.Spec.Selector, template: o.Spec.Template,
		})
	case *appsv1.StatefulSet:
		c.workloads = append(c.workloads, workload{
			kind: "StatefulSet", name: o.Name, replicas: int(*o.Spec.Replicas), selector: o.Spec.Selector, template: o.Spec.Template,
			claims: o.Spec.VolumeClaimTemplates, governing: o.Spec.ServiceName,
		})
	case *batchv1.Job:
		c.workloads = append(c.workloads, workload{kind: "Job", name: o.Name, replicas: 1, template: o.Spec.Template})
	case *corev1.Service:
		c.services[o.Name] = o
	case *corev1.ConfigMap:
		c.configMaps[o.Name] = o
	case *corev1.PersistentVolumeClaim:
		c.claims[o.Name] = o
	case *corev1.ServiceAccount:
		c.accounts[o.Name] = true
	case *policyv1.PodDisruptionBudget:
		c.budgets = append(c.budgets, o)
	case *networkingv1.Ingress:
		c.ingresses = append(c.ingresses, o)
	case *corev1.Namespace:
	default:
		t.Errorf("%T is rendered and nobody looks at it: teach the test, or leave it out (a Secret never belongs here)", object)
	}
}

func (c *cluster) workload(t *testing.T, name string) workload {
	t.Helper()
	for _, w := range c.workloads {
		if w.name == name {
			return w
		}
	}
	t.Fatalf("no workload %s", name)
	return workload{}
}

// makeSecrets runs the documented script on a public key, and a recorder's, and keeps what it prints.
func (c *cluster) makeSecrets(t *testing.T, publicKey string) {
	t.Helper()
	printed, err := exec.CommandContext(t.Context(), filepath.Join(manifests, "secrets"), publicKey, recorderKey(t)).Output()
	if err != nil {
		t.Fatalf("deploy/k8s/secrets: %v", err)
	}
	for document := range strings.SplitSeq(string(printed), "\n---\n") {
		object, _, err := decoder.Decode([]byte(document), nil, nil)
		if err != nil {
			t.Fatalf("deploy/k8s/secrets: %v", err)
		}
		secret, ok := object.(*corev1.Secret)
		if !ok {
			t.Fatalf("deploy/k8s/secrets printed a %T", object)
		}
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		for key, value := range secret.StringData {
			secret.Data[key] = []byte(value)
		}
		c.secrets[secret.Name] = secret
	}
}

// recorderKey is a key that recordings can be signed with.
func recorderKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "recorder.key")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// somePublicKey stands for a key where only its place matters.
func somePublicKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "airloom.key.pub")
	if err := os.WriteFile(path, []byte("public\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretsAreNewEachTimeAndNeverPrivate(t *testing.T) {
	one, two := &cluster{secrets: map[string]*corev1.Secret{}}, &cluster{secrets: map[string]*corev1.Secret{}}
	one.makeSecrets(t, somePublicKey(t))
	two.makeSecrets(t, somePublicKey(t))
	seen := map[string]bool{}
	for _, c := range []*cluster{one, two} {
		for user, password := range c.secrets["airloom-nats"].Data {
			if len(password) != 40 || seen[string(password)] {
				t.Errorf("password of %s: %d letters, seen before: %v", user, len(password), seen[string(password)])
			}
			seen[string(password)] = true
		}
	}
	private, public := recorderKey(t), somePublicKey(t)
	for what, args := range map[string][]string{
		"the private key of tokens": {private, private}, "a recorder's public key": {public, public}, "no recorder's key": {public},
	} {
		if err := exec.CommandContext(t.Context(), filepath.Join(manifests, "secrets"), args...).Run(); err == nil {
			t.Errorf("%s was put into a Secret", what)
		}
	}
}
