package recorder

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"

	"airloom/internal/blob"
	"airloom/internal/frame"
	"airloom/internal/ogg"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// plan is what a finished track consists of; it does not change any more.
type plan struct {
	room    string
	foreign *sync.Map // see follow
	info    recording.Track
	handle  uint32
	facts   []room.GapDeclared // in the order of the log
	epochs  []epochPlan
}

type epochPlan struct {
	id          uint8
	unit        uint8
	first, last uint32
	done        frame.Ranges           // segments that were stored; others are missing as a whole
	sums        map[uint32]fingerprint // of those, where they are known
}

// render makes a track's .opus and its part of the manifest out of its stored segments, one at a time: a track of any
// length takes the same memory.
type render struct {
	keeper *keeper
	id     string // of the recording
	plan   *plan

	out    *ogg.Writer
	track  recording.Track
	digest *frame.Digest
	chain  *recording.Chain
	at     int64 // where the epoch begins in the file, in samples
	timed  bool  // the epoch's timestamp is known
}

// counting takes note of what goes into an object.
type counting struct {
	w     io.Writer
	hash  hash.Hash
	bytes int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.hash.Write(p[:n])
	c.bytes += int64(n)
	return n, err
}

// run stores both objects and returns the track as the manifest has it.
func (r *render) run(ctx context.Context) (recording.Track, error) {
	err := r.keeper.insist(ctx, "store "+recording.OpusKey(r.id, r.plan.info.Track), r.opus)
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return recording.Track{}, err
	}
	if err != nil {
		if err := r.compare(ctx); err != nil {
			return recording.Track{}, err
		}
	}
	data, err := recording.Encode(r.track)
	if err != nil {
		return recording.Track{}, err
	}
	return r.track, r.keeper.putNew(ctx, recording.TrackKey(r.id, r.track.Track), data)
}

// opus writes the file, once more from the beginning after each failure.
func (r *render) opus(ctx context.Context) error {
	r.track, r.digest, r.at, r.out = r.plan.info, frame.NewDigest(), 0, nil
	r.track.State = recording.Closed
	r.chain = recording.NewChain(r.id, r.plan.room, r.track.Track)
	r.track.Chain = r.chain.Sum()
	r.track.Epochs, r.track.Silence, r.track.Gaps = []recording.Epoch{}, []recording.SeqRange{}, []recording.Gap{}
	if len(r.plan.epochs) == 0 {
		r.track.SHA256 = r.digest.Sum()
		return nil
	}
	object, err := r.keeper.store.Create(ctx, recording.OpusKey(r.id, r.track.Track))
	if err != nil {
		return err
	}
	sum := &counting{w: writing{object, ctx}, hash: sha256.New()}
	buffered := bufio.NewWriterSize(sum, 64<<10)
	if err := errors.Join(r.write(ctx, buffered), buffered.Flush()); err != nil {
		object.Abort()
		return err
	}
	r.track.SHA256, r.track.Seconds = r.digest.Sum(), float64(r.at)/frame.SampleRate
	if r.track.Problem != "" {
		object.Abort()
		r.track.Fill = nil
		return nil
	}
	gotOn(ctx)
	r.track.File, r.track.Bytes, r.track.FileSHA256 = recording.OpusFile(r.track.Track), sum.bytes, hex.EncodeToString(sum.hash.Sum(nil))
	return object.Commit()
}

func (r *render) write(ctx context.Context, to io.Writer) (err error) {
	head := ogg.Head{Channels: max(1, min(2, r.track.Channels)), PreSkip: ogg.EncoderDelay, InputRate: frame.SampleRate}
	r.out, err = ogg.NewWriter(to, r.plan.handle, head, "TITLE="+r.track.Name, "ARTIST="+r.track.Participant)
	if err != nil {
		return err
	}
	for i := range r.plan.epochs {
		if err := r.epoch(ctx, &r.plan.epochs[i]); err != nil {
			return err
		}
	}
	return r.sound(r.out.Close(0))
}

// sound takes what became of writing sound. A gap of days ends the file, as no player gets over it, but not the account of
// the track: its segments have all there is.
func (r *render) sound(err error) error {
	if errors.Is(err, ogg.ErrGap) {
		r.track.Problem = "no .opus: " + ogg.ErrGap.Error()
	}
	if r.track.Problem != "" {
		return nil
	}
	return err
}

func (r *render) epoch(ctx context.Context, e *epochPlan) error {
	r.track.Epochs = append(r.track.Epochs, recording.Epoch{Epoch: e.id, First: e.first, Last: e.last, FrameMS: float64(e.unit) * 2.5})
	r.timed = false
	next := uint64(e.first) // first seq that is not accounted for
	for n := range uint64(e.last)/recording.SegmentSeqs + 1 {
		if !e.done.Contains(uint32(n)) {
			continue
		}
		r.lose(e, next, n*recording.SegmentSeqs)
		gotOn(ctx)
		s, err := r.segment(ctx, e, uint32(n))
		if err != nil {
			return err
		}
		for _, it := range s.Items {
			if it = it.From(e.first); it.Span == 0 { // the recording began in the middle of this segment
				continue
			}
			if err := r.item(e, it); err != nil {
				return err
			}
		}
		next = uint64(s.First) + uint64(s.Count)
	}
	r.lose(e, next, uint64(e.last)+1)
	r.at += (int64(e.last) - int64(e.first) + 1) * e.samples()
	if r.at <= r.out.Samples() || r.track.Problem != "" {
		return nil
	}
	_, fill, err := r.out.Silence(r.out.Samples(), r.at-r.out.Samples()) // the end is missing: its time is kept
	r.fill(fill)
	return r.sound(err)
}

func (e *epochPlan) samples() int64 { return int64(e.unit) * frame.UnitSamples }

func (r *render) item(e *epochPlan, it recording.Item) error {
	at := r.at + (int64(it.Seq)-int64(e.first))*e.samples()
	seqs := recording.SeqRange{Epoch: e.id, From: it.Seq, To: it.Seq + uint32(it.Span) - 1}
	switch it.Kind {
	case recording.Present:
		if !r.timed {
			r.timed = true
			r.track.Epochs[len(r.track.Epochs)-1].Timestamp = it.Timestamp - (it.Seq-e.first)*uint32(e.samples())
		}
		r.digest.Add(it.Payload)
		r.track.Frames++
		if r.track.Problem != "" {
			return nil
		}
		lost, err := r.out.Frame(at, it.Payload)
		r.fill(lost)
		return r.sound(err)
	case recording.Silent:
		r.silent(seqs)
		if r.track.Problem != "" {
			return nil
		}
		lost, silent, err := r.out.Silence(at, int64(it.Span)*e.samples())
		r.fill(lost)
		r.fill(silent)
		return r.sound(err)
	default: // its time is filled by what comes after it
		r.gap(recording.Gap{SeqRange: seqs, Reason: it.Reason})
		return nil
	}
}

// wanted is what a stored segment must be.
func (r *render) wanted(e *epochPlan, n uint32) wanted {
	w := wanted{room: r.plan.room, handle: r.plan.handle, sum: e.sums[n], damaged: damaged{recording: r.id, track: r.track.Track, epoch: e.id, n: n}}
	if _, foreign := r.plan.foreign.Load(segmentID{e.id, n}); foreign {
		w.sum = fingerprint{}
	}
	return w
}

func (r *render) segment(ctx context.Context, e *epochPlan, n uint32) (*recording.Segment, error) {
	data, s, err := r.keeper.readSegment(ctx, r.wanted(e, n))
	if err != nil {
		return nil, err
	}
	r.track.Segments = append(r.track.Segments, s.Describe(data, r.chain))
	r.track.Chain = r.chain.Sum()
	return s, nil
}

// compare holds what another recorder stored first against what we would have stored.
func (r *render) compare(ctx context.Context) error {
	key := recording.OpusKey(r.id, r.track.Track)
	sum := sha256.New()
	err := r.keeper.insist(ctx, "read "+key, func(ctx context.Context) error {
		sum.Reset()
		object, err := r.keeper.store.Open(ctx, key)
		if err != nil {
			return err
		}
		defer object.Close()
		_, err = io.Copy(sum, gettingOn{object, ctx})
		return err
	})
	if err != nil {
		return err
	}
	if theirs := hex.EncodeToString(sum.Sum(nil)); theirs != r.track.FileSHA256 {
		r.keeper.diverges(key, r.track.FileSHA256, theirs)
	}
	return nil
}
