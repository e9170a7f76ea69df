package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A NATS that is well may still ack what is not on disk, and does not tell.
func TestDoctorRemindsOfSyncing(t *testing.T) {
	nats, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	defer func() {
		nats.Shutdown()
		nats.WaitForShutdown()
	}()
	if !nats.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server does not start")
	}
	r := airloom(t, "doctor", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--nats", nats.ClientURL())
	if r.code != exitOK || !strings.Contains(r.out, "ok    nats") || !strings.Contains(r.out, "sync_interval: always") {
		t.Errorf("%d %s %s", r.code, r.out, r.errs)
	}
}

// Who opens airloom to other machines is told at once what browsers will not do there.
func TestTheInviteSaysWhatBrowsersRefuse(t *testing.T) {
	key := t.TempDir() + "/key"
	keys, err := upKey(key, "airloom")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"127.0.0.1:0": false, "0.0.0.0:0": true} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var out strings.Builder
		if err := (&upCmd{}).announce(&program{ctx: t.Context(), out: &out}, l, keys, "data"); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "TLS") != want || strings.Contains(out.String(), "#invite=") != want {
			t.Errorf("on %s: %s", address, &out)
		}
	}
}
