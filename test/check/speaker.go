package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"airloom/internal/frame"
	"airloom/internal/participant"
)

// said is one track as its speaker knows it.
type said struct {
	speaker string
	room    string
	track   string
	key     uint64
	silent  frame.Ranges // seqs sent as silence
	seqs    int64        // given to the participant
	out     *participant.Speaker
	began   time.Time
	spoken  atomic.Bool  // nothing more is sent
	over    atomic.Int64 // when its speaker was done with it, ns since 1970; 0: not yet
	ended   bool         // End went well: all is acked
	err     error        // why the track was over before its speaker wished it
}

// acked is the highest seq that the speaker saw acked, -1 for none.
func (s *said) acked() int64 { return s.out.Stats().Acked }

// overAt is when the track was over, far in the future for one that goes on.
func (s *said) overAt() time.Time {
	if ns := s.over.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Now().Add(time.Hour)
}

// speaker joins a room again and again and speaks tracks of unique frames. What it does when follows from its dice.
type speaker struct {
	run  *run
	name string
	room string
	dice *rand.Rand
	keys uint64

	mu     sync.Mutex
	tracks []*said
}

// speak goes on until calm is closed, after which it neither leaves nor begins anything, and ends when stop is closed.
func (s *speaker) speak(ctx context.Context, stop <-chan struct{}) error {
	for ctx.Err() == nil {
		select {
		case <-stop:
			return nil
		default:
		}
		p, err := s.run.join(ctx, participant.Config{Room: s.room, Listen: s.dice.IntN(2) == 0}, s.name)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		more, err := s.session(ctx, p, stop)
		if err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}

// session speaks some tracks in one stay.
func (s *speaker) session(ctx context.Context, p *participant.Participant, stop <-chan struct{}) (more bool, err error) {
	for tracks := 1 + s.dice.IntN(3); tracks > 0; tracks-- {
		asking, cancel := context.WithTimeout(ctx, 10*time.Second)
		out, err := p.StartTrack(asking, participant.TrackConfig{Name: "mic", Channels: 1, FrameMS: frameMS, Keep: 5 * 60 * 50})
		cancel()
		if err != nil {
			break // the log is away or the session is lost: come again
		}
		stopped := s.track(ctx, p, out, stop)
		if stopped || p.Err() != nil {
			return !stopped, s.leave(ctx, p)
		}
	}
	select {
	case <-s.run.calm: // stay as things are
	default:
		if s.dice.IntN(4) == 0 {
			p.Close() // without a word
			return true, nil
		}
	}
	return true, s.leave(ctx, p)
}

// track speaks one track to its end; stopped says that the run wants no more.
func (s *speaker) track(ctx context.Context, p *participant.Participant, out *participant.Speaker, stop <-chan struct{}) (stopped bool) {
	s.keys++
	one := &said{speaker: s.name, room: s.room, track: out.Track(), key: s.dice.Uint64()&^0xff | s.keys&0xff, out: out, began: time.Now()}
	s.mu.Lock()
	s.tracks = append(s.tracks, one)
	s.mu.Unlock()
	length, silence := 200+s.dice.IntN(1200), 0
	tick := time.NewTicker(frameMS * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			stopped = true
		case <-ctx.Done():
			stopped = true
		case <-tick.C:
		}
		if n >= length && !s.run.isCalm() {
			break
		}
		if stopped || one.err != nil {
			break
		}
		if silence == 0 && s.dice.IntN(400) == 0 {
			silence = 20 + s.dice.IntN(80)
		}
		s.say(ctx, one, out, &silence)
	}
	one.spoken.Store(true)
	if one.err == nil {
		ending, cancel := s.run.patiently(ctx)
		err := out.End(ending)
		cancel()
		one.ended, one.err = err == nil, err
	}
	one.over.Store(time.Now().UnixNano())
	return stopped
}

// say sends the next frame, or a silent one.
func (s *speaker) say(ctx context.Context, one *said, out *participant.Speaker, silence *int) {
	seq := uint32(one.seqs)
	var payload []byte
	if *silence > 0 {
		*silence--
		one.silent.Add(seq, seq)
	} else {
		payload = sound(one.key, seq)
	}
	if one.err = out.Send(ctx, payload, seq%50 < 30); one.err == nil {
		one.seqs++
	}
}

func (s *speaker) leave(ctx context.Context, p *participant.Participant) error {
	if p.Err() != nil {
		p.Close()
		return nil
	}
	leaving, cancel := context.WithTimeout(ctx, s.run.patience)
	defer cancel()
	if err := p.Leave(leaving); err != nil && !errors.Is(err, context.DeadlineExceeded) && p.Err() == nil {
		s.run.note("%s: leaving failed: %v", s.name, err)
	}
	return nil
}
