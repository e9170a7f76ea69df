package eventlog_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
)

// A NATS user without the right to read snapshots, as an older users.conf makes it, gets no answer at all. It waits for one once, and
// not at each load; and who gives up a load of its own has said nothing about snapshots.
func TestSnapshotsThatNobodyAnswersForAreWaitedForOnce(t *testing.T) {
	may := func(subjects ...string) *server.Permissions {
		return &server.Permissions{Publish: &server.SubjectPermission{Allow: subjects}}
	}
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		Users: []*server.User{
			{Username: "all", Password: "all", Permissions: may(">")},
			{Username: "older", Password: "older", Permissions: may("$JS.API.STREAM.MSG.GET.EV_local", "$JS.API.DIRECT.GET.EV_local")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	as := func(user string) *eventlog.Log {
		t.Helper()
		b, err := bus.Connect(t.Context(), bus.Config{URL: ns.ClientURL(), User: user, Password: user}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		if user == "all" {
			if err := b.EnsureStreams(t.Context(), bus.Streams{Region: "local"}); err != nil {
				t.Fatal(err)
			}
		}
		return eventlog.New(b, "local", "test", recordDefaults, slog.New(slog.DiscardHandler))
	}
	appendAll(t, as("all"), "hall", joins(0, 3)...)
	log := as("older")

	hurried, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, _ = log.Load(hurried, "hall")
	took := func() time.Duration {
		t.Helper()
		began := time.Now()
		if state := load(t, log, "hall"); state.Occupied() != 3 {
			t.Errorf("%d are there, want 3", state.Occupied())
		}
		return time.Since(began)
	}
	if first := took(); first < time.Second {
		t.Errorf("the first load took %v: it did not wait for a snapshot because somebody else had no time", first)
	}
	if second := took(); second > time.Second || log.PassedOver() == 0 {
		t.Errorf("the second load took %v, %d snapshots were passed over", second, log.PassedOver())
	}
}
