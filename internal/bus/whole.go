package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// quietFor is after how long without a message the leader is asked whether there is one: a replica with a damaged block may deliver
	// nothing more and go on living.
	quietFor = 5 * time.Second
	// atOnce bounds how much is read from other replicas before reading goes on from whichever replica comes next.
	atOnce = 1000
	// HolePatience is how long a replica that is away is waited for, by who must go on without what nobody else has (Whole.Patience), and
	// after how long it is an alarm for who goes on waiting.
	HolePatience = 30 * time.Second
)

// Hole is positions that the replica one reads from does not have though it has later ones. The streams of the log refuse to delete,
// so that happens only where they are too old or where the replica's disk is damaged.
type Hole struct {
	Span
	Found uint64 // of them, read from other replicas
	Lost  []Span // nobody has these
}

// Whole reads a stream as Tail does, all of its subjects, and does not pass over what a damaged replica lacks: it reads that from the
// other replicas and gives it in its place.
type Whole struct {
	Pending uint64 // messages that were waiting when it was opened

	// Patience is for how long a replica that is away is waited for before what nobody else has counts as lost; 0: until it is back.
	// Set it before the first Next, like Waits.
	Patience time.Duration
	// Waits, if it is not nil, hears again and again since when a hole is being filled, and then the zero time.
	Waits func(since time.Time)

	ctx    context.Context
	js     jetstream.JetStream
	stream string
	tail   *Tail
	at     uint64   // position of the newest message given
	ready  []Stored // to be given before anything else
	closed error    // what Next says when ready is empty
	told   func(Hole)
	quiet  time.Duration // quietFor, but in tests
	logger *slog.Logger
}

// OpenWhole reads what comes behind a position. told hears of each hole before Next gives what lies behind it. It ends with ctx. Its
// owner calls Stop.
func OpenWhole(ctx context.Context, js jetstream.JetStream, stream string, after uint64, logger *slog.Logger, told func(Hole)) (*Whole, error) {
	tail, err := OpenTail(ctx, js, stream, after)
	if err != nil {
		return nil, err
	}
	return &Whole{Pending: tail.Pending, ctx: ctx, js: js, stream: stream, tail: tail, at: after, told: told, quiet: quietFor, logger: logger}, nil
}

// Stop ends the reading and frees what it holds; it may be called once only.
func (w *Whole) Stop() { w.tail.Stop() }

// Next gives the next message. Every error is final and wraps ErrTail; reading begins anew behind the newest message it gave.
func (w *Whole) Next() (Stored, error) {
	for {
		if len(w.ready) > 0 {
			m := w.ready[0]
			w.ready = w.ready[1:]
			w.at = m.Position
			return m, nil
		}
		if w.closed != nil {
			return Stored{}, w.closed
		}
		if err := w.more(); err != nil {
			return Stored{}, err
		}
	}
}

// more reads at least one message into ready, or finds that none is due.
func (w *Whole) more() error {
	msg, meta, err := w.tail.next(w.quiet)
	if errors.Is(err, nats.ErrTimeout) {
		return w.stalled()
	}
	if err != nil {
		return err
	}
	m := Stored{Position: meta.Sequence.Stream, At: meta.Timestamp, Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()}
	switch {
	case m.Position <= w.at: // given already: it was read from another replica
		return nil
	case m.Position > w.at+1:
		if _, err := w.mend(Span{w.at + 1, m.Position - 1}); err != nil {
			return err
		}
		if w.closed != nil {
			return nil // there is more to mend: this message is read again
		}
	}
	w.ready = append(w.ready, m)
	return nil
}

// stalled asks the leader whether anything should have come; if so the next replica may be able to deliver it.
func (w *Whole) stalled() error {
	last, err := w.ends(func(s jetstream.StreamState) uint64 { return s.LastSeq })
	if err != nil {
		return nil // the log is away, the tail will notice
	}
	if last <= w.at {
		return nil
	}
	w.logger.Warn("a replica delivers nothing though there is more: asking the others", "stream", w.stream, "from", w.at+1, "to", last)
	found, err := w.mend(Span{w.at + 1, last})
	if err != nil {
		return err
	}
	if found == 0 { // nobody has the end: it is too old, say, and no replica will ever deliver it
		w.at = last
		return nil
	}
	w.closed = fmt.Errorf("read %s: %w: the replica stalled", w.stream, ErrTail)
	return nil
}

// ends asks the leader where the stream begins or ends.
func (w *Whole) ends(end func(jetstream.StreamState) uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(w.ctx, replyPatience)
	defer cancel()
	info, err := AskLeader(ctx, w.js, w.stream)
	if err != nil {
		return 0, err
	}
	return end(info.State), nil
}

// mend reads a hole from other replicas.
func (w *Whole) mend(span Span) (found uint64, err error) {
	hole := Hole{Span: span}
	since := time.Now()
	if w.Waits != nil {
		defer w.Waits(time.Time{})
	}
	for told := false; ; {
		if w.Waits != nil {
			w.Waits(since)
		}
		lost, err := Recover(w.ctx, w.js, w.stream, span, func(m Stored) bool {
			hole.Found++
			w.ready = append(w.ready, m)
			span.From = m.Position + 1
			return hole.Found < atOnce
		})
		hole.Lost = append(hole.Lost, lost...)
		if err == nil {
			break
		}
		if len(lost) > 0 {
			span.From = max(span.From, lost[len(lost)-1].To+1)
		}
		if w.ctx.Err() != nil {
			return 0, fmt.Errorf("read %s: %w: %w", w.stream, ErrTail, w.ctx.Err())
		}
		if gone, over := w.forgo(&span, since, err); over {
			hole.Lost = append(hole.Lost, gone)
			if span.From > span.To {
				break
			}
			continue
		}
		if w.Patience == 0 && !told && time.Since(since) > HolePatience {
			told = true
			w.logger.Error("ALARM: reading waits for a replica that is away: only it can have what is missing. Bring it back, or take it out of the stream's cluster",
				"stream", w.stream, "from", span.From, "to", span.To)
		}
		w.logger.Warn("a hole in a replica cannot be filled now: trying again", "stream", w.stream, "from", span.From, "to", span.To, "error", err)
		if !pause(w.ctx, time.Second) {
			return 0, fmt.Errorf("read %s: %w: %w", w.stream, ErrTail, w.ctx.Err())
		}
	}
	if hole.Found == atOnce && span.From <= span.To {
		hole.To = span.From - 1
		w.closed = fmt.Errorf("read %s: %w: the replica has a large hole", w.stream, ErrTail)
	}
	w.told(hole)
	return hole.Found, nil
}

// forgo says what is not waited for though not every replica answers, and takes it off the span's front: what lies before the stream's
// beginning, by the word of its leader, is too old; and patience ends. It reaches no further than to what somebody has.
func (w *Whole) forgo(span *Span, since time.Time, why error) (gone Span, over bool) {
	var away unsure
	if !errors.As(why, &away) {
		return gone, false // those that are there don't answer either
	}
	gone = *span
	if away.next > 0 {
		gone.To = min(gone.To, away.next-1)
	}
	if w.Patience == 0 || time.Since(since) <= w.Patience {
		first, err := w.ends(func(s jetstream.StreamState) uint64 { return s.FirstSeq })
		if err != nil || first <= span.From {
			return gone, false
		}
		gone.To = min(gone.To, first-1)
	}
	span.From = gone.To + 1
	return gone, true
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
