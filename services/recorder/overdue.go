package recorder

import (
	"time"

	"airloom/internal/plant"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// overdueAfter is a little more than the sound of a segment lasts.
const overdueAfter = 11 * time.Second

// overdue is the planted bug of a segment that closes by the clock, with what has come by then: what the facts alone should decide.
func (f *follow) overdue(id uint8, s *openSegment) bool {
	if !plant.On(plant.SegmentTimer) {
		return false
	}
	if s.born.IsZero() {
		s.born = time.Now()
	}
	if time.Since(s.born) < overdueAfter {
		return false
	}
	for _, r := range s.missing(recording.SegmentSeqs) {
		f.gaps = append(f.gaps, room.GapDeclared{Track: f.info.Track, Epoch: id, From: r.From, To: r.To, Reason: room.PublisherVanished})
	}
	return true
}
