// Package deploy_test holds the manifests' NATS users to the permissions that internal/bus gives the embedded server's. The rest of
// the manifests is tested in deploy/test, a module of its own, so that Kubernetes is no dependency of airloom.
package deploy_test

import (
	"os"
	"testing"

	"airloom/internal/bus"
)

const head = "# The users and what each may do, from internal/bus. Written by: UPDATE_USERS=1 go test ./deploy\n"

func TestUsersHaveThePermissionsOfTheirRoles(t *testing.T) {
	const path = "k8s/base/nats/users.conf"
	want := head + bus.AuthorizationConf()
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
