package rest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"airloom/internal/problem"
	"airloom/internal/query"
)

// sound is longer than one piece of the recorder, and no whole number of them.
func sound(t *testing.T) string {
	t.Helper()
	b := make([]byte, 2*query.MaxRead+12345)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRecordingsAndFiles(t *testing.T) {
	h := build(t, nil)
	body := sound(t)
	h.recorder([]query.Recording{
		{Recording: "r1", Room: "hall", State: "closed", Tracks: []query.RecordedTrack{}},
		{Recording: "r2", Room: "cellar", State: "open", Tracks: []query.RecordedTrack{}},
	}, map[string]string{"tracks/a.opus": body, "manifest.json": "{}", "empty.opus": "", "x.bin": "x"})
	hall := h.token("hall", "record")
	var list query.Recordings
	h.do("GET", "/v1/recordings", hall, "").into(t, &list)
	if len(list.Recordings) != 1 || list.Recordings[0].Recording != "r1" {
		t.Errorf("a token for hall sees %+v", list.Recordings)
	}
	h.do("GET", "/v1/recordings?room=cellar", hall, "").into(t, &list)
	if len(list.Recordings) != 1 || list.Recordings[0].Room != "hall" {
		t.Errorf("a token for hall that asks for cellar sees %+v", list.Recordings)
	}
	h.do("GET", "/v1/recordings", h.token("*", "moderate"), "").into(t, &list)
	if len(list.Recordings) != 2 {
		t.Errorf("a token for all sees %+v", list.Recordings)
	}
	for _, path := range []string{"/v1/recordings/r2", "/v1/recordings/r2/files/manifest.json", "/v1/recordings/r3"} {
		h.do("GET", path, hall, "").refused(t, path, http.StatusNotFound, "no_such_recording")
	}

	whole := h.do("GET", "/v1/recordings/r1/files/tracks/a.opus", hall, "")
	if whole.StatusCode != 200 || string(whole.body) != body || whole.Header.Get("Content-Type") != "audio/ogg" ||
		whole.ContentLength != int64(len(body)) || whole.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("whole: %d, %d bytes, %v", whole.StatusCode, len(whole.body), whole.Header)
	}
	etag := whole.Header.Get("ETag")
	if etag != `"`+strings.Repeat("ab", 32)+`"` {
		t.Errorf("ETag %s", etag)
	}
	if a := h.do("GET", "/v1/recordings/r1/files/tracks/a.opus", hall, "", "If-None-Match", etag); a.StatusCode != http.StatusNotModified {
		t.Errorf("If-None-Match: %d", a.StatusCode)
	}
	if a := h.do("HEAD", "/v1/recordings/r1/files/tracks/a.opus", hall, ""); a.StatusCode != 200 || a.ContentLength != int64(len(body)) || len(a.body) != 0 {
		t.Errorf("HEAD: %d, %d", a.StatusCode, a.ContentLength)
	}
	if a := h.do("GET", "/v1/recordings/r1/files/manifest.json", hall, ""); a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("manifest: %v", a.Header)
	}
	if a := h.do("GET", "/v1/recordings/r1/files/empty.opus", hall, ""); a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("empty: %d", a.StatusCode)
	}
	if a := h.do("GET", "/v1/recordings/r1/files/x.bin", hall, ""); a.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("unknown kind: %v", a.Header)
	}
	h.do("GET", "/v1/recordings/r1/files/none.opus", hall, "").refused(t, "no file", http.StatusNotFound, "no_such_file")
}

// A manifest that fits no message of NATS is read in pieces.
func TestLongManifest(t *testing.T) {
	h := build(t, nil)
	manifest := `{"recording":"r1","room":"hall","pad":"` + strings.Repeat("x", 2*query.MaxRead) + `"}`
	h.recorder([]query.Recording{{Recording: "r1", Room: "hall", State: "long"}, {Recording: "r2", Room: "hall", State: "broken"}},
		map[string]string{"manifest.json": manifest, "a.opus": "OggS"})
	if a := h.do("GET", "/v1/recordings/r1", h.token("hall", "record"), ""); string(a.body) != manifest+"\n" {
		t.Errorf("%d, %d bytes", a.StatusCode, len(a.body))
	}
	if a := h.do("GET", "/v1/recordings/r1/files/a.opus", h.token("hall", "record"), ""); string(a.body) != "OggS" {
		t.Errorf("file: %d %s", a.StatusCode, a.body)
	}
	h.do("GET", "/v1/recordings/r1", h.token("cellar", "record"), "").refused(t, "other room", http.StatusNotFound, "no_such_recording")
	h.do("GET", "/v1/recordings/r2", h.token("hall", "record"), "").refused(t, "store away", http.StatusServiceUnavailable, "no_answer")
}

// Row 14: many, negative and unsatisfiable ranges.
func TestRow14Ranges(t *testing.T) {
	h := build(t, nil)
	body := sound(t)
	h.recorder([]query.Recording{{Recording: "r1", Room: "hall"}}, map[string]string{"a.opus": body, "empty.opus": ""})
	token, n := h.token("hall", "record"), len(body)
	get := func(header ...string) answer {
		return h.do("GET", "/v1/recordings/r1/files/a.opus", token, "", header...)
	}
	for _, c := range []struct {
		ranges   string
		from, to int
	}{
		{"bytes=0-0", 0, 1},
		{"bytes=0-", 0, n},
		{"bytes=100-199", 100, 200},
		{"bytes=262143-262144", 262143, 262145}, // over the edge of a piece
		{fmt.Sprintf("bytes=5-%d", n+1000), 5, n},
		{"bytes=-10", n - 10, n},
		{fmt.Sprintf("bytes=-%d", n+5), 0, n},
	} {
		a := get("Range", c.ranges)
		if want := fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, n); a.StatusCode != 206 || a.Header.Get("Content-Range") != want || string(a.body) != body[c.from:c.to] {
			t.Errorf("%s: %d %s, %d bytes", c.ranges, a.StatusCode, a.Header.Get("Content-Range"), len(a.body))
		}
	}
	for _, ranges := range []string{
		"bytes=" + strings.Repeat("0-,", 1000) + "0-", "bytes=0-1,3-4", "bytes=--5", "bytes=-5-1", "bytes=-0", "bytes=-", "bytes=", "bytes=5-4", "bytes=a-b",
		"bytes=+1-2", "bytes= 1-2", "bytes=99999999999999999999-", fmt.Sprintf("bytes=%d-", n), "bytes=0x0-1",
	} {
		a := get("Range", ranges)
		a.refused(t, ranges[:min(len(ranges), 30)], http.StatusRequestedRangeNotSatisfiable, "bad_range")
		if a.Header.Get("Content-Range") != fmt.Sprintf("bytes */%d", n) || a.Header.Get("ETag") != "" {
			t.Errorf("%.30s: %v", ranges, a.Header)
		}
	}
	if a := get("Range", "lines=1-2"); a.StatusCode != 200 {
		t.Errorf("an unknown unit: %d", a.StatusCode)
	}
	if a := get("Range", "bytes=0-1", "If-Range", `"other"`); a.StatusCode != 200 || len(a.body) != n {
		t.Errorf("If-Range of another file: %d", a.StatusCode)
	}
	if a := get("Range", "bytes=0-1", "If-Range", `"`+strings.Repeat("ab", 32)+`"`); a.StatusCode != 206 {
		t.Errorf("If-Range: %d", a.StatusCode)
	}
	h.do("GET", "/v1/recordings/r1/files/empty.opus", token, "", "Range", "bytes=0-").refused(t, "of nothing", http.StatusRequestedRangeNotSatisfiable, "")
}

func FuzzOneRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=1-2,3-4"} {
		f.Add(s, int64(100))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 || !strings.HasPrefix(header, "bytes=") {
			return
		}
		from, to, err := oneRange(header, size)
		if err == nil && (from < 0 || from >= to || to > size) {
			t.Fatalf("oneRange(%q, %d) = %d, %d", header, size, from, to)
		}
		if err != nil && problem.Of(err).Status != http.StatusRequestedRangeNotSatisfiable {
			t.Fatal(err)
		}
	})
}

// A manifest that cannot be read fails neither the list nor what else there is of the recording; nobody but who may read all rooms
// gets to know, for nobody can tell whose it was.
func TestDamagedManifests(t *testing.T) {
	h := build(t, nil)
	const signature = "manifest.AAECAwQFBgc.sig"
	h.recorder([]query.Recording{{Recording: "r0", State: "damaged"}, {Recording: "r1", Room: "hall", State: "closed"}},
		map[string]string{signature: "{}", "segments/aaaaaai/0-0.seg": "ALSG"})
	hall, all := h.token("hall", "record"), h.token("*", "record")
	for token, damaged := range map[string]int{hall: 0, all: 1} {
		var list query.Recordings
		if h.do("GET", "/v1/recordings", token, "").into(t, &list); len(list.Damaged) != damaged {
			t.Errorf("%+v, want %d damaged", list, damaged)
		}
	}
	h.do("GET", "/v1/recordings/r0", all, "").refused(t, "manifest", http.StatusUnprocessableEntity, "damaged_manifest")
	var files query.RecordingFiles
	for _, id := range []string{"r0", "r1"} {
		if h.do("GET", "/v1/recordings/"+id+"/files", all, "").into(t, &files); files.Recording != id || !slices.Contains(files.Files, signature) {
			t.Errorf("%+v", files)
		}
		for file, body := range map[string]string{signature: "{}", "segments/aaaaaai/0-0.seg": "ALSG"} {
			if a := h.do("GET", "/v1/recordings/"+id+"/files/"+file, all, ""); a.StatusCode != 200 || string(a.body) != body {
				t.Errorf("%s of %s: %d %s", file, id, a.StatusCode, a.body)
			}
		}
	}
	for _, path := range []string{"", "/files", "/files/" + signature} {
		h.do("GET", "/v1/recordings/r0"+path, hall, "").refused(t, path, http.StatusNotFound, "no_such_recording")
	}
}
