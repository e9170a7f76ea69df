package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"airloom/internal/frame"
	"airloom/internal/media"
	"airloom/internal/participant"
	"airloom/internal/room"
)

// until reads in, which may block for ever, until ctx ends.
func until(ctx context.Context, in io.Reader) io.Reader {
	out, pipe := io.Pipe()
	context.AfterFunc(ctx, func() { pipe.CloseWithError(ctx.Err()) })
	started := sync.OnceFunc(func() {
		go func() {
			_, err := io.Copy(pipe, in)
			pipe.CloseWithError(err)
		}()
	})
	return readerFunc(func(b []byte) (int, error) {
		started() // not before somebody reads: a file argument leaves the standard input alone
		return out.Read(b)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// publication is one run of publish.
type publication struct {
	c       *publishCmd
	p       *program
	source  **media.Source // what is being read; --loop puts the next one in its place
	joined  *participant.Participant
	speaker *participant.Speaker
	voice   *media.Voice
	digest  *frame.Digest
	bar     *progress
	start   time.Time     // when frame 0 is due
	sent    time.Duration // of sound, silence included
}

func (u *publication) run() error {
	if !u.joined.Session().MaySpeak() {
		return &participant.Error{Code: "forbidden", Message: "you may not speak in room " + string(u.c.Room) + ": the token, a moderator or the room's settings do not allow it"}
	}
	if u.joined.Session().Room.Keep == room.KeepNone && u.c.Rate == "max" {
		return hint(fmt.Errorf("room %s keeps nothing (keep: none), and --rate max is for the log only", u.c.Room),
			"Publish in real time, or let the room keep its sound: airloom room create R --keep record")
	}
	if err := u.announce(); err != nil {
		return err
	}
	sending := u.send()
	if errors.Is(sending, participant.ErrMayNotSpeak) {
		return errors.Join(sending, u.leave()) // there is no track to end any more
	}
	if sending != nil && u.p.ctx.Err() == nil {
		return errors.Join(sending, u.end()) // what was read is worth keeping
	}
	return u.end()
}

func (u *publication) announce() (err error) {
	if u.voice, err = media.NewVoice(); err != nil {
		return fmt.Errorf("make the voice detector: %w", err)
	}
	source := *u.source
	u.start = time.Now().Add(lead)
	cfg := participant.TrackConfig{
		Name: u.c.Track, Channels: source.Channels(), FrameMS: source.FrameMS(), Late: u.c.Rate == "max",
		Clock: &room.Clock{Timestamp: 0, UnixMicro: u.start.UnixMicro()},
	}
	ctx, cancel := context.WithTimeout(u.p.ctx, 15*time.Second)
	defer cancel()
	u.speaker, err = u.joined.StartTrack(ctx, cfg)
	return err
}

// send sends until the end of the input, --for, or an interruption.
func (u *publication) send() error {
	for u.p.ctx.Err() == nil && (u.c.For == 0 || u.sent < u.c.For) {
		f, err := u.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", u.c.File, err)
		}
		if u.c.Rate == "realtime" && !u.pause() {
			return nil
		}
		if err := u.speaker.Send(u.p.ctx, f.Payload, f.Payload != nil && u.voice.Heard(f.Payload)); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		if f.Payload != nil {
			u.digest.Add(f.Payload)
		}
		u.sent += time.Duration(f.Samples) * time.Second / frame.SampleRate
		u.progress()
	}
	return nil
}

// next reads a frame; with --loop the file begins again at its end.
func (u *publication) next() (media.Frame, error) {
	f, err := (*u.source).Next()
	if err != io.EOF || !u.c.Loop {
		return f, err
	}
	again, err := u.c.open(u.p)
	if err != nil {
		return f, err
	}
	before := (*u.source).FrameMS()
	(*u.source).Close()
	*u.source = again
	if again.FrameMS() != before {
		return f, fmt.Errorf("the file has changed: %w", media.ErrMixed)
	}
	return again.Next()
}

// pause waits until the next frame is due by the monotonic clock; after a stall it is due at once. False: interrupted.
func (u *publication) pause() bool {
	wait := time.Until(u.start.Add(u.sent))
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-u.p.ctx.Done():
		return false
	case <-u.joined.Done():
		return true // Send says why
	}
}

// end ends the track and waits for the acks, also after an interruption.
func (u *publication) end() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.p.ctx), lastAcks)
	defer cancel()
	if u.p.ctx.Err() != nil && !u.c.JSON {
		u.bar.note(u.p, "ending the track; Ctrl-C again quits at once")
	}
	if err := u.speaker.End(ctx); err != nil {
		return err
	}
	return u.leave()
}

func (u *publication) leave() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.p.ctx), 5*time.Second)
	defer cancel()
	if err := u.joined.Leave(ctx); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}

func (u *publication) notice(n participant.Notice) {
	if u.c.JSON {
		return
	}
	switch n.Kind {
	case participant.LogAway:
		u.bar.note(u.p, "the log is away: listeners hear this, but nothing is being kept")
	case participant.LogOK:
		u.bar.note(u.p, "the log is back and has caught up")
	case participant.Lost:
		u.bar.note(u.p, "the edge is gone (%v): coming back", n.Err)
	case participant.Back:
		u.bar.note(u.p, "back")
	case participant.GrantsChanged:
		u.bar.note(u.p, "your rights have changed: you %s", mayDo(n.Grants))
	case participant.Refused, participant.TokenEnd:
		u.bar.note(u.p, "%v", n.Err)
	}
}

func (u *publication) progress() {
	if !u.bar.due() {
		return
	}
	stats := u.speaker.Stats()
	rtt, _ := u.joined.RTT()
	rate := u.sent.Seconds() / max(time.Since(u.start).Seconds(), 0.001)
	u.bar.show("%d frames  %.1f s  %.2f x  acked %d  unacked %d  rtt %.1f ms",
		stats.Frames, u.sent.Seconds(), max(rate, 0), stats.Acked, stats.Seqs-1-stats.Acked, ms(rtt))
}

// report says what became of it; failed is what went wrong already.
func (u *publication) report(failed error) error {
	stats := u.speaker.Stats()
	var unacked error
	keep := u.joined.Session().Room.Keep
	if missing := stats.Frames - stats.Kept - stats.Passed; missing > 0 && failed == nil && keep != room.KeepNone {
		unacked = fmt.Errorf("%d of %d frames were not acked", missing, stats.Frames)
	}
	if u.c.JSON {
		return errors.Join(unacked, u.p.json(map[string]any{
			"room": u.c.Room, "track": u.speaker.Track(), "epoch": u.speaker.Epoch(), "frames": stats.Frames,
			"silent": stats.Seqs - int64(stats.Frames), "bytes": stats.Bytes, "seconds": u.sent.Seconds(),
			"acked": stats.Kept, "acked_seq": stats.Acked, "resent": stats.Resent, "dropped": stats.Dropped, "passed": stats.Passed,
			"sha256": u.digest.Sum(), "keep": keep,
		}))
	}
	fmt.Fprintf(u.p.out, "track %s in room %s: %d frames, %d bytes, %.2f s, %d acked, %d resent\nsha256 %s\n",
		u.speaker.Track(), u.c.Room, stats.Frames, stats.Bytes, u.sent.Seconds(), stats.Kept, stats.Resent, u.digest.Sum())
	if keep == room.KeepNone {
		fmt.Fprintf(u.p.out, "the room keeps nothing (keep: none): there are no acks\n")
	}
	return unacked
}
