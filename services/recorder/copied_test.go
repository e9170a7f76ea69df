package recorder

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
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
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // open.json goes when the recording closes
			return nil
		}
		c.files[filepath.ToSlash(name)] = b
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
