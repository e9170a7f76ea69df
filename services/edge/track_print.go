package edge

import (
	"fmt"
	"hash/crc32"
	"time"

	"airloom/internal/frame"
)

// printed is how many frames of an epoch are remembered by their checksum: ten seconds of 20 ms frames, more than is unacked while
// the log is there.
const printed = 512

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// prints remembers what the newest frames of an epoch looked like.
type prints [printed]struct{ seq, sum uint32 }

// notice remembers a frame. It gives the checksum of the one that came with the same seq before, where that differs.
func (p *prints) notice(seq, sum uint32) (before uint32, clash bool) {
	sum = max(sum, 1) // 0 is an empty place
	place := &p[seq%printed]
	if place.seq == seq && place.sum != 0 {
		return place.sum, place.sum != sum
	}
	place.seq, place.sum = seq, sum
	return 0, false
}

// look tells of frames that came before with other bytes: somebody speaks with two tongues. The first ones stay. What lies too
// far back the recorder finds, which compares with all that the log has. The caller holds mu.
func (t *track) look(log *epochLog, p *frame.Packet, now int64) {
	if p.Kind != frame.Audio {
		return
	}
	if log.prints == nil {
		log.prints = new(prints)
	}
	for f := range p.Frames {
		sum := crc32.Checksum(f.Payload, castagnoli)
		before, clash := log.prints.notice(f.Seq, sum)
		if !clash {
			continue
		}
		t.edge.metrics.drop("equivocation")
		if now-t.clashAt < int64(time.Second) && t.clashAt != 0 {
			continue
		}
		t.clashAt = now
		t.edge.logger.Error("equivocation: one seq with different bytes; the first one stays", "room", t.session.hub.name, "track", t.id,
			"epoch", p.Epoch, "seq", f.Seq, "kept_crc32c", fmt.Sprintf("%08x", before), "other_crc32c", fmt.Sprintf("%08x", sum),
			"trace_id", t.session.cause.TraceID())
	}
}
