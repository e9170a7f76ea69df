package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"airloom/internal/auth"
	"airloom/internal/bus"
	"airloom/internal/problem"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// recordingFacts are the recording events of a room, and its changes of settings, in order.
func (h *house) recordingFacts(name string) (out []room.Fact) {
	h.t.Helper()
	if err := h.log.Events(h.t.Context(), name, 0, func(e *room.Event) error {
		switch e.Fact.(type) {
		case room.RecordingStarted, room.RecordingStopping, room.RecordingStopped, room.Created, room.Changed, room.Opened:
			out = append(out, e.Fact)
		}
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	return out
}

// logged puts messages into the audio log and gives the time of the last one.
func (h *house) logged(name string, count int) time.Time {
	h.t.Helper()
	js := h.connect(bus.Edge).JetStream()
	for range count {
		if _, err := js.Publish(h.t.Context(), subject.Log("local", name, "aaaaaai"), []byte("pack")); err != nil {
			h.t.Fatal(err)
		}
	}
	stream, err := h.connect(bus.Recorder).JetStream().Stream(h.t.Context(), subject.LogStream("local"))
	if err != nil {
		h.t.Fatal(err)
	}
	m, err := stream.GetMsg(h.t.Context(), stream.CachedInfo().State.LastSeq)
	if err != nil {
		h.t.Fatal(err)
	}
	return m.Time
}

// A recording begins and ends where the audio log is when it is started and stopped, or where it was at a time.
func TestRecordingsHavePositions(t *testing.T) {
	h := build(t, nil)
	token := h.token("hall", "moderate", "record")
	put := func(body string) {
		t.Helper()
		if a := h.do("PUT", "/v1/rooms/hall/recording", token, body); a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", body, a.StatusCode, a.body)
		}
	}
	h.join("hall", "ada")
	h.logged("hall", 2)
	then := h.logged("hall", 1)
	h.logged("hall", 2)
	put(`{"on":true}`)
	h.logged("hall", 2)
	put(`{"on":false}`)
	put(`{"on":false}`)
	for _, since := range []string{"start", then.UTC().Format(time.RFC3339Nano), "-1h", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)} {
		put(fmt.Sprintf(`{"on":true,"since":%q}`, since))
		put(`{"on":false}`)
	}
	var from, through []uint64
	stopping := 0
	for _, f := range h.recordingFacts("hall") {
		switch f := f.(type) {
		case room.RecordingStarted:
			if from = append(from, f.From); len(from) > 1 != (f.Since > 0) {
				t.Errorf("%+v", f)
			}
		case room.RecordingStopping:
			stopping++
		case room.RecordingStopped:
			through = append(through, f.Through)
		}
	}
	if !slices.Equal(from, []uint64{5, 0, 2, 0, 7}) || !slices.Equal(through, []uint64{7, 7, 7, 7, 7}) || stopping != 5 {
		t.Errorf("from %v, through %v, %d times halted", from, through, stopping)
	}
	for body, what := range map[string]string{`{"on":false,"since":"start"}`: "now", `{"on":true,"since":"10m"}`: "since", `{"on":true,"since":"yesterday"}`: "since"} {
		h.do("PUT", "/v1/rooms/hall/recording", token, body).refused(t, what, http.StatusBadRequest, "bad_body")
	}
}

// Where the audio log does not answer, nothing is started, stopped or set that would record what nobody wants recorded.
func TestRecordingNeedsTheLog(t *testing.T) {
	h := build(t, nil)
	token := h.token("hall", "moderate", "record")
	h.speaking("hall")
	h.do("PUT", "/v1/rooms/hall/recording", token, `{"on":true}`).into(t, new(roomAnswer))
	before := h.recordingFacts("hall")
	h.withoutLog(func() {
		h.do("PUT", "/v1/rooms/hall/recording", token, `{"on":false}`).refused(t, "off", http.StatusServiceUnavailable, "log_away")
		h.do("PUT", "/v1/rooms/hall/settings", token, `{"keep":"record"}`).refused(t, "keep", http.StatusServiceUnavailable, "log_away")
		if a := h.do("PUT", "/v1/rooms/hall/settings", token, `{"capacity":0}`); a.StatusCode != http.StatusOK {
			t.Errorf("what has nothing to do with it: %d %s", a.StatusCode, a.body)
		}
		if a := h.do("PUT", "/v1/rooms/empty/settings", h.token("empty", "moderate"), `{"keep":"record"}`); a.StatusCode != http.StatusOK {
			t.Errorf("where nobody speaks: %d %s", a.StatusCode, a.body)
		}
	})
	if after := h.recordingFacts("hall"); len(after) > len(before)+1 {
		t.Errorf("%v became %v", before, after)
	}
}

// keep becomes record while somebody speaks: the change says where the log was. It is taken back: the recording that follows from it
// ends where the log is.
func TestKeepHasPositions(t *testing.T) {
	h := build(t, nil)
	token := h.token("hall", "moderate")
	set := func(keep string) {
		t.Helper()
		if a := h.do("PUT", "/v1/rooms/hall/settings", token, fmt.Sprintf(`{"keep":%q}`, keep)); a.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	h.logged("hall", 2)
	set("record") // nobody speaks, but somebody may begin before this is in the log
	if on := h.recordingFacts("hall")[0].(room.Created); on.Log != 3 {
		t.Errorf("%+v", on)
	}
	set("rewind")
	h.speaking("hall")
	h.logged("hall", 2)
	set("record")
	if _, _, err := h.log.Decide(t.Context(), "hall", "", func(s *room.State) (room.Draft, error) { // a recorder does
		return s.StartRecording(room.RecordingStarted{Recording: "r1", By: room.ByKeep, From: 4})
	}); err != nil {
		t.Fatal(err)
	}
	h.logged("hall", 3)
	set("rewind")
	facts := h.recordingFacts("hall")
	if on := facts[2].(room.Changed); on.Log != 5 {
		t.Errorf("%+v", on)
	}
	if off := facts[4].(room.Changed); off.Log != 8 { // whoever starts late what was due before ends it there
		t.Errorf("%+v", off)
	}
	if last := facts[len(facts)-1]; last != (room.RecordingStopped{Recording: "r1", Through: 7}) {
		t.Errorf("%v", facts)
	}
}

// A recording that a change of settings ends is that one and no other, and where it cannot be stopped that is said: the same change stops it then.
func TestAChangeThatCannotStopARecording(t *testing.T) {
	h := build(t, nil)
	d := &door{cfg: Config{Patience: 5 * time.Second}, deps: Deps{Bus: h.connect(bus.Edge), Log: h.log}}
	by := allowed{auth.Claims{Grants: auth.AllGrants()}, moderate}
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "/", nil)
	h.append("by-hand", room.Created{Settings: room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted}}, room.RecordingStarted{Recording: "r0", By: "ann"})
	if after, err := d.stopKept(r, "by-hand", by); err != nil || after.Recording != "r0" || after.Stopping {
		t.Errorf("another recording: %+v, %v", after, err)
	}
	h.append("hall", room.Created{Settings: room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted}}, room.RecordingStarted{Recording: "r1", By: room.ByKeep})
	h.withoutLog(func() {
		_, err := d.stopKept(r, "hall", by)
		var p *problem.Problem
		if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || p.Code != "log_away" {
			t.Errorf("without the log: %v", err)
		}
	})
	if err := h.connect(bus.Admin).EnsureStreams(t.Context(), bus.Streams{Region: "local"}); err != nil {
		t.Fatal(err)
	}
	a := h.do("PUT", "/v1/rooms/hall/settings", h.token("hall", "moderate"), `{"keep":"rewind"}`)
	if facts := h.recordingFacts("hall"); a.StatusCode != http.StatusOK || facts[len(facts)-1] != (room.RecordingStopped{Recording: "r1"}) {
		t.Errorf("%d %s: %v", a.StatusCode, a.body, facts)
	}
}

// A replica that lags has nothing since a time of which the leader has something: that is no word about where a recording begins.
func TestARecordingBeginsByNoReplicaThatLags(t *testing.T) {
	h := build(t, nil)
	d := &door{deps: Deps{Bus: h.connect(bus.Edge), Log: h.log}}
	lag := h.logged("hall", 3)
	at := lag.Add(time.Nanosecond)
	if from, err := d.before(t.Context(), at, logStand{first: 1, last: 3, lastAt: lag}); err != nil || from != 3 {
		t.Errorf("nothing came since: from %d, %v", from, err)
	}
	ahead := logStand{first: 1, last: 5, lastAt: at}
	short, cancel := context.WithTimeout(t.Context(), 10*lagPause)
	defer cancel()
	if from, err := d.before(short, at, ahead); err == nil {
		t.Errorf("the replica lacks 4 and 5, and the recording begins behind %d", from)
	}
	found := make(chan uint64, 1)
	go func() {
		from, _ := d.before(t.Context(), at, ahead)
		found <- from
	}()
	h.logged("hall", 2)
	if from := <-found; from != 3 {
		t.Errorf("once the replica has it, the recording begins behind %d, want 3", from)
	}
}

// A recorder starts a recording between the state that a change of settings is decided on and the change: that one is stopped, too. A room that is
// opened with another keep says where the log was, as any other change does.
func TestAChangeOfKeepStopsWhatABelatedRecorderStarts(t *testing.T) {
	h := build(t, nil)
	d := &door{cfg: Config{Patience: 5 * time.Second}, deps: Deps{Bus: h.connect(bus.Edge), Log: h.log}}
	by := allowed{auth.Claims{Grants: auth.AllGrants()}, moderate}
	record, rewind := room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}, room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted}
	h.append("hall", room.Created{Settings: record})
	h.speaking("hall")
	h.logged("hall", 4)
	started := room.RecordingStarted{Recording: "r1", By: room.ByKeep}
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "PUT", "/", nil)
	want := func(*room.State) (room.Settings, error) {
		h.append("hall", started)
		return rewind, nil
	}
	if err := d.settle(w, r, "hall", by, want, (*room.State).SetAt); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	facts := h.recordingFacts("hall")
	if last := facts[len(facts)-1]; last != (room.RecordingStopped{Recording: "r1", Through: 4}) {
		t.Errorf("answered 200, and %v", facts)
	}
	h.append("hall", room.Closed{})
	a := h.do("POST", "/v1/rooms", h.token("hall", "moderate"), `{"room":"hall","keep":"record"}`)
	if facts := h.recordingFacts("hall"); a.StatusCode != http.StatusOK || facts[len(facts)-1] != (room.Opened{Settings: record, Log: 5}) {
		t.Errorf("%d %s: %v", a.StatusCode, a.body, facts)
	}
}

// keep: record wants a recording that no recorder has started yet: to stop it is refused, as it would begin all the same.
func TestARecordingThatIsDueCannotBeStopped(t *testing.T) {
	h := build(t, nil)
	token := h.token("hall", "moderate", "record")
	off := func() answer { return h.do("PUT", "/v1/rooms/hall/recording", token, `{"on":false}`) }
	ok := func(what string, a answer) {
		t.Helper()
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
		}
	}
	h.append("hall", room.Created{Settings: room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}})
	ok("nobody speaks", off())
	h.speaking("hall")
	off().refused(t, "it is due", http.StatusServiceUnavailable, "recording_due")
	h.append("hall", room.RecordingStarted{Recording: "r1", By: room.ByKeep})
	ok("it has begun", off())
	ok("it is stopped", off())
	h.append("hall", room.RecordingStarted{Recording: "r2", By: room.ByKeep}, room.RecordingStopping{Recording: "r2"})
	h.speak("hall", "ada", "aaaaaba", 2)
	off().refused(t, "a track has begun behind the halt", http.StatusServiceUnavailable, "recording_due")
	ok("keep is record no longer", h.do("PUT", "/v1/rooms/hall/settings", token, `{"keep":"rewind"}`))
	ok("nothing is due", off())
}

// append stores facts whatever the room's state says.
func (h *house) append(name string, facts ...room.Fact) {
	h.t.Helper()
	for _, fact := range facts {
		if _, _, err := h.log.Decide(h.t.Context(), name, "", func(s *room.State) (room.Draft, error) {
			return room.Draft{Fact: fact, Expect: s.LastOn(fact.Subject())}, nil
		}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// speaking is a session with an open track.
func (h *house) speaking(name string) {
	h.t.Helper()
	h.join(name, "ada")
	h.speak(name, "ada", "aaaaaai", 1)
}

// withoutLog is while the audio log is gone.
func (h *house) withoutLog(do func()) {
	h.t.Helper()
	js := h.connect(bus.Admin).JetStream()
	if err := js.DeleteStream(context.WithoutCancel(h.t.Context()), subject.LogStream("local")); err != nil {
		h.t.Fatal(err)
	}
	do()
}
