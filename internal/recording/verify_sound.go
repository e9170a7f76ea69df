package recording

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"

	"airloom/internal/frame"
	"airloom/internal/ogg"
)

// tolerance is how far a file's duration may be from the manifest's, in seconds.
const tolerance = 0.020

// sound checks a track's .opus.
func (c *trackCheck) sound(ctx context.Context) {
	r, t := c.report, c.t
	switch {
	case t.Problem != "":
		r.problem(t.Track, "%s", t.Problem)
		return
	case t.File == "" && len(t.Epochs) == 0:
		return // nothing was ever said
	case t.File != OpusFile(t.Track):
		r.problem(t.Track, "its file is called %.80q instead of %s", t.File, OpusFile(t.Track))
		return
	}
	w := &walk{c: c, left: t.Segments}
	f, err := c.files.Open(ctx, t.File)
	if err != nil {
		r.problem(t.Track, "%s cannot be read: %v", t.File, err)
		w.cut("its frames cannot be read")
		return
	}
	defer f.Close()
	sum, size := sha256.New(), int64(0)
	in := io.TeeReader(f, writerFunc(func(p []byte) (int, error) { size += int64(len(p)); return sum.Write(p) }))
	soundErr := w.packets(in)
	if _, err := io.Copy(io.Discard, in); err != nil {
		r.problem(t.Track, "%s cannot be read: %v", t.File, err)
		return
	}
	r.Bytes += size
	if got := hex.EncodeToString(sum.Sum(nil)); got != t.FileSHA256 || size != t.Bytes {
		r.problem(t.Track, "%s is not the file that was recorded: %d bytes with SHA-256 %s, the manifest has %d with %s", t.File, size, got, t.Bytes, t.FileSHA256)
	}
	if soundErr != nil {
		r.problem(t.Track, "%s is damaged: %v", t.File, soundErr)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// walk goes through the packets of an .opus and holds them against the segments one after the other.
type walk struct {
	c      *trackCheck
	left   []SegmentInfo // not compared yet; the first one is under way
	frames int           // of the one under way
	digest *frame.Digest
	wrong  []*SegmentInfo
	extra  int // frames behind the last segment
}

// packets reads the file.
func (w *walk) packets(in io.Reader) error {
	file, err := ogg.NewReader(in)
	if err != nil {
		w.cut("its frames cannot be read")
		return err
	}
	r, t := w.c.report, w.c.t
	if w.c.proof { // the digests of segments tell better than a page's checksum which frames are damaged
		file.Forgive()
	}
	digest, frames, fill := frame.NewDigest(), int64(0), t.Fill
	for n := 0; ; n++ {
		p, err := file.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			w.tell()
			w.cut("its frames cannot be read to their end")
			return err
		}
		for len(fill) > 0 && n-fill[0].First >= fill[0].Packets {
			fill = fill[1:]
		}
		if len(fill) > 0 && n >= fill[0].First {
			continue
		}
		digest.Add(p.Payload)
		frames++
		w.add(p.Payload)
	}
	if n := file.Damaged(); n > 0 {
		r.problem(t.Track, "%s is damaged: pages with a wrong checksum: %d", t.File, n)
	}
	w.end()
	r.Frames += frames
	seconds := float64(file.Length()) / frame.SampleRate
	r.Seconds += seconds
	if frames != t.Frames || digest.Sum() != t.SHA256 {
		r.problem(t.Track, "its frames are not those that were published: %d with digest %s, the manifest has %d with %s", frames, digest.Sum(), t.Frames, t.SHA256)
	}
	if math.Abs(seconds-t.Seconds) > tolerance {
		r.problem(t.Track, "it plays %.3f s, the manifest has %.3f s", seconds, t.Seconds)
	}
	return nil
}

// add takes the next frame.
func (w *walk) add(payload []byte) {
	if !w.c.proof {
		return
	}
	w.pass()
	if len(w.left) == 0 {
		w.extra++
		return
	}
	if w.frames == 0 {
		w.digest = frame.NewDigest()
	}
	w.digest.Add(payload)
	if w.frames++; w.frames < w.left[0].Frames {
		return
	}
	if w.digest.Sum() != w.left[0].Digest {
		w.wrong = append(w.wrong, &w.left[0])
	}
	w.left, w.frames = w.left[1:], 0
}

// pass goes over segments without frames: silence all along.
func (w *walk) pass() {
	for len(w.left) > 0 && w.left[0].Frames <= 0 {
		w.left = w.left[1:]
	}
}

// end is called behind the last packet.
func (w *walk) end() {
	w.tell()
	w.cut("the file ends before its last frame")
	if w.extra > 0 && w.c.proof {
		w.c.report.problem(w.c.t.Track, "%s goes on for %d frames behind the last segment that the manifest knows", w.c.t.File, w.extra)
	}
}

// tell names the first segment whose frames are others. Behind a frame that is lost or one too many all are.
func (w *walk) tell() {
	switch len(w.wrong) {
	case 0:
	case 1:
		w.c.broken(w.wrong[0], "its frames in %s are not those that were published", w.c.t.File)
	default:
		w.c.broken(w.wrong[0], "its frames in %s are not those that were published (%d more behind it are wrong, too)", w.c.t.File, len(w.wrong)-1)
	}
}

// cut names the segment behind which nothing can be compared, if there is any left.
func (w *walk) cut(what string) {
	if !w.c.proof {
		return
	}
	if w.pass(); len(w.left) > 0 {
		w.c.broken(&w.left[0], "%s: %s", w.c.t.File, what)
	}
}
