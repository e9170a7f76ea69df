package recorder

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
	"airloom/internal/telemetry"
)

// pack folds one message of the audio log.
func (f *fold) pack(ctx context.Context, m *message) {
	if f.read != 0 && m.pos != f.read+1 {
		f.r.metrics.skipped.Add(int64(m.pos - f.read - 1))
		f.r.logger.Error("ALARM: the audio log skips", "from", f.read+1, "to", m.pos-1)
	}
	f.read = m.pos
	at := subject.Parse(m.subject)
	followed := f.follows[trackKey{at.Room, at.Track}]
	if at.Kind != subject.LogPacks || len(followed) == 0 {
		return
	}
	if m.header != nil {
		var span trace.Span
		_, span = tracer.Start(telemetry.Extract(ctx, m.header), "recorder.pack", trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(attribute.String("airloom.room", at.Room), attribute.String("airloom.track", at.Track), attribute.Int64("airloom.position", int64(m.pos))))
		defer span.End()
	}
	f.packets(m, followed)
}

// packets folds a message's packets into follows of its track, at least one.
func (f *fold) packets(m *message, followed []*follow) {
	var p frame.Packet
	for rest := m.data; len(rest) > 0; {
		var err error
		rest, err = frame.Parse(rest, &p)
		if fo := followed[0]; err != nil || p.Handle != fo.handle {
			f.r.metrics.rejected.Add(1)
			if all, speak := fo.passed.tell(time.Now(), 1); speak {
				f.r.logger.Warn("passing over packets in the log", "room", fo.room, "track", fo.info.Track, "packets", all, "position", m.pos, "error", err)
			}
			continue
		}
		for _, fo := range followed {
			if !fo.outside(m.pos) { // most of many recordings of a track are
				f.packet(m.pos, fo, &p)
			}
		}
	}
}

func (f *fold) packet(pos uint64, fo *follow, p *frame.Packet) {
	t := fo.add(pos, p)
	f.r.metrics.count(t)
	f.unsorted += t.recorded
	if all, speak := fo.clashed.tell(time.Now(), len(t.clashes)); speak {
		c := t.clashes[0]
		f.r.logger.Error("equivocation: one seq with different bytes; the first one stays", "room", fo.room, "track", fo.info.Track, "seqs", all,
			"epoch", c.epoch, "seq", c.seq, "kept", fmt.Sprintf("%x", c.kept), "other", fmt.Sprintf("%x", c.other), "position", pos)
	}
	f.touched[fo] = true
}

// foldPacks folds packs, and looks now and then at what has become complete: segments are open until then.
func (f *fold) foldPacks(ctx context.Context, packs []message) error {
	for i := range packs {
		f.pack(ctx, &packs[i])
		if (i+1)%sorted == 0 || f.unsorted >= sortedSeqs {
			if err := f.closeSegments(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// closeSegments stores what has become complete.
func (f *fold) closeSegments(ctx context.Context) error {
	f.unsorted = 0
	for fo := range f.touched {
		for _, s := range fo.closable(f.read) {
			if err := f.keep(ctx, fo, s); err != nil {
				return err
			}
		}
		fo.putAside(maxOpen, f.read)
		if !slices.ContainsFunc(fo.gaps, func(g room.GapDeclared) bool { return g.Through > f.read }) {
			delete(f.touched, fo)
		}
	}
	return nil
}

// keep stores a closed segment. It waits where all writers are busy.
func (f *fold) keep(ctx context.Context, fo *follow, s *recording.Segment) error {
	f.r.metrics.segments.Add(1)
	data, err := s.Append(nil)
	if err != nil {
		return fmt.Errorf("close segment %d of %s: %w", s.First/recording.SegmentSeqs, fo.info.Track, err)
	}
	ctx, span := tracer.Start(ctx, "recorder.segment", trace.WithAttributes(attribute.String("airloom.room", fo.room),
		attribute.String("airloom.track", fo.info.Track), attribute.Int("airloom.seqs", s.Count), attribute.Int("airloom.bytes", len(data))))
	segment := segmentID{s.Epoch, s.First / recording.SegmentSeqs}
	fo.epochs[s.Epoch].sums[segment.n] = fingerprintOf(data)
	fo.writes.Add(1)
	err = f.writes.submit(ctx, func() error {
		defer span.End()
		defer fo.writes.Done()
		ours, err := f.keeper.putOurs(ctx, recording.SegmentKey(fo.recording, fo.info.Track, segment.epoch, segment.n), data)
		if err != nil {
			fo.lost.Store(true)
			return err
		}
		if !ours {
			fo.foreign.Store(segment, true)
		}
		return nil
	})
	if err != nil {
		fo.writes.Done()
		fo.lost.Store(true)
		span.End()
	}
	return err
}
