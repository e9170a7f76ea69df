package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"airloom/internal/bus"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// ErrSkipped says that following went on without events that a replica which is away may have: what was folded since is no fold of the log,
// and must not become a snapshot before Regain has looked again.
var ErrSkipped = errors.New("events were passed over that a replica which is away may have")

const maxSkipped = 1000 // spans; what comes behind makes the last one longer

// skipped are the events that following passed over, in order.
type skipped struct {
	mu    sync.Mutex
	spans []bus.Span
}

func (s *skipped) add(spans []bus.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range spans {
		if len(s.spans) < maxSkipped {
			s.spans = append(s.spans, span)
		} else {
			s.spans[maxSkipped-1].To = span.To
		}
	}
}

func (s *skipped) first() (span bus.Span, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spans) == 0 {
		return span, false
	}
	return s.spans[0], true
}

// settled takes the first span off, unless it has become longer meanwhile.
func (s *skipped) settled(span bus.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spans[0] == span {
		s.spans = s.spans[1:]
	}
}

// whole is nil where what is folded is all there is.
func (s *skipped) whole() error {
	if span, some := s.first(); some {
		return fmt.Errorf("%w: from %d to %d", ErrSkipped, span.From, span.To)
	}
	return nil
}

// Regain looks again for what Follow passed over and calls fn with each event that is there after all, which every reading has from then on.
// Where a replica is still away the error wraps ErrSkipped; WriteSnapshot and WriteMark refuse with it until all could be asked and fn has
// taken all. It is for one caller at a time.
func (l *Log) Regain(ctx context.Context, fn func(*room.Event) error) error {
	for span, some := l.skipped.first(); some; span, some = l.skipped.first() {
		var failed error
		_, err := bus.Recover(ctx, l.bus.JetStream(), subject.EventStream(l.region), span, func(m bus.Stored) bool {
			l.logger.Warn("an event that was passed over is there again", "position", m.Position)
			l.holes.note(m.Position, &m)
			var e *room.Event
			if e, failed = l.Decode(m.Subject, m.Data, m.Position); failed == nil {
				failed = fn(e)
			}
			return failed == nil
		})
		if err = errors.Join(err, failed); err != nil {
			return fmt.Errorf("regain events %d to %d: %w: %w", span.From, span.To, ErrSkipped, err)
		}
		l.skipped.settled(span)
	}
	return nil
}
