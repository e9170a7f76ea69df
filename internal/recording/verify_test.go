package recording

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"airloom/internal/frame"
	"airloom/internal/ogg"
	"airloom/internal/room"
)

// recorded is a recording of 60 frames, 20 silent and 10 missing seqs, with its one file.
func recorded(t *testing.T) (*Manifest, []byte) {
	t.Helper()
	var file bytes.Buffer
	out, err := ogg.NewWriter(&file, 7, ogg.Head{Channels: 1, PreSkip: ogg.EncoderDelay})
	if err != nil {
		t.Fatal(err)
	}
	digest := frame.NewDigest()
	var fill []Fill
	add := func(f ogg.Fill) {
		if f.Packets > 0 {
			fill = append(fill, Fill{First: f.First, Packets: f.Packets})
		}
	}
	for seq := range int64(90) {
		if seq >= 30 && seq < 40 { // missing
			continue
		}
		if seq >= 60 && seq < 80 {
			if seq == 60 {
				_, silent, err := out.Silence(seq*960, 20*960)
				if err != nil {
					t.Fatal(err)
				}
				add(silent)
			}
			continue
		}
		lost, err := out.Frame(seq*960, celt20(byte(seq)))
		if err != nil {
			t.Fatal(err)
		}
		add(lost)
		digest.Add(celt20(byte(seq)))
	}
	if err := out.Close(0); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file.Bytes())
	id := frame.TrackID(7)
	return &Manifest{Version: ManifestVersion, Recording: "r", Room: "hall", State: Closed, Tracks: []Track{{
		Track: id, State: Closed, Epochs: []Epoch{{Last: 89, FrameMS: 20}}, Frames: 60, Seconds: 1.8,
		Silence: []SeqRange{{From: 60, To: 79}}, Gaps: []Gap{{SeqRange{From: 30, To: 39}, room.PublisherDropped}},
		SHA256: digest.Sum(), File: OpusFile(id), Bytes: int64(file.Len()), FileSHA256: hex.EncodeToString(sum[:]), Fill: fill,
	}}}, file.Bytes()
}

func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Manifest, *[]byte)
		want   string // "": nothing is wrong
	}{
		{"as it was", func(*Manifest, *[]byte) {}, ""},
		{"still open", func(m *Manifest, _ *[]byte) { m.State = Open }, "still open"},
		{"an open track", func(m *Manifest, _ *[]byte) { m.Tracks[0].State = Open }, "open in a closed recording"},
		{"a later version", func(m *Manifest, _ *[]byte) { m.Version = 9 }, "version 9"},
		{"a track twice", func(m *Manifest, _ *[]byte) { m.Tracks = append(m.Tracks, m.Tracks[0]) }, "twice"},
		{"a path as a track", func(m *Manifest, _ *[]byte) { m.Tracks[0].Track = "../x" }, "not a track's id"},
		{"a path as a file", func(m *Manifest, _ *[]byte) { m.Tracks[0].File = "../x" }, "is called"},
		{"a frame more", func(m *Manifest, _ *[]byte) { m.Tracks[0].Frames++ }, "do not add up"},
		{"a silence too long", func(m *Manifest, _ *[]byte) { m.Tracks[0].Silence[0].To = 95 }, "outside of its epoch"},
		{"a gap within silence", func(m *Manifest, _ *[]byte) { m.Tracks[0].Gaps[0].To = 60 }, "overlaps"},
		{"a gap without a reason", func(m *Manifest, _ *[]byte) { m.Tracks[0].Gaps[0].Reason = "" }, "has no reason"},
		{"a gap of no epoch", func(m *Manifest, _ *[]byte) { m.Tracks[0].Gaps[0].Epoch = 4 }, "outside of its epoch"},
		{"an epoch twice", func(m *Manifest, _ *[]byte) { m.Tracks[0].Epochs = append(m.Tracks[0].Epochs, m.Tracks[0].Epochs[0]) }, "there twice"},
		{"other seconds", func(m *Manifest, _ *[]byte) { m.Tracks[0].Seconds = 2 }, "it lasts"},
		{"another digest", func(m *Manifest, _ *[]byte) { m.Tracks[0].SHA256 = "00" }, "not those that were published"},
		{"fill taken for frames", func(m *Manifest, _ *[]byte) { m.Tracks[0].Fill = nil }, "not those that were published"},
		{"the file cut", func(_ *Manifest, b *[]byte) { *b = (*b)[:len(*b)-9] }, "is damaged"},
		{"the file flipped", func(_ *Manifest, b *[]byte) { (*b)[200] ^= 1 }, "is not the file"},
		{"the file longer", func(_ *Manifest, b *[]byte) { *b = append(*b, 0) }, "is not the file"},
		{"no file", func(_ *Manifest, b *[]byte) { *b = nil }, "cannot be read"},
		{"no sound to be had", func(m *Manifest, _ *[]byte) { m.Tracks[0].Problem = "no .opus: too long" }, "no .opus"},
	} {
		m, file := recorded(t)
		c.change(m, &file)
		report, err := Verify(t.Context(), m, func(string) (io.ReadCloser, error) {
			if file == nil {
				return nil, errors.New("gone")
			}
			return io.NopCloser(bytes.NewReader(file)), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, p := range report.Problems {
			all = append(all, p.String())
		}
		if got := strings.Join(all, "; "); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if c.want == "" && (report.Frames != 60 || report.Missing != 10 || report.Tracks != 1) {
			t.Errorf("%+v", report)
		}
	}
}
