package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/participant"
	"airloom/internal/query"
)

// up starts everything in one process.
func up(t *testing.T, data, listen string, args ...string) (p *process, url string) {
	t.Helper()
	p = start(t, "up", nil, airloom, append([]string{"up", "--data", data, "--listen", listen}, args...)...)
	return p, p.ready(t)
}

func TestUpTakesSoundKeepsItAndFindsItAgain(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	began := time.Now()
	p, url := up(t, data, "127.0.0.1:0")
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ready after %v", took)
	}
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("ready at %q", url)
	}

	listener := listen(t, url, "town-hall", "ear")
	said := publish(t, url, "town-hall", "--for", "6s", speechOpus)
	var got heard
	listener.end(t, 20*time.Second, &got)
	got.same(t, said)
	before := recordedWhole(t, url, said)
	through := publish(t, url, "wav", "--for", "4s", "--rate", "max", speechWAV) // ffmpeg encodes
	recordedWhole(t, url, through)

	listen(t, url, "town-hall", "stayer") // nobody has to leave first
	p.interrupt(t)
	if code := p.wait(t, 15*time.Second); code != 0 {
		t.Fatalf("Ctrl-C: exit code %d", code)
	}
	_, url = up(t, data, "127.0.0.1:0")
	if again := recordedWhole(t, url, said); again.Recording != before.Recording {
		t.Errorf("found recording %s, was %s", again.Recording, before.Recording)
	}
	run(t, nil, "recording", "--url", url, "verify", before.Recording).ok()
	copied := filepath.Join(t.TempDir(), "copy")
	run(t, nil, "recording", "--url", url, "get", before.Recording, "-o", copied).ok()
	run(t, nil, "recording", "verify", copied).ok()
	for _, name := range []string{"town-hall", "wav"} {
		eventually(t, 6*time.Second, name+" is listed and empty", func() bool { // the stayer's edge is no more
			var rooms struct{ Rooms []query.RoomCount }
			run(t, nil, "room", "--url", url, "list", "--json").ok().decode(&rooms)
			return slices.ContainsFunc(rooms.Rooms, func(r query.RoomCount) bool { return r.Room == name && r.Present == 0 && r.Tracks == 0 })
		})
	}
}

// A publisher that outlives `up` finishes its track as if nothing had been.
func TestUpKilledDuringPublishLosesNothing(t *testing.T) {
	t.Parallel()
	data, addr := filepath.Join(t.TempDir(), "data"), freeAddr(t)
	p, url := up(t, data, addr)
	speaker := play(t, nil, "publish", "--url", url, "--room", "hall", "--name", "speaker", "--for", "8s", speechOpus)
	awaitSound(t, url, "hall", 2100*time.Millisecond) // in the middle of a pack
	p.kill()
	killed := time.Now()
	_, url = up(t, data, addr)
	t.Logf("up again %v after kill -9", time.Since(killed).Round(time.Millisecond))
	var said published
	speaker.end(t, time.Minute, &said)
	t.Logf("%d frames, %d acked, %d sent again", said.Frames, said.Acked, said.Resent)
	if said.Acked != said.Frames {
		t.Errorf("%d of %d frames acked", said.Acked, said.Frames)
	}
	recordedWhole(t, url, said)
}

// What was acked at the moment of the kill is there although the publisher never came back.
func TestUpKilledKeepsWhatItHadAcked(t *testing.T) {
	t.Parallel()
	data, addr := filepath.Join(t.TempDir(), "data"), freeAddr(t)
	p, url := up(t, data, addr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	joined, err := participant.Join(ctx, participant.Config{URL: url, Room: "hall", Name: "speaker"})
	if err != nil {
		t.Fatal(err)
	}
	track, err := joined.StartTrack(ctx, participant.TrackConfig{Name: "main", Channels: 1, FrameMS: 20})
	if err != nil {
		t.Fatal(err)
	}
	packets := speech(t)
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for i := 0; track.Stats().Acked < 99; i++ {
		if err := track.Send(ctx, packets[i], true); err != nil {
			t.Fatal(err)
		}
		<-pace.C
	}
	p.kill()
	acked := track.Stats().Acked // an ack that arrived before the kill may be read a moment after it
	joined.Close()
	session := joined.Session().Session

	_, url = up(t, data, addr)
	token, err := devToken(url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask("DELETE", url, token, "/v1/rooms/hall/participants/"+session, nil); err != nil { // does not wait 30 s for it
		t.Fatal(err)
	}
	_, kept := closedTrack(t, url, "hall", track.Track())
	digest := frame.NewDigest()
	for _, payload := range packets[:kept.Frames] {
		digest.Add(payload)
	}
	t.Logf("acked up to seq %d, recorded %d frames", acked, kept.Frames)
	if kept.Frames < acked+1 || kept.SHA256 != digest.Sum() || kept.Missing() != 0 {
		t.Errorf("acked up to seq %d; recorded %d frames, %d missing, sha256 equal: %v", acked, kept.Frames, kept.Missing(), kept.SHA256 == digest.Sum())
	}
}

// speech gives the packets of the speech.
func speech(t *testing.T) [][]byte {
	t.Helper()
	file, err := os.ReadFile(speechOpus)
	if err != nil {
		t.Fatal(err)
	}
	return packetsOf(t, bytes.NewReader(file))
}

// awaitSound waits until so much of a room's sound has been heard live.
func awaitSound(t *testing.T, url, room string, much time.Duration) {
	t.Helper()
	ear := hear(t, url, "", room)
	eventually(t, 20*time.Second, much.String()+" of sound in "+room, func() bool { return ear.frames() >= int(much/(20*time.Millisecond)) })
	ear.leave()
}
