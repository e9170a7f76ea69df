package presence

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// A presence that is started again does not give those who are away their whole time anew, where the server's clock can be trusted; and
// it does where it can't.
func TestARestartDelaysNoLeave(t *testing.T) {
	r := newRegion(t)
	r.beating("e1", 100*time.Millisecond)
	slow := func(instance string) Config {
		cfg := quick(instance)
		cfg.Resume, cfg.markEvery = 3*time.Second, 20*time.Millisecond
		return cfg
	}
	first, stop := r.presence(slow("p1"))
	r.join("hall", "stays", "e1")
	until(t, 10*time.Second, "a mark", func() bool {
		region, err := r.log.Snapshots(t.Context())
		return err == nil && region.Mark.Clock.Server != "" && first.Ready()
	})
	joined := r.join("hall", "goes", "e1")
	r.append("hall", room.Away{Session: "goes", Edge: "e1", Reason: room.SocketLost}, joined)
	lost := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "away for as long as it may be", func() bool { return time.Since(lost) > 3200*time.Millisecond })

	late := r.join("lab", "late", "e1") // lost just before the start: it has its whole time
	r.append("lab", room.Away{Session: "late", Edge: "e1", Reason: room.SocketLost}, late)
	lost = time.Now()
	second, stop := r.presence(slow("p2"))
	left := func(name, session string) func() bool {
		return func() bool { return r.facts(t, name)[session]["session.left"] == 1 }
	}
	until(t, 2500*time.Millisecond, "left soon after the start", left("hall", "goes"))
	until(t, 10*time.Second, "left", left("lab", "late"))
	if took := time.Since(lost); took < 3*time.Second {
		t.Errorf("left after %v, before its time was over", took)
	}
	if answer := r.roster(t, "hall"); len(answer.Participants) != 1 || len(answer.Away) != 0 || second.mark.Position == 0 {
		t.Errorf("after all: %+v", answer)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	// Without the mark nobody knows whether the server was there all the time.
	joined = r.join("hall", "again", "e1")
	r.append("hall", room.Away{Session: "again", Edge: "e1", Reason: room.SocketLost}, joined)
	stream, err := r.connect(bus.Admin).JetStream().Stream(t.Context(), subject.SnapshotStream("eu"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost = time.Now()
	until(t, 3*time.Second, "away for a second", func() bool { return time.Since(lost) > time.Second })
	begun := time.Now()
	r.presence(slow("p3"))
	until(t, 12*time.Second, "left", left("hall", "again"))
	if took := time.Since(begun); took < 3*time.Second {
		t.Errorf("left %v after the start, though the time before cannot be known", took)
	}
}

func TestWhoseClockItIs(t *testing.T) {
	at, before := time.Now(), time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		now, marked eventlog.Clock
		want        time.Time
	}{
		"a leader says since when":             {eventlog.Clock{Server: "n1", Since: at}, eventlog.Clock{Server: "n1", Since: before}, at},
		"a server alone, seen before":          {eventlog.Clock{Server: "id1"}, eventlog.Clock{Server: "id1", Since: before}, before},
		"a server alone, started since":        {eventlog.Clock{Server: "id2"}, eventlog.Clock{Server: "id1", Since: before}, time.Time{}},
		"a server alone, no mark":              {eventlog.Clock{Server: "id2"}, eventlog.Clock{}, time.Time{}},
		"a cluster whose leader does not tell": {eventlog.Clock{}, eventlog.Clock{Server: "n1", Since: before}, time.Time{}},
		"neither tells":                        {eventlog.Clock{}, eventlog.Clock{}, time.Time{}},
	} {
		if got := ledSince(c.now, c.marked); !got.Equal(c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Who came back and was lost again meanwhile has a whole time again.
func TestCreditIsForOneAbsence(t *testing.T) {
	w, now := newWatch(quick("p1").withDefaults(), defaults), time.Now()
	fold := func(position uint64, f room.Fact, now time.Time) {
		w.Apply(&room.Event{Room: "hall", At: now, Fact: f, Position: position}, now)
	}
	fold(1, room.Joined{Session: "s", Identity: "i", Edge: "e"}, now)
	fold(2, room.Away{Session: "s", Edge: "e"}, now)
	w.AwaySince("hall", "s", now, 1, now.Add(-time.Hour)) // a replica that lags names the joined
	w.AwaySince("hall", "s", now, 2, now.Add(-time.Minute))
	s := w.rooms["hall"].sessions["s"]
	if got := now.Sub(s.since); got != time.Minute {
		t.Errorf("credit of %v", got)
	}
	fold(3, room.Moved{Session: "s", Edge: "e"}, now)
	fold(4, room.Away{Session: "s", Edge: "e"}, now.Add(time.Second))
	w.AwaySince("hall", "s", now, 4, now.Add(-time.Minute))
	w.AwaySince("hall", "t", now, 4, now.Add(-time.Minute))
	w.AwaySince("lab", "s", now, 4, now.Add(-time.Minute))
	if !s.since.Equal(now.Add(time.Second)) {
		t.Errorf("since %v", s.since)
	}
}

// A replica whose disk is damaged has the joined of somebody and not the away behind it: how long ago they joined is no time that they
// were away.
func TestNoCreditByAReplicaThatLacksTheAway(t *testing.T) {
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir(), Region: "eu"}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r := &region{t: t, server: server}
	stream, err := r.connect(bus.Admin).JetStream().CreateStream(t.Context(), jetstream.StreamConfig{ // one that lets delete
		Name: subject.EventStream("eu"), Subjects: []string{"ev.eu.>"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	b := r.connect(bus.Presence)
	r.log = eventlog.New(b, "eu", "p1", defaults, quiet)
	s, err := New(quick("p1"), b, r.log, quiet)
	if err != nil {
		t.Fatal(err)
	}
	stand, err := r.log.Stand(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.mark.Clock = eventlog.Clock{Server: stand.Clock.Server, Since: stand.Now.Add(-time.Hour)}
	known := time.Now().Add(time.Minute) // of which all but what has passed could be credited
	var gone uint64
	for _, session := range []string{"whole", "damaged"} {
		joined := r.append("hall", room.Joined{Session: session, Identity: session, Edge: "e"}, 0)
		gone = r.append("hall", room.Away{Session: session, Edge: "e", Reason: room.SocketLost}, joined)
	}
	if err := r.log.Events(t.Context(), "hall", 0, func(e *room.Event) error {
		s.watch.Apply(e, known)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	s.credit(t.Context())
	sessions := s.watch.rooms["hall"].sessions
	if since := sessions["damaged"].since; !since.Equal(known) {
		t.Errorf("credited %v by the event before the away", known.Sub(since))
	}
	if since := sessions["whole"].since; since.Equal(known) {
		t.Error("nothing is credited where the away is there")
	}
}
