package edge

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"airloom/internal/eventlog"
	"airloom/internal/frame"
	"airloom/internal/room"
)

// namelessFor is how long the event log is not asked for names once it has not answered: sound is not kept waiting for them again and again.
const namelessFor = 10 * time.Second

// names are what the log told of a room's tracks that the fold has forgotten, for all who rewind in it; at most maxSeeks.
type names struct {
	flights singleflight.Group

	mu     sync.Mutex // guards what follows
	known  map[string]pastTrack
	silent int64 // monotonic ns until when the log is not asked
}

// get is what is known of a track; asks is false where the log is not worth asking.
func (n *names) get(track string) (known pastTrack, ok, asks bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known, ok = n.known[track]
	return known, ok, nanotime() >= n.silent
}

func (n *names) put(t pastTrack, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.silent = nanotime() + int64(namelessFor)
		return
	}
	if n.known == nil || len(n.known) >= maxSeeks {
		n.known = map[string]pastTrack{}
	}
	n.known[t.Track] = t
}

// describe asks the log for what the fold has forgotten of a track, once for all listeners. Where it does not answer in time the track
// stays without a name.
func (h *hub) describe(t *pastTrack) {
	t.Handle, _ = frame.ParseTrackID(t.Track)
	if t.Participant != "" {
		return
	}
	known, ok, asks := h.reel.names.get(t.Track)
	if !ok && asks {
		asked := *t
		found, _, _ := h.reel.names.flights.Do(t.Track, func() (any, error) {
			err := h.ask(&asked)
			h.reel.names.put(asked, err)
			return asked, nil
		})
		known, ok = found.(pastTrack), true
	}
	if ok {
		*t = known
	}
}

// ask reads how a track and its session began. An error says that the log does not answer.
func (h *hub) ask(t *pastTrack) error {
	ctx, cancel := context.WithTimeout(h.edge.ctx, readWithin)
	defer cancel()
	first := func(kind, id string) (room.Fact, error) {
		e, err := h.edge.log.First(ctx, h.name, kind, id)
		switch {
		case err == nil:
			return e.Fact, nil
		case errors.Is(err, context.Canceled):
			return nil, err
		}
		h.edge.logger.Warn("a track of the past has no name", "room", h.name, "track", t.Track, "error", err)
		if errors.Is(err, eventlog.ErrNoEvent) {
			return nil, nil // and never will be one
		}
		return nil, err
	}
	if t.Session == "" {
		fact, err := first("track", t.Track)
		if err != nil {
			return err
		}
		if started, ok := fact.(room.TrackStarted); ok {
			t.fill(started)
		}
	}
	if t.Session == "" {
		return nil
	}
	fact, err := first("session", t.Session)
	if joined, ok := fact.(room.Joined); ok {
		t.Identity, t.Participant = joined.Identity, joined.Name
	}
	return err
}
