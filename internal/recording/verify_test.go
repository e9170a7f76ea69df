package recording

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"airloom/internal/auth"
	"airloom/internal/frame"
	"airloom/internal/ogg"
	"airloom/internal/room"
)

// shelf is a recording's files in memory.
type shelf map[string][]byte

func (s shelf) Open(_ context.Context, file string) (io.ReadCloser, error) {
	b, ok := s[file]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", file, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s shelf) List(context.Context) ([]string, error) { return slices.Collect(maps.Keys(s)), nil }

// maker records a track as a recorder does: 60 frames, 20 silent and 10 missing seqs, then 500 missing ones, then 110 frames.
type maker struct {
	t        *testing.T
	out      *ogg.Writer
	sound    bytes.Buffer
	track    Track
	digest   *frame.Digest
	chain    *Chain
	files    shelf
	segments map[uint32]*Segment
}

const madeSeqs = 1110

func (k *maker) fill(fills ...ogg.Fill) {
	for _, f := range fills {
		if f.Packets > 0 {
			k.track.Fill = append(k.track.Fill, Fill{First: f.First, Packets: f.Packets})
		}
	}
}

func (k *maker) seq(seq uint32) {
	s := k.segments[seq/SegmentSeqs]
	if s == nil {
		s = &Segment{Room: "hall", Handle: 7, Unit: 8, First: seq / SegmentSeqs * SegmentSeqs}
		k.segments[seq/SegmentSeqs] = s
	}
	s.Count++
	switch at := int64(seq) * 960; {
	case seq >= 30 && seq < 40 || seq >= 90 && seq < 1000:
		s.Add(Item{Kind: Lost, Seq: seq, Span: 1, Reason: room.PublisherDropped})
	case seq >= 60 && seq < 80:
		if seq == 60 {
			lost, silent, err := k.out.Silence(at, 20*960)
			k.must(err)
			k.fill(lost, silent)
		}
		s.Add(Item{Kind: Silent, Seq: seq, Span: 1})
	default:
		lost, err := k.out.Frame(at, celt20(byte(seq)))
		k.must(err)
		k.fill(lost)
		k.digest.Add(celt20(byte(seq)))
		k.track.Frames++
		s.Add(Item{Kind: Present, Seq: seq, Span: 1, Timestamp: seq * 960, Payload: celt20(byte(seq))})
	}
}

func (k *maker) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// recorded is that recording with segments 0 and 2; of 1 there is nothing.
func recorded(t *testing.T) (*Manifest, shelf) {
	t.Helper()
	id := frame.TrackID(7)
	k := &maker{t: t, digest: frame.NewDigest(), chain: NewChain("r", "hall", id), files: shelf{}, segments: map[uint32]*Segment{}, track: Track{
		Track: id, State: Closed, Epochs: []Epoch{{Last: madeSeqs - 1, FrameMS: 20}}, Seconds: madeSeqs * 0.02, File: OpusFile(id),
		Silence: []SeqRange{{From: 60, To: 79}},
		Gaps:    []Gap{{SeqRange{From: 30, To: 39}, room.PublisherDropped}, {SeqRange{From: 90, To: 999}, room.PublisherDropped}},
	}}
	var err error
	k.out, err = ogg.NewWriter(&k.sound, 7, ogg.Head{Channels: 1, PreSkip: ogg.EncoderDelay})
	k.must(err)
	for seq := range uint32(madeSeqs) {
		k.seq(seq)
	}
	k.must(k.out.Close(0))
	for _, n := range []uint32{0, 2} {
		data, err := k.segments[n].Append(nil)
		k.must(err)
		k.files[SegmentFile(id, 0, n)] = data
		k.track.Segments = append(k.track.Segments, k.segments[n].Describe(data, k.chain))
	}
	sum := sha256.Sum256(k.sound.Bytes())
	k.track.SHA256, k.track.Chain, k.track.Bytes, k.track.FileSHA256 = k.digest.Sum(), k.chain.Sum(), int64(k.sound.Len()), hex.EncodeToString(sum[:])
	k.files[OpusFile(id)] = k.sound.Bytes()
	return &Manifest{Version: ManifestVersion, Recording: "r", Room: "hall", State: Closed, Tracks: []Track{k.track}}, k.files
}

// check signs and verifies a recording as it is.
func check(t *testing.T, m *Manifest, files shelf) *Report {
	t.Helper()
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	key := testKey(1)
	sig, err := Sign(m.Recording, data, key)
	if err != nil {
		t.Fatal(err)
	}
	files[SignatureFile(keyID(key))] = sig
	report, err := Verify(t.Context(), data, files, Options{Keys: []ed25519.PublicKey{public(key)}, Segments: true})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Who can write into the store and has no key can put one recording, signed as it is, in the place of another.
func TestVerifyOfAnotherRecording(t *testing.T) {
	m, files := recorded(t)
	if r := check(t, m, files); r.Count() != 0 {
		t.Fatalf("%+v", r)
	}
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]int{"r": 0, "": 0, "q": 1} {
		r, err := Verify(t.Context(), data, files, Options{Recording: id, Keys: []ed25519.PublicKey{public(testKey(1))}, Segments: true})
		if err != nil || r.Count() != want {
			t.Errorf("asked for %q: %v, %+v", id, err, r.Problems)
		}
	}
}

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}
func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
func keyID(k ed25519.PrivateKey) string             { return auth.KeyID(public(k)) }

func all(r *Report) string {
	var out []string
	for _, p := range r.Problems {
		out = append(out, p.String())
	}
	return strings.Join(out, "; ")
}

// What a manifest says against itself and its files is named, although it is signed.
func TestVerify(t *testing.T) {
	id := frame.TrackID(7)
	sound := OpusFile(id)
	for _, c := range []struct {
		name   string
		change func(*Manifest, shelf)
		want   string // "": nothing is wrong
		first  int    // the first broken segment, -1: none
	}{
		{"as it was", func(*Manifest, shelf) {}, "", -1},
		{"still open", func(m *Manifest, _ shelf) { m.State = Open }, "still open", -1},
		{"an open track", func(m *Manifest, _ shelf) { m.Tracks[0].State = Open }, "open in a closed recording", -1},
		{"a later version", func(m *Manifest, _ shelf) { m.Version = 9 }, "version 9", -1},
		{"a track twice", func(m *Manifest, _ shelf) { m.Tracks = append(m.Tracks, m.Tracks[0]) }, "twice", -1},
		{"a path as a track", func(m *Manifest, _ shelf) { m.Tracks[0].Track = "../x" }, "not a track's id", -1},
		{"a path as a file", func(m *Manifest, _ shelf) { m.Tracks[0].File = "../x" }, "is called", -1},
		{"a frame more", func(m *Manifest, _ shelf) { m.Tracks[0].Frames++ }, "do not add up", -1},
		{"a silence too long", func(m *Manifest, _ shelf) { m.Tracks[0].Silence[0].To = 2000 }, "outside of its epoch", -1},
		{"a gap within silence", func(m *Manifest, _ shelf) { m.Tracks[0].Gaps[0].To = 60 }, "overlaps", -1},
		{"a gap without a reason", func(m *Manifest, _ shelf) { m.Tracks[0].Gaps[0].Reason = "" }, "has no reason", -1},
		{"a gap of no epoch", func(m *Manifest, _ shelf) { m.Tracks[0].Gaps[0].Epoch = 4 }, "outside of its epoch", -1},
		{"a gap of another reason", func(m *Manifest, _ shelf) { m.Tracks[0].Gaps[0].Reason = room.PublisherVanished }, "which seqs are silent or missing, and why", 0},
		{"silence and gap exchanged", func(m *Manifest, _ shelf) {
			m.Tracks[0].Silence[0], m.Tracks[0].Gaps[0].SeqRange = SeqRange{From: 30, To: 39}, SeqRange{From: 60, To: 79}
		}, "which seqs are silent or missing, and why", 0},
		{"an epoch twice", func(m *Manifest, _ shelf) { m.Tracks[0].Epochs = append(m.Tracks[0].Epochs, m.Tracks[0].Epochs[0]) }, "there twice", -1},
		{"an epoch from the middle", func(m *Manifest, _ shelf) {
			m.Tracks[0].Epochs[0].First, m.Tracks[0].Frames, m.Tracks[0].Seconds = 10, 160, 22
		}, "does not begin with seq 0", -1},
		{"other seconds", func(m *Manifest, _ shelf) { m.Tracks[0].Seconds = 2 }, "it lasts", -1},
		{"another digest", func(m *Manifest, _ shelf) { m.Tracks[0].SHA256 = "00" }, "not those that were published", -1},
		{"another digest of a segment", func(m *Manifest, _ shelf) { m.Tracks[0].Segments[1].Digest = "00" }, "not those that were published", 2},
		{"no digest of a segment", func(m *Manifest, _ shelf) { m.Tracks[0].Segments[1].Digest = "" }, "not those that were published", 2},
		{"frames moved between segments", func(m *Manifest, _ shelf) { m.Tracks[0].Segments[0].Frames++; m.Tracks[0].Segments[1].Frames-- }, "has 61 frames, but 60", 0},
		{"absurd frames", func(m *Manifest, _ shelf) { m.Tracks[0].Segments[1].Frames = -1 << 60 }, "says that it has -", 2},
		{"a link", func(m *Manifest, _ shelf) { m.Tracks[0].Segments[1].Chain = m.Tracks[0].Segments[0].Chain }, "chain breaks here", 2},
		{"no links", func(m *Manifest, _ shelf) { m.Tracks[0].Segments[0].Chain = "" }, "chain breaks here", 0},
		{"no last link", func(m *Manifest, _ shelf) { m.Tracks[0].Chain = "" }, "chain ends with", -1},
		{"a SHA-256 that is none", func(m *Manifest, _ shelf) { m.Tracks[0].Segments[1].SHA256 = "zz" }, "no SHA-256", 2},
		{"another recording's track", func(m *Manifest, _ shelf) { m.Recording = "q" }, "chain breaks here", 0},
		{"another room's track", func(m *Manifest, _ shelf) { m.Room = "attic" }, "in room \"hall\"", 0},
		{"an entry left out", func(m *Manifest, _ shelf) { m.Tracks[0].Segments = m.Tracks[0].Segments[:1] }, "no such segment, although seq 1000", 2},
		{"an entry put in", func(m *Manifest, _ shelf) {
			s := m.Tracks[0].Segments
			m.Tracks[0].Segments = []SegmentInfo{s[0], {N: 1, SHA256: s[1].SHA256}, s[1]}
		}, "there can be no such segment", 1},
		{"entries exchanged", func(m *Manifest, _ shelf) { slices.Reverse(m.Tracks[0].Segments) }, "out of order", 0},
		{"an entry behind the end", func(m *Manifest, _ shelf) { m.Tracks[0].Segments[1].N = 9 }, "behind the end", 2},
		{"an entry of no epoch", func(m *Manifest, _ shelf) { m.Tracks[0].Segments[1].Epoch = 9 }, "behind the end", 2},
		{"fill taken for frames", func(m *Manifest, _ shelf) { m.Tracks[0].Fill = nil }, "not those that were published", 0},
		{"absurd fill", func(m *Manifest, _ shelf) { m.Tracks[0].Fill = []Fill{{First: 1 << 62, Packets: 1 << 62}} }, "not those that were published", 0},
		{"frames behind the last segment", func(m *Manifest, f shelf) { f[sound] = withFrames(t, f[sound], 3) }, "goes on for 3 frames", -1},
		{"the file cut", func(_ *Manifest, f shelf) { f[sound] = f[sound][:len(f[sound])-9] }, "is damaged", 2},
		{"the file flipped", func(_ *Manifest, f shelf) { f[sound][200] ^= 1 }, "is not the file", 0},
		{"the file longer", func(_ *Manifest, f shelf) { f[sound] = append(f[sound], 0) }, "is not the file", -1},
		{"no file", func(_ *Manifest, f shelf) { delete(f, sound) }, "cannot be read", 0},
		{"another file", func(_ *Manifest, f shelf) { f[OpusFile(frame.TrackID(8))] = f[sound] }, "does not know it", -1},
		{"no sound to be had", func(m *Manifest, _ shelf) { m.Tracks[0].Problem = "no .opus: too long" }, "no .opus", -1},
		{"a segment cut", func(_ *Manifest, f shelf) { cut(f, SegmentFile(id, 0, 2)) }, "damaged", 2},
		{"no segment", func(_ *Manifest, f shelf) { delete(f, SegmentFile(id, 0, 2)) }, "missing", 2},
		{"a segment too long", func(_ *Manifest, f shelf) { f[SegmentFile(id, 0, 0)] = make([]byte, 2*longestSegment) }, "too long", 0},
		{"a segment more", func(_ *Manifest, f shelf) { f[SegmentFile(id, 0, 1)] = f[SegmentFile(id, 0, 0)] }, "does not know such a segment", 1},
		{"a segment of another track", func(_ *Manifest, f shelf) { f[SegmentFile(frame.TrackID(8), 0, 1)] = f[SegmentFile(id, 0, 0)] }, "does not know it", -1},
		{"no segment at all", func(_ *Manifest, f shelf) { f["segments/x"] = nil }, "is none", -1},
	} {
		m, files := recorded(t)
		c.change(m, files)
		report := check(t, m, files)
		if got := all(report); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if first := report.FirstBroken; (first == nil) != (c.first < 0) || first != nil && int(first.N) != c.first {
			t.Errorf("%s: first broken %+v, want %d", c.name, first, c.first)
		}
		if c.want == "" && (report.Frames != 170 || report.Missing != 920 || report.Tracks != 1 || report.Proof != ProofTrusted) {
			t.Errorf("%+v", report)
		}
	}
}

func cut(f shelf, name string) { f[name] = f[name][:len(f[name])/2] }

// withFrames is a file with frames more at its end.
func withFrames(t *testing.T, file []byte, more int) []byte {
	t.Helper()
	in, err := ogg.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for p, err := in.Next(); err == nil; p, err = in.Next() {
		all = append(all, bytes.Clone(p.Payload))
	}
	for i := range more {
		all = append(all, celt20(byte(i)))
	}
	var out bytes.Buffer
	w, err := ogg.NewWriter(&out, 7, ogg.Head{Channels: 1, PreSkip: ogg.EncoderDelay})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if _, err := w.Frame(w.Samples(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
