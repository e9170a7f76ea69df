package eventlog_test

import (
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

const many = 3000

// A room of thousands needs several messages, which are stored and read as one although several write and read at once.
func TestLargeSnapshotsHaveParts(t *testing.T) {
	server, _, log := open(t)
	crowd := joins(0, many)
	source := rand.NewChaCha8([32]byte{1})
	for i, f := range crowd {
		joined, name := f.(room.Joined), make([]byte, 200)
		_, _ = source.Read(name) // never fails
		joined.Name = hex.EncodeToString(name)
		crowd[i] = joined
	}
	flood(t, server, "hall", crowd)
	presence, second := writer(t, server), writer(t, server)
	if done := snap(t, presence, "hall"); !done.Written || done.Events != many {
		t.Fatalf("%+v", done)
	}
	if n := snapshotMessages(t, server); n < 2 {
		t.Fatalf("%d messages: this test looks at nothing", n)
	}
	want := load(t, log, "hall")
	if !reflect.DeepEqual(want, fold(t, log, "hall")) {
		t.Fatal("loaded otherwise")
	}
	var wg sync.WaitGroup
	for i, w := range []*eventlog.Log{presence, second} {
		wg.Go(func() {
			for n := range 3 {
				appendAll(t, log, "hall", joins(20_000+i*100+n, 20_001+i*100+n)...)
				if _, err := w.WriteSnapshot(t.Context(), "hall", eventlog.Known{}); err != nil && !errors.Is(err, eventlog.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 5 {
			if _, err := log.Load(t.Context(), "hall"); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	snap(t, presence, "hall")
	if got := load(t, log, "hall"); !reflect.DeepEqual(got, fold(t, log, "hall")) || got.Events() != many+6 || log.PassedOver() != 0 {
		t.Errorf("%d events, %d passed over", got.Events(), log.PassedOver())
	}
	// Parts of different snapshots: it is told, and folded.
	putSnapshot(t, server, subject.SnapshotPart("local", "hall", 1), []byte("of another one"))
	if got := load(t, log, "hall"); got.Events() != many+6 || log.PassedOver() != 1 {
		t.Errorf("%d events, %d passed over", got.Events(), log.PassedOver())
	}
	// All leave: one message is enough again, and what was in the others is gone.
	leave := make([]room.Fact, 0, many)
	for session := range want.Sessions {
		leave = append(leave, room.Left{Session: session, Reason: room.Bye})
	}
	flood(t, server, "hall", leave)
	snap(t, presence, "hall")
	if got := load(t, log, "hall"); !reflect.DeepEqual(got, fold(t, log, "hall")) {
		t.Error("loaded otherwise after all had left")
	}
}

func snapshotMessages(t *testing.T, server *bus.Server) uint64 {
	t.Helper()
	stream, err := connect(t, server, bus.Admin).JetStream().Stream(t.Context(), subject.SnapshotStream("local"))
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

// flood appends many facts without waiting for each.
func flood(t *testing.T, server *bus.Server, name string, facts []room.Fact) {
	t.Helper()
	js, err := jetstream.New(connect(t, server, bus.Edge).Conn(), jetstream.WithPublishAsyncMaxPending(1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		kind, id := f.Subject()
		body, err := room.Event{Room: name, At: time.Now(), By: "e", Fact: f}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: subject.Event("local", name, kind, id), Data: body}, jetstream.WithStallWait(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		t.Fatal("not appended within a minute")
	}
}
