package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/bus"
	"airloom/internal/problem"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// A recording holds what the audio log has between two of its positions, and whoever starts or stops one asks the log for them. Where it
// does not answer nothing is changed: a recording that went on behind a stop would be worse than none.

func (d *door) record(w http.ResponseWriter, r *http.Request) error {
	roomName := r.PathValue("room")
	by, err := d.enter(r, roomName, record)
	if err != nil {
		return err
	}
	var ask struct {
		On    *bool  `json:"on"`
		Since string `json:"since"` // "start", "-10m", or a time
	}
	if err := decode(w, r, &ask, false); err != nil {
		return err
	}
	switch {
	case ask.On == nil:
		return problem.New(http.StatusBadRequest, "bad_body", `Say {"on": true} or {"on": false}.`)
	case !*ask.On && ask.Since != "":
		return problem.New(http.StatusBadRequest, "bad_body", "A recording that is stopped ends now: since is for one that starts.")
	case !*ask.On:
		return d.recordOff(w, r, roomName, by)
	}
	since, err := parseSince(ask.Since)
	if err != nil {
		return err
	}
	return d.recordOn(w, r, roomName, by, since)
}

// since is what a recording reaches back to; the zero value is now.
type since struct {
	start bool // all that is kept
	at    time.Time
}

func parseSince(text string) (since, error) {
	switch text {
	case "":
		return since{}, nil
	case "start":
		return since{start: true}, nil
	}
	if back, err := time.ParseDuration(text); err == nil && back < 0 {
		return since{at: time.Now().Add(back)}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.IsZero() {
		return since{}, problem.New(http.StatusBadRequest, "bad_body", "since must be start, so long ago (-10m), or a time as 2026-11-20T12:03:00Z.")
	}
	return since{at: at}, nil
}

func (d *door) recordOn(w http.ResponseWriter, r *http.Request, roomName string, by allowed, back since) error {
	start := room.RecordingStarted{Recording: newRecording(time.Now()), By: by.Identity}
	var err error
	if start.From, start.Since, err = d.reach(r.Context(), roomName, back); err != nil {
		return err
	}
	return d.command(w, r, roomName, by, func(s *room.State) (room.Draft, error) {
		if s.Closed {
			return room.Draft{}, room.ErrClosed
		}
		return s.StartRecording(start)
	})
}

// reach gives the positions behind which a recording begins: of the audio log, and of the events.
func (d *door) reach(ctx context.Context, roomName string, back since) (from, events uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Patience)
	defer cancel()
	log, err := d.askLog(ctx)
	if err != nil || back == (since{}) || log.last < log.first {
		return log.last, 0, err
	}
	from, at := log.first-1, log.firstAt
	if back.at.After(at) {
		at = back.at
		if from, err = d.before(ctx, at, log); err != nil {
			return 0, 0, logAway(err)
		}
	}
	state, err := d.deps.Log.LoadAt(ctx, roomName, at)
	if err != nil {
		return 0, 0, refuse(err)
	}
	return from, max(state.Position, 1), nil // a track that was open by then is one of it, however long ago it began
}

const lagPause = 20 * time.Millisecond // until a replica that lags is asked again

// before is the position of the last message that the audio log had at a time, at most its last one. Any replica answers; one that lags and
// says that nothing came since, though the leader has something, is asked again.
func (d *door) before(ctx context.Context, at time.Time, log logStand) (uint64, error) {
	if log.lastAt.Before(at) {
		return log.last, nil
	}
	for {
		position, err := d.since(ctx, at)
		if err == nil {
			return min(position-1, log.last), nil
		}
		if !errors.Is(err, jetstreamext.ErrNoMessages) {
			return 0, fmt.Errorf("look for %s in the audio log: %w", at.Format(time.RFC3339), err)
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("look for %s in the audio log: no replica that answers has what its leader has: %w", at.Format(time.RFC3339), ctx.Err())
		case <-time.After(lagPause):
		}
	}
}

// since is the position of the first message since a time that the replica which answers has.
func (d *door) since(ctx context.Context, at time.Time) (uint64, error) {
	messages, err := jetstreamext.GetBatch(ctx, d.deps.Bus.JetStream(), subject.LogStream(d.deps.Log.Region()), 1, jetstreamext.GetBatchStartTime(at))
	if err != nil {
		return 0, err
	}
	for msg, err := range messages {
		if err != nil {
			return 0, err
		}
		return msg.Sequence, nil
	}
	return 0, context.DeadlineExceeded
}

func (d *door) recordOff(w http.ResponseWriter, r *http.Request, roomName string, by allowed) error {
	ctx, cancel := context.WithTimeout(r.Context(), d.cfg.Patience)
	defer cancel()
	if _, err := d.askLog(ctx); err != nil { // before anything is changed
		return err
	}
	state, position, fact, err := d.decide(r, roomName, by, func(s *room.State) (room.Draft, error) { return s.HaltRecording(s.Recording) })
	if err != nil {
		return err
	}
	if state.Stopping {
		if state, position, fact, err = d.decide(r, roomName, by, d.stop(ctx, state.Recording)); err != nil {
			return err
		}
	}
	if state.RecordingDue() { // a recorder starts it whatever is said now
		return away("recording_due", "The room is to be recorded (keep: record), and that recording has not begun yet: try again, or set keep to something else.")
	}
	return d.tell(w, r, state, position, fact)
}

// stop decides on the end of a recording that is halted: recorders have closed nothing of it that the log did not have by now.
func (d *door) stop(ctx context.Context, recording string) func(*room.State) (room.Draft, error) {
	log, err := d.askLog(ctx)
	return func(s *room.State) (room.Draft, error) {
		if err != nil {
			return room.Draft{}, away("log_away", "The recording is being stopped, but the audio log does not say where it is: try again, else a recorder stops it when the log answers.").Because(err)
		}
		return s.StopRecording(recording, log.last)
	}
}

// settle changes settings, and with them what is recorded: one that makes a room be recorded in the middle of tracks, or no longer, says where
// the log was; one that ends a recording stops it where the log is.
func (d *door) settle(
	w http.ResponseWriter, r *http.Request, name string, by allowed,
	want func(*room.State) (room.Settings, error), set func(*room.State, room.Settings, uint64) (room.Draft, error),
) error {
	ctx, cancel := context.WithTimeout(r.Context(), d.cfg.Patience)
	defer cancel()
	state, position, fact, err := d.decide(r, name, by, func(s *room.State) (room.Draft, error) {
		wanted, err := want(s)
		if err != nil {
			return room.Draft{}, err
		}
		next, err := d.turn(ctx, s, wanted)
		if err != nil {
			return room.Draft{}, err
		}
		return set(s, wanted, next)
	})
	if err != nil {
		return err
	}
	if state.Settings.Keep != room.KeepRecord {
		if state, err = d.stopKept(r, name, by); err != nil {
			return err
		}
	}
	return d.tell(w, r, state, position, fact)
}

// turn asks for the position that comes next in the audio log, where the settings begin or end what is recorded; 0: they do not. Where nobody
// speaks it is but for a track that begins meanwhile: a log that is away keeps nobody from setting up a room.
func (d *door) turn(ctx context.Context, s *room.State, wanted room.Settings) (next uint64, err error) {
	stops, must := s.StopsRecord(wanted), s.OpenTracks() > 0
	if !stops && !s.TurnsRecord(wanted) {
		return 0, nil
	}
	if !stops && !must {
		short, cancel := context.WithTimeout(ctx, d.cfg.Patience/4)
		defer cancel()
		ctx = short
	}
	log, err := d.askLog(ctx)
	switch {
	case err != nil && (stops || must):
		return 0, err
	case err != nil || !s.TurnsRecord(wanted):
		return 0, nil
	}
	return log.last + 1, nil
}

// stopKept ends the recording of a room that is no longer to be recorded, and no other one. It looks for it behind the change: a recorder may have
// started one between the change and what that was decided on.
func (d *door) stopKept(r *http.Request, name string, by allowed) (after *room.State, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), d.cfg.Patience)
	defer cancel()
	left := ""
	after, _, _, err = d.decide(r, name, by, func(s *room.State) (room.Draft, error) {
		left = s.LeftRecording()
		return s.HaltRecording(left)
	})
	if err == nil && left != "" {
		after, _, _, err = d.decide(r, name, by, d.stop(ctx, left))
	}
	if err != nil {
		return nil, away("log_away", "The settings are changed, but what is recorded goes on: set them once more, else a recorder stops it when the log answers.").Because(err)
	}
	return after, nil
}

// logStand is how the audio log is, by the word of its leader.
type logStand struct {
	first, last     uint64
	firstAt, lastAt time.Time
}

func (d *door) askLog(ctx context.Context) (logStand, error) {
	info, err := bus.AskLeader(ctx, d.deps.Bus.JetStream(), subject.LogStream(d.deps.Log.Region()))
	if err != nil {
		return logStand{}, logAway(err)
	}
	s := info.State
	return logStand{first: max(s.FirstSeq, 1), last: s.LastSeq, firstAt: s.FirstTime, lastAt: s.LastTime}, nil
}

func logAway(err error) error {
	return away("log_away", "The audio log does not answer, so it is not known where the recording begins or ends. Nothing was changed: try again.").Because(err)
}
