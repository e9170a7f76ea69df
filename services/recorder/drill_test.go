package recorder

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"airloom/internal/auth"
	"airloom/internal/frame"
	"airloom/internal/ogg"
	"airloom/internal/recording"
)

// copied is a recording's files, copied out of the store. It is a recording.Files.
type copied struct {
	t     *testing.T
	files map[string][]byte
	m     recording.Manifest
}

func (c *copied) Open(_ context.Context, name string) (io.ReadCloser, error) {
	b, ok := c.files[name]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (c *copied) List(context.Context) ([]string, error) {
	return slices.Collect(maps.Keys(c.files)), nil
}

// copyOf copies all that lies in a recording's folder.
func copyOf(t *testing.T, dir string) *copied {
	t.Helper()
	c := &copied{t: t, files: map[string][]byte{}}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		c.files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.reread()
	return c
}

func (c *copied) again(t *testing.T) *copied {
	d := &copied{t: t, files: map[string][]byte{}}
	for name, b := range c.files {
		d.files[name] = bytes.Clone(b)
	}
	d.reread()
	return d
}

func (c *copied) reread() {
	c.t.Helper()
	if err := json.Unmarshal(c.files[recording.ManifestFile], &c.m); err != nil {
		c.t.Fatal(err)
	}
}

// save writes the manifest as it was changed, with the signature that was there.
func (c *copied) save() {
	c.t.Helper()
	data, err := recording.Encode(c.m)
	if err != nil {
		c.t.Fatal(err)
	}
	c.files[recording.ManifestFile] = data
}

// sign replaces all signatures by one of this key.
func (c *copied) sign(key ed25519.PrivateKey) {
	c.t.Helper()
	c.unsign()
	data, err := recording.Sign(c.m.Recording, c.files[recording.ManifestFile], key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.files[signatureFile(key)] = data
}

func (c *copied) unsign() {
	maps.DeleteFunc(c.files, func(name string, _ []byte) bool { return strings.HasSuffix(name, ".sig") })
}

func signatureFile(key ed25519.PrivateKey) string {
	return recording.SignatureFile(auth.KeyID(key.Public().(ed25519.PublicKey)))
}

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func (c *copied) verify(keys ...ed25519.PrivateKey) *recording.Report {
	c.t.Helper()
	o := recording.Options{Segments: true}
	for _, k := range keys {
		o.Keys = append(o.Keys, k.Public().(ed25519.PublicKey))
	}
	r, err := recording.Verify(c.t.Context(), c.files[recording.ManifestFile], c, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// sound is the file of track number i, segment the name of one of its segments.
func (c *copied) sound(i int) string { return c.m.Tracks[i].File }
func (c *copied) segment(i int, epoch uint8, n uint32) string {
	return recording.SegmentFile(c.m.Tracks[i].Track, epoch, n)
}

// flip turns one bit of a file, in the middle of the last place where it holds these bytes, or of all of it.
func (c *copied) flip(name string, where []byte) {
	c.t.Helper()
	at := len(c.files[name]) / 2
	if where != nil {
		if at = bytes.LastIndex(c.files[name], where); at < 0 {
			c.t.Fatalf("%s does not hold these %d bytes", name, len(where))
		}
		at += len(where) / 2
	}
	c.files[name][at] ^= 4
}

// remux writes a track's .opus anew with other packets, every page and checksum right.
func (c *copied) remux(i int, edit func([][]byte) [][]byte) {
	c.t.Helper()
	var packets [][]byte
	in, err := ogg.NewReader(bytes.NewReader(c.files[c.sound(i)]))
	for err == nil {
		var p ogg.Packet
		if p, err = in.Next(); err == nil {
			packets = append(packets, bytes.Clone(p.Payload))
		}
	}
	var file bytes.Buffer
	out, err := ogg.NewWriter(&file, 7, in.Head())
	if err != nil {
		c.t.Fatal(err)
	}
	for _, p := range edit(packets) {
		if _, err := out.Frame(out.Samples(), p); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := out.Close(0); err != nil {
		c.t.Fatal(err)
	}
	c.files[c.sound(i)] = file.Bytes()
}

// cutTail removes the last segment of track 0 and its frames, and from the manifest every trace of them.
func (c *copied) cutTail() {
	c.t.Helper()
	t := &c.m.Tracks[0]
	last := t.Segments[len(t.Segments)-1]
	t.Segments = t.Segments[:len(t.Segments)-1]
	delete(c.files, c.segment(0, last.Epoch, last.N))
	digest, n := frame.NewDigest(), 0
	c.remux(0, func(packets [][]byte) [][]byte {
		packets = packets[:len(packets)-last.Frames]
		for i, p := range packets {
			if !slices.ContainsFunc(t.Fill, func(f recording.Fill) bool { return i >= f.First && i < f.First+f.Packets }) {
				digest.Add(p)
				n++
			}
		}
		return packets
	})
	sum := sha256.Sum256(c.files[t.File])
	t.Epochs[len(t.Epochs)-1].Last = last.N*recording.SegmentSeqs - 1
	t.Frames, t.Seconds, t.SHA256 = int64(n), t.Seconds-float64(last.Frames)*0.02, digest.Sum()
	t.Bytes, t.FileSHA256, t.Chain = int64(len(c.files[t.File])), hex.EncodeToString(sum[:]), t.Segments[len(t.Segments)-1].Chain
	c.save()
}

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
		{"a bit of the last frame of a segment", func(d *copied) { d.flip(d.sound(0), voice[999]) }, "pages have a wrong checksum", "0/0-1"},
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
