package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A NATS that is well may still ack what is not on disk. It tells its monitoring port only.
func TestDoctorSeesHowNATSSyncs(t *testing.T) {
	for _, always := range []bool{false, true} {
		nats, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: server.RANDOM_PORT, HTTPHost: "127.0.0.1", HTTPPort: -1,
			JetStream: true, StoreDir: t.TempDir(), SyncAlways: always, SyncInterval: 2 * time.Minute, NoLog: true, NoSigs: true,
		})
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
		args := []string{"doctor", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--nats", nats.ClientURL()}
		r := airloom(t, args...)
		if r.code != exitOK || !strings.Contains(r.out, "ok    nats") || !strings.Contains(r.out, "sync_interval: always") {
			t.Errorf("%d %s %s", r.code, r.out, r.errs)
		}
		monitor := "http://" + nats.MonitorAddr().String()
		r = airloom(t, append(args, "--nats-monitor", monitor)...)
		if always && (r.code != exitOK || !strings.Contains(r.out, "ok    sync    "+monitor)) {
			t.Errorf("syncs always: %d %s %s", r.code, r.out, r.errs)
		}
		if !always && (r.code == exitOK || !strings.Contains(r.out, "FAIL  sync    "+monitor+" acks before it syncs, which it does every 2m0s")) {
			t.Errorf("syncs now and then: %d %s %s", r.code, r.out, r.errs)
		}
	}
	r := airloom(t, "doctor", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--nats-monitor", "http://127.0.0.1:1")
	if r.code == exitOK || !strings.Contains(r.out, "monitoring port") {
		t.Errorf("nobody there: %d %s %s", r.code, r.out, r.errs)
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
