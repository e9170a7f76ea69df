// Package deploy_test holds the manifests' NATS users to the permissions that internal/bus gives the embedded server's. The rest of
// the manifests is tested in deploy/test, a module of its own, so that Kubernetes is no dependency of airloom.
package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"airloom/internal/bus"
)

var setRegion = regexp.MustCompile(`AIRLOOM_REGION=(\S+)`)

// The users of a region may read its streams only, so whatever names a region has users of its own.
func TestUsersHaveThePermissionsOfTheirRoles(t *testing.T) {
	for manifests, users := range map[string]string{"k8s/base": "nats/users.conf", "k8s/overlays/dev": "", "k8s/overlays/example": "users.conf"} {
		text, err := os.ReadFile(filepath.Join(manifests, "kustomization.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		region := setRegion.FindSubmatch(text)
		if (region != nil) != (users != "") {
			t.Errorf("%s: region %s, users %q: both or none", manifests, region, users)
		}
		if region == nil || users == "" {
			continue
		}
		name := string(region[1])
		path := filepath.Join(manifests, users)
		want := "# The users of region " + name + " and what each may do. Written by: airloom log users --region " + name + "\n" + bus.AuthorizationConf(name)
		if os.Getenv("UPDATE_USERS") != "" {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what internal/bus says: run UPDATE_USERS=1 go test ./deploy", path)
		}
	}
}
