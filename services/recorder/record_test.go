package recorder

import (
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"airloom/internal/recording"
	"airloom/internal/room"
)

// heard checks a file with other people's programs and gives how long it plays, in seconds.
func heard(t *testing.T, path string) float64 {
	t.Helper()
	if out := tool(t, "oggz-validate", path); strings.Contains(out, "serialno") || strings.Contains(out, "rror") {
		t.Errorf("oggz-validate: %s", out)
	}
	info := tool(t, "opusinfo", path)
	if strings.Contains(strings.ToUpper(info), "WARNING") || strings.Contains(strings.ToUpper(info), "ERROR") {
		t.Errorf("opusinfo: %s", info)
	}
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", path, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg: %v %s", err, out)
	}
	m := regexp.MustCompile(`Playback length: (\d+)m:([\d.]+)s`).FindStringSubmatch(info)
	if m == nil {
		t.Fatalf("opusinfo tells no length: %s", info)
	}
	minutes, _ := strconv.ParseFloat(m[1], 64)
	seconds, _ := strconv.ParseFloat(m[2], 64)
	return minutes*60 + seconds
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.020 {
		t.Errorf("%s is %.4f s, want %.4f within 20 ms", what, got, want)
	}
}

func TestEveryFrameIsInTheFile(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	rec, _ := r.recorder(quick(), openStore(t, dir))
	until(t, "ready", rec.Ready)
	voice := speech(t, 1234)
	s := r.speaker("hall")
	s.say(0, 0, voice)
	s.end(0, 1233)
	s.leave()
	m := closed(t, dir, 1)[0]
	if len(m.Tracks) != 1 || m.Room != "hall" || m.By != "keep" || m.State != recording.Closed || m.Stopped == nil {
		t.Fatalf("%+v", m)
	}
	track := m.Tracks[0]
	if track.Frames != 1234 || track.SHA256 != digest(voice...) || track.Missing() != 0 || len(track.Segments) != 3 || track.End != recording.EndDeclared ||
		track.Identity != "id-"+s.session || track.Name != "mic" || track.Label != "Desk" || track.Epochs[0].Timestamp != 1000 {
		t.Fatalf("%+v", track)
	}
	near(t, "the manifest", track.Seconds, 1234*0.02)
	near(t, "the file", heard(t, filepath.Join(dir, "recordings", m.Recording, track.File)), 1234*0.02)
	if rec.metrics.divergences.Load() != 0 || rec.metrics.frames.Load() != 1234 {
		t.Error("metrics", rec.metrics.divergences.Load(), rec.metrics.frames.Load())
	}
}

func TestSilenceGapsAndEpochsKeepTheirTime(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 400)
	s := r.speaker("hall")
	s.say(0, 0, voice[:100])
	s.silent(0, 100, 700) // 14 s muted, over a segment's bound
	s.say(0, 800, voice[100:200])
	// 900-949 never come
	s.say(0, 950, voice[200:300])
	s.say(1, 0, voice[300:])
	s.end(1, 101) // the last two are missing
	s.leave()
	m := closed(t, dir, 1)[0]
	track := m.Tracks[0]
	if track.SHA256 != digest(voice...) || track.Frames != 400 {
		t.Fatalf("%+v", track)
	}
	if len(track.Silence) != 1 || track.Silence[0] != (recording.SeqRange{From: 100, To: 799}) {
		t.Errorf("silence %+v", track.Silence)
	}
	want := []recording.Gap{
		{SeqRange: recording.SeqRange{From: 900, To: 949}, Reason: room.PublisherDropped},
		{SeqRange: recording.SeqRange{Epoch: 1, From: 100, To: 101}, Reason: room.PublisherDropped},
	}
	if len(track.Gaps) != 2 || track.Gaps[0] != want[0] || track.Gaps[1] != want[1] {
		t.Errorf("gaps %+v", track.Gaps)
	}
	if len(track.Epochs) != 2 || track.Epochs[0].Last != 1049 || track.Epochs[1].Last != 101 {
		t.Errorf("epochs %+v", track.Epochs)
	}
	near(t, "the manifest", track.Seconds, (1050+102)*0.02)
	near(t, "the file", heard(t, filepath.Join(dir, "recordings", m.Recording, track.File)), (1050+102)*0.02)
}

func TestEventsOfNewerBuildsHoldNoTrackUp(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	s := r.speaker("hall")
	s.say(0, 0, speech(t, 20))
	r.decide("hall", func(st *room.State) (room.Draft, error) {
		return room.Draft{Fact: room.Unknown{Kind: "gap", ID: s.track, Name: "gap.painted", Version: 3}, Expect: st.LastOn("gap", s.track)}, nil
	})
	s.end(0, 29) // ten are missing: a fact for them and the closing fact must follow the unknown one
	r.decide("hall", func(st *room.State) (room.Draft, error) {
		return room.Draft{Fact: room.Unknown{Kind: "recording", ID: "current", Name: "recording.named", Version: 1}, Expect: st.LastOn("recording", "current")}, nil
	})
	if m := closed(t, dir, 1)[0]; m.Tracks[0].Frames != 20 || m.Tracks[0].Missing() != 10 {
		t.Errorf("%+v", m)
	}
}
