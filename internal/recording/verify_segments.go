package recording

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"airloom/internal/frame"
)

// longestSegment is more bytes than any segment has: 500 frames of 1,275 bytes and what is said of each.
const longestSegment = SegmentSeqs*(1275+16) + 1024

// segmentFiles checks the files of a track's segments. whole says that the manifest's own account of the track holds, so that
// there is something to hold each against.
func (c *trackCheck) segmentFiles(ctx context.Context, whole bool) {
	all := c.t.absences()
	for i := range c.t.Segments {
		if ctx.Err() != nil {
			return
		}
		s := &c.t.Segments[i]
		data, err := readAll(ctx, c.files, SegmentFile(c.t.Track, s.Epoch, s.N), longestSegment)
		c.report.Segments++
		if errors.Is(err, fs.ErrNotExist) {
			c.broken(s, "its file is missing")
			continue
		}
		if err != nil {
			c.broken(s, "its file cannot be read: %v", err)
			continue
		}
		if what := c.segment(s, data, all, whole); what != "" {
			c.broken(s, "%s", what)
		}
	}
}

// segment says what is wrong with a segment's bytes, or "".
func (c *trackCheck) segment(s *SegmentInfo, data []byte, all []absence, whole bool) string {
	sum := sha256.Sum256(data)
	got := hex.EncodeToString(sum[:])
	altered := got != s.SHA256 || len(data) != s.Bytes
	seg, err := ParseSegment(data)
	switch {
	case err != nil:
		return fmt.Sprintf("its file has %d bytes of %d and is damaged: %v", len(data), s.Bytes, err)
	case seg.Room != c.m.Room || seg.Handle != c.handle || seg.Epoch != s.Epoch || seg.First/SegmentSeqs != s.N:
		return fmt.Sprintf("its file holds another one: segment %d-%d of track %s in room %.64q",
			seg.Epoch, seg.First/SegmentSeqs, frame.TrackID(seg.Handle), seg.Room)
	case altered:
		return fmt.Sprintf("its file was altered: %d bytes with SHA-256 %s, the manifest has %d with %.64s", len(data), got, s.Bytes, s.SHA256)
	case whole:
		return c.agrees(s, seg, all)
	}
	return ""
}

// agrees says where a segment, which is the one the manifest names, tells otherwise of its seqs than the manifest does.
func (c *trackCheck) agrees(s *SegmentInfo, seg *Segment, all []absence) string {
	e := c.t.epoch(s.Epoch)
	seqs := SeqRange{s.Epoch, seg.First, uint32(min(uint64(seg.First)+SegmentSeqs-1, uint64(e.Last)))} // an epoch may end with the last seq there is
	if int64(seg.Count) != seqs.Len() {
		return fmt.Sprintf("its file covers %d seqs, by the manifest's epochs it has %d", seg.Count, seqs.Len())
	}
	seqs.From = max(seqs.From, e.First)
	if ms := float64(seg.Unit) * 2.5; ms != e.FrameMS {
		return fmt.Sprintf("its file has seqs of %g ms, the manifest says %g", ms, e.FrameMS)
	}
	if frames, digest := seg.sound(); frames != s.Frames || digest != s.Digest {
		return fmt.Sprintf("its file has %d frames with digest %s, the manifest has %d with %.64s", frames, digest, s.Frames, s.Digest)
	}
	var there []absence
	for _, it := range seg.Items {
		if it.Kind == Lost {
			it = it.From(seqs.From) // the recording began in the middle of this segment
		}
		if it.Span == 0 {
			continue
		}
		if it.Kind != Present {
			there = append(there, absence{SeqRange{s.Epoch, it.Seq, it.Seq + uint32(it.Span) - 1}, it.Kind == Silent, string(it.Reason)})
		}
	}
	if !slices.Equal(there, within(all, seqs)) {
		return "its file tells otherwise than the manifest which seqs are silent or missing, and why"
	}
	return ""
}
