package participant

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"airloom/internal/frame"
	"airloom/internal/outgoing"
	"airloom/internal/room"
)

// TrackConfig describes a track to publish. Name, Channels and FrameMS are needed.
type TrackConfig struct {
	Name     string
	Label    string
	Channels int         // 1 or 2
	FrameMS  float64     // 2.5, 5, 10, 20, 40 or 60: of every frame
	Clock    *room.Clock // when the sample with that timestamp was captured; seq 0 begins with timestamp 0
	Keep     int         // frames kept until they are acked; 0: two minutes' worth
	// Late publishes to the log only: every frame goes flagged Backlog, as fast as acks come back, and live listeners
	// hear nothing.
	Late bool
	// Acked is told every ack that brings news: all up to seq is durable. It runs on the goroutine that reads and must not block.
	Acked func(seq int64)
}

// Speaker publishes one track. One goroutine sends; the other methods may be called from any.
type Speaker struct {
	p     *Participant
	id    string
	epoch uint8
	name  string

	tellAcked func(seq int64)

	mu       sync.Mutex
	changed  chan struct{} // closed and made anew at each change that Send or End may wait for
	out      *outgoing.Track
	muted    bool
	endAsked bool // all was sent, and the edge is asked to end the track
	inEnd    int  // calls of End that wait
	over     bool // it was ended on an edge that was lost with its acks; closed tells how much is kept
	word     word // whose acks count
	err      error
}

// Stats is how far a track is.
type Stats struct {
	Frames  uint64 // audio frames taken in
	Bytes   uint64
	Seqs    int64  // frames and silent seqs taken in
	Acked   int64  // every seq up to this one is durable, −1 for none
	Kept    uint64 // audio frames that are acked
	Resent  uint64
	Dropped uint64 // audio frames given up unacked
	Passed  uint64 // audio frames said while the room kept nothing
	LogAway bool
}

// StartTrack announces a track. An *Error is the edge's refusal.
func (p *Participant) StartTrack(ctx context.Context, cfg TrackConfig) (*Speaker, error) {
	unit, err := unitOf(cfg.FrameMS)
	if err != nil {
		return nil, err
	}
	if cfg.Keep == 0 {
		cfg.Keep = int(2 * 60 * 1000 / cfg.FrameMS)
	}
	in, err := p.request(ctx, func(id int64) any {
		return trackStart{
			Type: "track.start", ID: id, Name: cfg.Name, Channels: cfg.Channels, FrameMS: cfg.FrameMS,
			Clock: cfg.Clock, Label: cfg.Label,
		}
	})
	if err != nil {
		return nil, fmt.Errorf("start track %q: %w", cfg.Name, err)
	}
	if in.Handle == 0 || in.Track != frame.TrackID(in.Handle) {
		return nil, fmt.Errorf("start track %q: the edge gave handle %d for track %.20q", cfg.Name, in.Handle, in.Track)
	}
	s := &Speaker{
		p: p, id: in.Track, epoch: in.Epoch, name: cfg.Name, changed: make(chan struct{}),
		out: outgoing.New(in.Handle, in.Epoch, unit, cfg.Keep, cfg.Late, time.Now()),
	}
	s.tellAcked = cfg.Acked
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	s.word = word{from: p.link, waits: p.greeting, held: -1}
	s.out.SetKept(p.session.Room.Keep != room.KeepNone)
	p.speakers = append(p.speakers[:len(p.speakers):len(p.speakers)], s) // copied: readers hold the old slice
	return s, nil
}

// Track and Epoch name what is published.
func (s *Speaker) Track() string { return s.id }
func (s *Speaker) Epoch() uint8  { return s.epoch }

// Send takes a copy of the next frame; voice says that somebody is heard in it. A frame of less than 2 bytes, or one
// sent while muted, is declared silent. It does not wait for the network, but with TrackConfig.Late it waits for room.
// A frame that is not Opus, or lasts differently, is refused with frame.ErrOpus.
func (s *Speaker) Send(ctx context.Context, payload []byte, voice bool) error {
	if len(payload) >= frame.MinFrame {
		samples, err := frame.Duration(payload)
		if err != nil {
			return err
		}
		if samples != int(s.out.Unit())*frame.UnitSamples {
			return fmt.Errorf("%w: lasts %g ms, the track's frames last %g ms", frame.ErrOpus, float64(samples)/48, float64(s.out.Unit())*2.5)
		}
	}
	for {
		s.mu.Lock()
		changed := s.changed
		switch {
		case s.err != nil:
			defer s.mu.Unlock()
			return s.err
		case s.out.Ending():
			defer s.mu.Unlock()
			return errors.New("the track is ending")
		case !s.out.Late() || !s.out.Full():
			if s.muted || len(payload) < frame.MinFrame {
				payload, voice = nil, false
			}
			s.out.Add(payload, voice, time.Now())
			s.mu.Unlock()
			s.p.kick()
			return nil
		}
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Mute tells the room, and turns what is sent into declared silence.
func (s *Speaker) Mute(ctx context.Context, muted bool) error {
	s.mu.Lock()
	s.muted = muted
	s.mu.Unlock()
	_, err := s.p.request(ctx, func(id int64) any {
		return trackMute{Type: "track.mute", ID: id, Track: s.id, Muted: muted}
	})
	return err
}

// Stats says how far the track is.
func (s *Speaker) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames, bytes, resent, dropped := s.out.Counts()
	return Stats{
		Frames: frames, Bytes: bytes, Seqs: s.out.Next(), Acked: s.out.Acked(), Kept: s.out.AckedAudio(),
		Resent: resent, Dropped: dropped, Passed: s.out.Passed(), LogAway: s.out.LogAway(),
	}
}

func (s *Speaker) wait(ctx context.Context, ready func() bool) error {
	for {
		s.mu.Lock()
		changed, err, yes := s.changed, s.err, ready()
		s.mu.Unlock()
		if yes || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// change lets those that wait look again; the caller holds mu.
func (s *Speaker) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Speaker) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		s.change()
	}
}
