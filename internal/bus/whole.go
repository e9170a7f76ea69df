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
	// HolePatience is how long a replica that is away is waited for before what nobody else has counts as lost.
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

	ctx    context.Context
	js     jetstream.JetStream
	stream string
	tail   *Tail
	at     uint64   // position of the newest message given
	ready  []Stored // to be given before anything else
	closed error    // what Next says when ready is empty
	told   func(Hole)
	since  time.Time // when the hole that is being asked for was found; zero: none
	logger *slog.Logger
}

// OpenWhole reads what comes behind a position. told hears of each hole before Next gives what lies behind it. It ends with ctx. Its
// owner calls Stop.
func OpenWhole(ctx context.Context, js jetstream.JetStream, stream string, after uint64, logger *slog.Logger, told func(Hole)) (*Whole, error) {
	tail, err := OpenTail(ctx, js, stream, after)
	if err != nil {
		return nil, err
	}
	return &Whole{Pending: tail.Pending, ctx: ctx, js: js, stream: stream, tail: tail, at: after, told: told, logger: logger}, nil
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
	msg, meta, err := w.tail.next(quietFor)
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
		if err := w.mend(Span{w.at + 1, m.Position - 1}); err != nil {
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
	ctx, cancel := context.WithTimeout(w.ctx, replyPatience)
	defer cancel()
	s, err := w.js.Stream(ctx, w.stream)
	if err != nil {
		return nil // the log is away, the tail will notice
	}
	last := s.CachedInfo().State.LastSeq
	if last <= w.at {
		return nil
	}
	w.logger.Warn("a replica delivers nothing though there is more: asking the others", "stream", w.stream, "from", w.at+1, "to", last)
	if err := w.mend(Span{w.at + 1, min(last, w.at+atOnce)}); err != nil {
		return err
	}
	w.closed = fmt.Errorf("read %s: %w: the replica stalled", w.stream, ErrTail)
	return nil
}

// mend reads a hole from other replicas.
func (w *Whole) mend(span Span) error {
	hole := Hole{Span: span}
	for begin := time.Now(); ; {
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
			return fmt.Errorf("read %s: %w: %w", w.stream, ErrTail, w.ctx.Err())
		}
		if time.Since(begin) > HolePatience {
			hole.Lost = append(hole.Lost, span)
			break
		}
		w.logger.Warn("a hole in a replica cannot be filled now: trying again", "stream", w.stream, "from", span.From, "to", span.To, "error", err)
		if !pause(w.ctx, time.Second) {
			return fmt.Errorf("read %s: %w: %w", w.stream, ErrTail, w.ctx.Err())
		}
	}
	if hole.Found == atOnce && span.From <= span.To {
		hole.To = span.From - 1
		w.closed = fmt.Errorf("read %s: %w: the replica has a large hole", w.stream, ErrTail)
	}
	w.told(hole)
	return nil
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
