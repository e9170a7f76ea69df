package recorder

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"airloom/internal/recording"
)

// TestRow87CorruptionDrill damages a real recording of real speech in every way there is: each is named, and where a segment is no longer what it
// was, the first such segment.
func TestRow87CorruptionDrill(t *testing.T) {
	mine, foreign := testKey(1), testKey(2)
	r := newRegion(t)
	dir := t.TempDir()
	cfg := quick()
	cfg.Key = mine
	r.recorder(cfg, openStore(t, dir))
	voice := speech(t, 1800)
	a, b := r.speaker("hall"), r.speaker("hall")
	a.say(0, 0, voice[:1200])
	a.silent(0, 1200, 40)
	a.say(0, 1260, voice[1200:1267]) // 20 are missing
	a.say(1, 0, voice[1200:1800])
	a.end(1, 599)
	b.say(0, 0, voice[:620])
	b.end(0, 619)
	a.leave()
	b.leave()
	id := closed(t, dir, 1)[0].Recording
	until(t, "signed", func() bool { return len(signatures(t, dir)) == 1 })
	good := copyOf(t, filepath.Join(dir, "recordings", id))
	if rep := good.verify(mine); rep.Count() != 0 || rep.Proof != recording.ProofTrusted || rep.Segments != 7 || rep.Frames != 2487 || rep.Missing != 20 {
		t.Fatalf("%+v", rep)
	}
	for _, c := range drills(voice, mine, foreign) {
		d := good.again(t)
		c.harm(d)
		rep := d.verify(mine)
		var all []string
		for _, p := range rep.Problems {
			all = append(all, p.String())
		}
		got, first := strings.Join(all, "; "), "none"
		if f := rep.FirstBroken; f != nil {
			first = fmt.Sprintf("%d/%d-%d", slices.IndexFunc(d.m.Tracks, func(t recording.Track) bool { return t.Track == f.Track }), f.Epoch, f.N)
		}
		if rep.Count() == 0 || !strings.Contains(got, c.want) || first != c.first {
			t.Errorf("%s: first broken %s, want %s; want %q in %q", c.name, first, c.first, c.want, got)
		}
		if testing.Verbose() {
			t.Logf("%s\n\t%s", c.name, strings.Join(all, "\n\t"))
		}
	}
}

type harm struct {
	name  string
	harm  func(*copied)
	want  string
	first string // track number/epoch-n of the first broken segment
}

func drills(voice [][]byte, mine, foreign ed25519.PrivateKey) []harm {
	return append(append([]harm{
		{"a bit of the manifest", func(d *copied) { d.flip(recording.ManifestFile, []byte(`"channels": 1`)) }, "is not what was signed", "none"},
		{"a bit of the manifest's structure", func(d *copied) { d.files[recording.ManifestFile][0] ^= 1 }, "manifest.json cannot be read", "none"},
		{"the manifest cut", func(d *copied) { d.files[recording.ManifestFile] = d.files[recording.ManifestFile][:900] }, "manifest.json cannot be read", "none"},
		{"the manifest empty", func(d *copied) { d.files[recording.ManifestFile] = nil }, "manifest.json cannot be read", "none"},
		{"a bit of the signature", func(d *copied) { d.flip(signatureFile(mine), nil) }, "not a valid signature", "none"},
		{"the signature cut", func(d *copied) {
			d.files[signatureFile(mine)] = d.files[signatureFile(mine)][:100]
		}, "not a valid signature", "none"},
		{"the signature removed", func(d *copied) { d.unsign() }, "no valid signature is there", "none"},
		{"the signature of another key", func(d *copied) { d.sign(foreign) }, "foreign key", "none"},
		{"another key's signature under our name", func(d *copied) {
			d.sign(foreign)
			d.files[signatureFile(mine)] = d.files[signatureFile(foreign)]
		}, "lies under the name of", "none"},
		{"the first entry taken out of the manifest, signed by another key", func(d *copied) {
			d.m.Tracks[1].Segments = d.m.Tracks[1].Segments[1:]
			d.save()
			d.sign(foreign)
		}, "foreign key", "1/0-0"},
		{"the tail cut off the files", func(d *copied) {
			m := d.files[recording.ManifestFile]
			d.cutTail()
			d.files[recording.ManifestFile] = m
			d.reread()
		}, "ends before its last frame", "0/1-1"},
		{"the tail cut off the files and the manifest", func(d *copied) { d.cutTail() }, "is not what was signed", "none"},
		{"the tail cut off, signed by another key", func(d *copied) { d.cutTail(); d.sign(foreign) }, "foreign key", "none"},
		{"the tail cut off the manifest alone", func(d *copied) {
			m := d.again(d.t)
			m.cutTail()
			d.m = m.m
			d.save()
		}, "does not know such a segment", "0/1-1"},
		{"an entry cut off the manifest, signed by another key", func(d *copied) {
			s := d.m.Tracks[0].Segments
			d.m.Tracks[0].Segments, d.m.Tracks[0].Chain = s[:len(s)-1], s[len(s)-2].Chain
			d.save()
			d.sign(foreign)
		}, "has no such segment, although seq 500 is not missing", "0/1-1"},
	}, segmentDrills()...), soundDrills(voice)...)
}

func segmentDrills() []harm {
	return []harm{
		{"a bit of a segment", func(d *copied) { d.flip(d.segment(0, 0, 1), nil) }, "segment 0-1 (seqs 500-999, 00:10.00-00:20.00)", "0/0-1"},
		{"a bit of two segments", func(d *copied) { d.flip(d.segment(1, 0, 0), nil); d.flip(d.segment(0, 1, 0), nil) }, "segment 1-0 (seqs 0-499, 00:26.54-00:36.54)", "0/1-0"},
		{"a segment cut", func(d *copied) {
			name := d.segment(0, 1, 1)
			d.files[name] = d.files[name][:len(d.files[name])-1]
		}, "damaged", "0/1-1"},
		{"a segment empty", func(d *copied) { d.files[d.segment(1, 0, 1)] = nil }, "damaged", "1/0-1"},
		{"a segment dropped", func(d *copied) { delete(d.files, d.segment(0, 0, 2)) }, "its file is missing", "0/0-2"},
		{"segments exchanged", func(d *copied) {
			a, b := d.segment(0, 0, 2), d.segment(0, 0, 1)
			d.files[a], d.files[b] = d.files[b], d.files[a]
		}, "its file holds another one: segment 0-2", "0/0-1"},
		{"segments of two tracks exchanged", func(d *copied) {
			a, b := d.segment(0, 0, 0), d.segment(1, 0, 0)
			d.files[a], d.files[b] = d.files[b], d.files[a]
		}, "its file holds another one", "0/0-0"},
		{"a segment behind the last", func(d *copied) { d.files[d.segment(1, 0, 2)] = d.files[d.segment(1, 0, 1)] }, "does not know such a segment", "1/0-2"},
	}
}

func soundDrills(voice [][]byte) []harm {
	return []harm{
		{"a bit of a frame", func(d *copied) { d.flip(d.sound(0), voice[730]) }, "segment 0-1", "0/0-1"},
		{"a bit of the last frame of a segment", func(d *copied) { d.flip(d.sound(0), voice[999]) }, "pages with a wrong checksum: 1", "0/0-1"},
		{"a bit of the first frame of a segment", func(d *copied) { d.flip(d.sound(1), voice[500]) }, "are not those that were published", "1/0-1"},
		{"a bit of a frame behind silence and a gap", func(d *copied) { d.flip(d.sound(0), voice[1750]) }, "segment 1-1", "0/1-1"},
		{"a bit of a page's checksum", func(d *copied) { d.files[d.sound(0)][bytes.LastIndex(d.files[d.sound(0)], []byte("OggS"))+22] ^= 1 }, "wrong checksum", "none"},
		{"a bit of the file's head", func(d *copied) { d.files[d.sound(0)][30] ^= 1 }, "is damaged", "0/0-0"},
		{"the .opus cut", func(d *copied) {
			f := d.files[d.sound(0)]
			d.files[d.sound(0)] = f[:bytes.Index(f, voice[1100])]
		}, "cannot be read to their end", "0/0-2"},
		{"the .opus empty", func(d *copied) { d.files[d.sound(1)] = nil }, "cannot be read", "1/0-0"},
		{"the .opus dropped", func(d *copied) { delete(d.files, d.sound(1)) }, "cannot be read", "1/0-0"},
		{"the .opus of the other track", func(d *copied) { d.files[d.sound(0)] = d.files[d.sound(1)] }, "is not the file that was recorded", "0/0-1"},
		{"a packet dropped", func(d *copied) {
			d.remux(0, func(p [][]byte) [][]byte { return slices.Delete(p, 730, 731) })
		}, "(2 more behind it", "0/0-1"},
		{"a packet put in", func(d *copied) {
			d.remux(0, func(p [][]byte) [][]byte { return slices.Insert(p, 1100, p[3]) })
		}, "behind the last segment", "0/0-2"},
		{"packets exchanged", func(d *copied) {
			d.remux(1, func(p [][]byte) [][]byte { p[100], p[101] = p[101], p[100]; return p })
		}, "are not those that were published", "1/0-0"},
		{"segments exchanged in the .opus", func(d *copied) {
			d.remux(0, func(p [][]byte) [][]byte { return slices.Concat(p[500:1000], p[:500], p[1000:]) })
		}, "(1 more behind it", "0/0-0"},
	}
}
