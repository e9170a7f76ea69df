package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

const (
	maxTorn = 8    // readings of one room until it is believed that the log changes under them
	maxHeld = 4096 // events held that a replica lacks; more would be a replica that lacks nearly all
)

// ErrTorn says that a replica lacks events that must be there, and that what was given already is without them. What was missing
// is known then, or another replica may answer: read again from the beginning.
var ErrTorn = errors.New("a replica of the event log lacks events: read again")

// holes are the events that some replica lacks although it has later ones: its disk is damaged, or was. Once found, an event is
// put into its place in every reading.
type holes struct {
	mu     sync.Mutex
	filled []bus.Stored // in order
	lost   map[uint64]struct{}
}

// fill reads an event that must be there from any replica that has it; nil where none has, which is told once.
func (h *holes) fill(ctx context.Context, l *Log, position uint64) (*bus.Stored, error) {
	h.mu.Lock()
	at, known := slices.BinarySearchFunc(h.filled, position, byPosition)
	_, gone := h.lost[position]
	if known {
		m := h.filled[at]
		h.mu.Unlock()
		return &m, nil
	}
	h.mu.Unlock()
	if gone {
		return nil, nil
	}
	hole := bus.Hole{Span: bus.Span{From: position, To: position}}
	var found *bus.Stored
	var err error
	hole.Lost, err = bus.Recover(ctx, l.bus.JetStream(), subject.EventStream(l.region), hole.Span, func(m bus.Stored) bool {
		found = &m
		hole.Found++
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("fill a hole in the event log: %w", err)
	}
	l.hole(hole)
	h.note(position, found)
	return found, nil
}

func (h *holes) note(position uint64, found *bus.Stored) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if found == nil {
		if h.lost == nil {
			h.lost = map[uint64]struct{}{}
		}
		if len(h.lost) < maxHeld {
			h.lost[position] = struct{}{}
		}
		return
	}
	at, known := slices.BinarySearchFunc(h.filled, position, byPosition)
	if !known && len(h.filled) < maxHeld {
		h.filled = slices.Insert(h.filled, at, *found)
	}
}

// known puts into a batch, which begins behind a position, the events that are known to be missing from some replica.
func (h *holes) known(of string, after uint64, messages []bus.Stored) []bus.Stored {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.filled) == 0 || len(messages) == 0 {
		return messages
	}
	last := messages[len(messages)-1].Position
	for _, m := range h.filled {
		at, there := slices.BinarySearchFunc(messages, m.Position, byPosition)
		if !there && m.Position > after && m.Position < last && strings.HasPrefix(m.Subject, strings.TrimSuffix(of, ">")) {
			messages = slices.Insert(messages, at, m)
		}
	}
	return messages
}
