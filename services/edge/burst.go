package edge

import (
	"slices"
	"time"
)

const (
	burstFor   = 120 * time.Millisecond // of each track
	burstFresh = 500 * time.Millisecond // a track that has been quiet for longer has nothing to begin with
)

// burst is what a listener that begins at a slot of the ring is given at once, so that sound starts before the next packet: the
// newest of each track, flagged BACKLOG, as one message's body of at most 8 KiB.
func (h *hub) burst(cursor uint64, session string, now int64) []byte {
	newest := map[string]int64{}
	var chosen []*slot
	size := 0
	for i := cursor; i > h.ring.oldest(); i-- {
		s := h.ring.get(i - 1)
		if s == nil || now-s.at > int64(burstFresh+burstFor) || size+len(s.message) > maxListened {
			break
		}
		if s.session == session {
			continue
		}
		last, heard := newest[s.track]
		if !heard {
			last = s.at
			newest[s.track] = last
		}
		if now-last > int64(burstFresh) || last-s.at >= int64(burstFor) {
			continue
		}
		chosen, size = append(chosen, s), size+len(s.message)
	}
	slices.Reverse(chosen)
	sound := make([]byte, 0, size)
	for _, s := range chosen {
		sound = append(sound, body(past(body(s.message)))...)
	}
	return sound
}
