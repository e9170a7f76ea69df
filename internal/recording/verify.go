package recording

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"airloom/internal/frame"
	"airloom/internal/ogg"
)

// Report is what a check of a recording found.
type Report struct {
	Recording string    `json:"recording"`
	Tracks    int       `json:"tracks"` // looked at
	Frames    int64     `json:"frames"` // found in files
	Missing   int64     `json:"missing"`
	Bytes     int64     `json:"bytes"`
	Seconds   float64   `json:"seconds"` // of all files together
	Problems  []Problem `json:"problems"`
}

// Problem is something that is not as the manifest says.
type Problem struct {
	Track string `json:"track,omitempty"` // "": the recording as a whole
	What  string `json:"what"`
}

// String names the problem and where it is.
func (p Problem) String() string {
	if p.Track == "" {
		return p.What
	}
	return "track " + p.Track + ": " + p.What
}

func (r *Report) problem(track, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{track, fmt.Sprintf(format, args...)})
}

// tolerance is how far a file's duration may be from the manifest's, in seconds.
const tolerance = 0.020

// Verify holds a recording's files against its manifest: that each is whole, that it has every published frame unaltered and
// nothing else but the fill the manifest tells of, that it lasts as long as it should, and that present, silent and missing seqs
// add up exactly. open gives a file by name. The error is ctx's; all else that goes wrong is in the report.
func Verify(ctx context.Context, m *Manifest, open func(file string) (io.ReadCloser, error)) (Report, error) {
	r := Report{Recording: m.Recording, Problems: []Problem{}}
	if m.Version != ManifestVersion {
		r.problem("", "the manifest is of version %d, this program knows %d", m.Version, ManifestVersion)
		return r, nil
	}
	if m.State != Closed {
		r.problem("", "the recording is still %s: only finished tracks can be checked", m.State)
	}
	seen := map[string]bool{}
	for i := range m.Tracks {
		t := &m.Tracks[i]
		if _, ok := frame.ParseTrackID(t.Track); !ok || seen[t.Track] {
			r.problem("", "%.40q is not a track's id, or is there twice", t.Track)
			continue
		}
		seen[t.Track] = true
		if t.State != Closed {
			if m.State == Closed {
				r.problem(t.Track, "it is %s in a closed recording", t.State)
			}
			continue
		}
		r.Tracks++
		r.Missing += t.Missing()
		if problem := t.partition(); problem != "" {
			r.problem(t.Track, "%s", problem)
		}
		r.file(t, open)
		if err := ctx.Err(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// partition says what is wrong with the track's seqs, or "".
func (t *Track) partition() string {
	total, seconds := int64(0), 0.0
	left := map[uint8]frame.Range{}
	for _, e := range t.Epochs {
		if _, twice := left[e.Epoch]; twice || e.Last < e.First {
			return fmt.Sprintf("epoch %d is there twice, or ends before it begins", e.Epoch)
		}
		left[e.Epoch] = frame.Range{From: e.First, To: e.Last}
		seqs := int64(e.Last) - int64(e.First) + 1
		total += seqs
		seconds += float64(seqs) * e.FrameMS / 1000
	}
	ranges := slices.Clone(t.Silence)
	for _, g := range t.Gaps {
		if g.Reason == "" {
			return fmt.Sprintf("the gap %s has no reason", g.SeqRange)
		}
		ranges = append(ranges, g.SeqRange)
	}
	slices.SortFunc(ranges, func(a, b SeqRange) int { return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.From, b.From)) })
	for i, g := range ranges {
		in, known := left[g.Epoch]
		if !known || g.To < g.From || g.From < in.From || g.To > in.To {
			return fmt.Sprintf("silence or gap %s lies outside of its epoch", g)
		}
		if i > 0 && ranges[i-1].Epoch == g.Epoch && ranges[i-1].To >= g.From {
			return fmt.Sprintf("silence or gap %s overlaps %s", g, ranges[i-1])
		}
		total -= g.Len()
	}
	if total != t.Frames {
		return fmt.Sprintf("frames, silence and gaps do not add up: %d frames, but %d seqs are neither silent nor missing", t.Frames, total)
	}
	if t.Problem == "" && math.Abs(seconds-t.Seconds) > 1e-6 {
		return fmt.Sprintf("it lasts %.3f s by its seqs and %.3f s by the manifest", seconds, t.Seconds)
	}
	return ""
}

// String is as "0:100-199".
func (r SeqRange) String() string { return fmt.Sprintf("%d:%d-%d", r.Epoch, r.From, r.To) }

// file checks a track's sound.
func (r *Report) file(t *Track, open func(string) (io.ReadCloser, error)) {
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
	f, err := open(t.File)
	if err != nil {
		r.problem(t.Track, "%s cannot be read: %v", t.File, err)
		return
	}
	defer f.Close()
	sum, size := sha256.New(), int64(0)
	in := io.TeeReader(f, writerFunc(func(p []byte) (int, error) { size += int64(len(p)); return sum.Write(p) }))
	soundErr := r.sound(t, in)
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

// sound reads the frames.
func (r *Report) sound(t *Track, in io.Reader) error {
	file, err := ogg.NewReader(in)
	if err != nil {
		return err
	}
	digest, frames, fill := frame.NewDigest(), int64(0), t.Fill
	for n := 0; ; n++ {
		p, err := file.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for len(fill) > 0 && n >= fill[0].First+fill[0].Packets {
			fill = fill[1:]
		}
		if len(fill) > 0 && n >= fill[0].First {
			continue
		}
		digest.Add(p.Payload)
		frames++
	}
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
