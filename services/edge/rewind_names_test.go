package edge

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"airloom/internal/auth"
	"airloom/internal/frame"
	"airloom/internal/room"
)

// Sound waits for names once, not for each track of each listener; what the log has told once is known to all. No real server leaves
// direct reads without an answer on demand: these are answered by hand, in the form of nats-server's.
func TestNamesAreAskedForOnce(t *testing.T) {
	t.Parallel()
	b := busWithoutLog(t, server.ClusterOpts{})
	private, err := auth.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Listen: "127.0.0.1:0", Region: region, Keys: auth.NewKeys(private), Defaults: defaults}, b, logger())
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	var answers atomic.Bool
	if _, err := b.Conn().Subscribe("$JS.API.DIRECT.GET.EV_"+region, func(m *nats.Msg) {
		asked.Add(1)
		if !answers.Load() {
			return
		}
		var ask struct {
			Subject string `json:"next_by_subj"`
		}
		_ = json.Unmarshal(m.Data, &ask)
		var fact room.Fact = room.Joined{Session: "s", Identity: "ada", Name: "Ada", Edge: "e"}
		if strings.Contains(ask.Subject, ".track.") {
			fact = room.TrackStarted{Track: frame.TrackID(7), Handle: 7, Session: "s", Name: "mic", Channels: 1, FrameMS: 20}
		}
		body, _ := json.Marshal(room.Event{Room: "hall", At: time.Now(), By: "e", Fact: fact})
		_ = m.RespondMsg(&nats.Msg{Data: body, Header: nats.Header{
			"Nats-Stream": {"EV_" + region}, "Nats-Subject": {ask.Subject}, "Nats-Sequence": {"1"}, "Nats-Num-Pending": {"0"},
			"Nats-Time-Stamp": {time.Now().UTC().Format(time.RFC3339Nano)}, "Nats-Last-Sequence": {"0"},
		}})
	}); err != nil {
		t.Fatal(err)
	}
	h := &hub{edge: e, name: "hall", reel: e.tape.reel("hall")}
	describe := func(handle uint32) pastTrack {
		one := pastTrack{Track: frame.TrackID(handle)}
		h.describe(&one)
		return one
	}
	began := time.Now()
	for handle := range uint32(20) {
		if got := describe(100 + handle); got.Handle != 100+handle || got.Participant != "" {
			t.Errorf("described as %+v", got)
		}
	}
	if took := time.Since(began); took > readWithin+time.Second {
		t.Errorf("20 tracks without a name took %v", took)
	}
	h.reel.names.mu.Lock()
	h.reel.names.silent = 0 // a while has passed
	h.reel.names.mu.Unlock()
	answers.Store(true)
	before := asked.Load()
	for listener := range 50 {
		if got := describe(7); got.Participant != "Ada" || got.Name != "mic" || got.Identity != "ada" || got.Handle != 7 {
			t.Fatalf("listener %d: %+v", listener, got)
		}
	}
	if n := asked.Load() - before; n != 2 {
		t.Errorf("asked %d times, want 2: how the track began, and its session", n)
	}
}
