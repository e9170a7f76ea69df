package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/ogg"
	"airloom/internal/query"
	"airloom/internal/recording"
)

// web keeps no connections: edges die here, and nothing may be left over at the end.
var web = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get asks an edge with a token ("": a dev token is got first); v may be nil.
func get(url, token, path string, v any) ([]byte, error) {
	return ask(http.MethodGet, url, token, path, v)
}

func ask(method, url, token, path string, v any) ([]byte, error) {
	if token == "" {
		var err error
		if token, err = devToken(url); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequest(method, url+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	body, err := answer(r)
	if err != nil || v == nil {
		return body, err
	}
	return body, json.Unmarshal(body, v)
}

func devToken(url string) (string, error) {
	r, err := http.NewRequest(http.MethodPost, url+"/v1/tokens", bytes.NewReader([]byte(`{"room":"*"}`)))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	body, err := answer(r)
	if err != nil {
		return "", err
	}
	var got struct{ Token string }
	return got.Token, errors.Join(json.Unmarshal(body, &got), check(&got.Token))
}

func check(token *string) error {
	if *token == "" {
		return errors.New("an answer without a token")
	}
	return nil
}

func answer(r *http.Request) ([]byte, error) {
	a, err := web.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %d %s", r.Method, r.URL.Path, a.StatusCode, body)
	}
	return body, err
}

// roster asks an edge who is in a room.
func roster(url, token, room string) (r query.Roster, err error) {
	_, err = get(url, token, "/v1/rooms/"+room, &r)
	return r, err
}

// names lists who is present and who is away.
func names(r query.Roster) (present, away []string) {
	for _, one := range r.Participants {
		present = append(present, one.Name)
	}
	for _, one := range r.Away {
		away = append(away, one.Name)
	}
	return present, away
}

func awaitPresent(t *testing.T, url, room, name string) {
	t.Helper()
	token, err := devToken(url)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, name+" is in the roster of "+room, func() bool {
		r, err := roster(url, token, room)
		present, _ := names(r)
		return err == nil && slices.Contains(present, name)
	})
}

// event is one line of a room's events.
type event struct {
	Type        string          `json:"type"`
	By          string          `json:"by"`
	At          time.Time       `json:"at"`
	Traceparent string          `json:"traceparent"`
	Position    uint64          `json:"position"`
	Data        json.RawMessage `json:"data"`
}

func events(t *testing.T, url, token, room string) (all []event) {
	t.Helper()
	body, err := get(url, token, "/v1/rooms/"+room+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	for lines := json.NewDecoder(bytes.NewReader(body)); ; {
		var e event
		if err := lines.Decode(&e); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

// recordings lists those of a room, waiting until a recorder answers.
func recordings(t *testing.T, url, room string) []query.Recording {
	t.Helper()
	var got query.Recordings
	eventually(t, 15*time.Second, "a recorder answers", func() bool {
		_, err := get(url, "", "/v1/recordings?room="+room, &got)
		return err == nil
	})
	return got.Recordings
}

// closedTrack waits until a track is whole in a closed recording and gives that and its part of the manifest.
func closedTrack(t *testing.T, url, room, track string) (recording.Manifest, recording.Track) {
	t.Helper()
	var m recording.Manifest
	eventually(t, 40*time.Second, "the recording of "+room+" is closed", func() bool {
		var got query.Recordings
		if _, err := get(url, "", "/v1/recordings?room="+room, &got); err != nil {
			return false
		}
		for _, r := range got.Recordings {
			has := slices.ContainsFunc(r.Tracks, func(one query.RecordedTrack) bool { return one.Track == track })
			if r.State == string(recording.Closed) && has {
				_, err := get(url, "", "/v1/recordings/"+r.Recording, &m)
				return err == nil
			}
		}
		return false
	})
	for _, one := range m.Tracks {
		if one.Track == track {
			return m, one
		}
	}
	t.Fatalf("the manifest of %s does not hold track %s", m.Recording, track)
	return m, recording.Track{}
}

// recordedWhole expects that a recording holds exactly what was published, playable by anybody's tools.
func recordedWhole(t *testing.T, url string, p published) recording.Manifest {
	t.Helper()
	m, track := closedTrack(t, url, p.Room, p.Track)
	if track.Frames != p.Frames || track.SHA256 != p.SHA256 || track.Missing() != 0 {
		t.Errorf("recorded %d frames, %d missing, sha256 %.12s; published %d frames, sha256 %.12s\n%+v", track.Frames, track.Missing(), track.SHA256, p.Frames, p.SHA256, track.Gaps)
	}
	body, err := get(url, "", "/v1/recordings/"+m.Recording+"/files/"+track.File, nil)
	if err != nil {
		t.Fatal(err)
	}
	if sum := digestOf(t, bytes.NewReader(body)); sum != p.SHA256 {
		t.Errorf("the packets in %s have sha256 %s, published was %s", track.File, sum, p.SHA256)
	}
	playable(t, body, p.Seconds)
	return m
}

// digestOf is the frame.Digest of an Ogg Opus file's packets.
func digestOf(t *testing.T, in io.Reader) string {
	t.Helper()
	digest := frame.NewDigest()
	for _, payload := range packetsOf(t, in) {
		digest.Add(payload)
	}
	return digest.Sum()
}

// packetsOf gives the packets of an Ogg Opus file.
func packetsOf(t *testing.T, in io.Reader) (all [][]byte) {
	t.Helper()
	r, err := ogg.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(p.Payload))
	}
}

// playable holds a file against the tools that others play it with.
func playable(t *testing.T, file []byte, seconds float64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "track.opus")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"opusinfo", path}, {"oggz-validate", path},
		{"ffmpeg", "-v", "error", "-xerror", "-i", path, "-f", "s16le", "-ar", "48000", "-ac", "1", "-y", path + ".raw"},
	} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("WARNING")) {
			t.Errorf("%s: %v\n%s", args[0], err, out)
		}
	}
	info, err := os.Stat(path + ".raw")
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(info.Size()) / 2 / 48000; got < seconds-0.1 || got > seconds+0.1 {
		t.Errorf("ffmpeg decodes %.2f s, published were %.2f s", got, seconds)
	}
}
