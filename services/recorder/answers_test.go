package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/nats-io/nats.go"

	"airloom/internal/frame"
	"airloom/internal/query"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
)

func (r *region) ask(on string, question, answer any) error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	return query.Ask(ctx, r.edge.Conn(), on, question, answer)
}

func TestAnswers(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	rec, stop := r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 620)
	for _, name := range []string{"hall", "attic"} {
		s := r.speaker(name)
		s.say(0, 0, voice)
		s.end(0, 619)
		s.leave()
	}
	m := closed(t, dir, 2)[0]
	open := r.speaker("cellar")
	open.say(0, 0, voice)
	until(t, "frames of the open one", func() bool { return rec.metrics.segments.Load() == 5 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	r.recorder(quick(), openStore(t, dir)) // finds them all again
	var list query.Recordings
	until(t, "answered", func() bool { return r.ask(subject.RecorderList, query.RecordingsQuestion{}, &list) == nil })
	if len(list.Recordings) != 3 || list.Recordings[0].Room != "cellar" || list.Recordings[0].State != "open" || list.Recordings[0].Tracks[0].Frames != 500 ||
		list.Recordings[1].State != "closed" || list.Recordings[1].Tracks[0].Frames != 620 || list.More {
		t.Fatalf("%+v", list)
	}
	if err := r.ask(subject.RecorderList, query.RecordingsQuestion{Room: "attic"}, &list); err != nil || len(list.Recordings) != 1 || list.Recordings[0].Room != "attic" {
		t.Errorf("%+v %v", list, err)
	}
	var got recording.Manifest
	if err := r.ask(subject.RecorderGet, query.RecordingQuestion{Recording: m.Recording}, &got); err != nil || got.Tracks[0].SHA256 != m.Tracks[0].SHA256 {
		t.Errorf("%+v %v", got, err)
	}
	var whole []byte
	for {
		part, err := query.AskFile(t.Context(), r.edge.Conn(), query.FileQuestion{Recording: m.Recording, File: m.Tracks[0].File, Offset: int64(len(whole)), Length: 7001})
		if err != nil || part.Size != m.Tracks[0].Bytes || part.SHA256 != m.Tracks[0].FileSHA256 {
			t.Fatalf("%+v %v", part, err)
		}
		if len(part.Data) == 0 {
			break
		}
		whole = append(whole, part.Data...)
	}
	want, err := os.ReadFile(filepath.Join(dir, "recordings", m.Recording, m.Tracks[0].File))
	if err != nil || !bytes.Equal(whole, want) {
		t.Errorf("%d bytes read, %d in the folder, %v", len(whole), len(want), err)
	}
	part, err := query.AskFile(t.Context(), r.edge.Conn(), query.FileQuestion{Recording: m.Recording, File: "manifest.json", Length: query.MaxRead})
	if err != nil || json.Unmarshal(part.Data, &got) != nil || int64(len(part.Data)) != part.Size {
		t.Errorf("manifest as a file: %+v %v", part, err)
	}
}

// Rows 13 and 14: names are parsed, never used as paths; ranges are held against the file.
func TestRow13QuestionsThatAreRefused(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	rec, _ := r.recorder(quick(), openStore(t, dir))
	until(t, "ready", rec.Ready)
	for _, c := range []struct {
		on     string
		q      any
		status int
	}{
		{subject.RecorderGet, query.RecordingQuestion{Recording: "no-such"}, http.StatusNotFound},
		{subject.RecorderGet, query.RecordingQuestion{Recording: "../secret"}, http.StatusNotFound},
		{subject.RecorderGet, query.RecordingQuestion{}, http.StatusNotFound},
		{subject.RecorderRead, query.FileQuestion{Recording: "..", File: "secret", Length: 1}, http.StatusNotFound},
		{subject.RecorderRead, query.FileQuestion{Recording: "r", File: "../../secret", Length: 1}, http.StatusNotFound},
		{subject.RecorderRead, query.FileQuestion{Recording: "r", File: "aaaaaai.opus", Length: 1}, http.StatusNotFound},
		{subject.RecorderRead, query.FileQuestion{Recording: "r", File: "aaaaaai.opus", Offset: -1, Length: 1}, http.StatusBadRequest},
		{subject.RecorderRead, query.FileQuestion{Recording: "r", File: "aaaaaai.opus", Length: query.MaxRead + 1}, http.StatusBadRequest},
		{subject.RecorderRead, []int{1}, http.StatusBadRequest},
		{subject.RecorderRead, map[string]any{"recording": "r", "path": "/etc/passwd"}, http.StatusBadRequest},
	} {
		var refused *query.Refused
		err := r.ask(c.on, c.q, new(json.RawMessage))
		if !errors.As(err, &refused) || refused.Status != c.status {
			t.Errorf("%s %+v: %v, want %d", c.on, c.q, err, c.status)
		}
	}
}

func TestConfigTellsAllThatIsWrong(t *testing.T) {
	err := Config{Region: "EU!", Writers: -1, Grace: -time.Second}.Validate()
	for _, want := range []string{"EU!", "writers", "grace"} {
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
	if err := (Config{Region: "eu"}).Validate(); err != nil {
		t.Error(err)
	}
}

var (
	spans   = tracetest.NewInMemoryExporter()
	tracing = sync.OnceFunc(func() { otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans))) })
)

func TestSpansLinkToTheirCause(t *testing.T) {
	tracing() // a tracer keeps the first provider it gets, so there is one for the process
	spans.Reset()
	const parent, traceID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	s := r.speaker("hall")
	p, err := frame.AppendAudio(nil, frame.Header{Handle: s.handle}, speech(t, 10)...)
	if err != nil {
		t.Fatal(err)
	}
	msg := &nats.Msg{Subject: subject.Log("eu", "hall", s.track), Data: p, Header: nats.Header{"traceparent": {parent}}}
	if _, err := r.edge.JetStream().PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.log.Decide(t.Context(), "hall", parent, func(st *room.State) (room.Draft, error) {
		return st.EndTrack(room.TrackEnded{Track: s.track, Last: 9})
	}); err != nil {
		t.Fatal(err)
	}
	closed(t, dir, 1)
	found := map[string]bool{}
	for _, span := range spans.GetSpans() {
		linked := len(span.Links) == 1 && span.Links[0].SpanContext.TraceID().String() == traceID
		switch span.Name {
		case "recorder.pack":
			found[span.Name] = span.SpanContext.TraceID().String() == traceID
		case "recorder.fold":
			found[span.Name] = found[span.Name] || linked
		case "recorder.segment":
			found[span.Name] = true
		}
	}
	if !found["recorder.pack"] || !found["recorder.fold"] || !found["recorder.segment"] {
		t.Errorf("%v", found)
	}
}
