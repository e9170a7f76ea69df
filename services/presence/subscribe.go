package presence

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
	"airloom/internal/query"
	"airloom/internal/strict"
	"airloom/internal/subject"
)

// ear is a subscription: a subject, a queue group or "", and what to do with a message.
type ear struct {
	on, queue string
	hear      func(*nats.Msg)
}

// Bounds of each subscription's queue. Full, it loses the newest: a heartbeat or a speaking mark comes again in a second, a hint
// of news too, and who asks for a roster asks again.
const (
	maxWaiting      = 1 << 16
	maxWaitingBytes = 16 << 20
)

func (s *Service) subscribe(ears []ear) (subs []*nats.Subscription, err error) {
	for _, e := range ears {
		sub, err := s.bus.Conn().QueueSubscribe(e.on, e.queue, e.hear)
		if err == nil {
			err = sub.SetPendingLimits(maxWaiting, maxWaitingBytes)
		}
		if err != nil {
			bus.Unsubscribe(subs)
			return nil, fmt.Errorf("subscribe to %s: %w", e.on, err)
		}
		subs = append(subs, sub)
	}
	return subs, nil
}

// answers are the requests it answers, one presence of the group each.
func (s *Service) answers() []ear {
	return []ear{
		{on: subject.PresenceRooms, queue: "presence", hear: func(m *nats.Msg) {
			var req query.RoomsQuestion
			s.answer(m, &req, func(now time.Time) (any, error) {
				return s.watch.Rooms(req), nil
			})
		}},
		{on: subject.PresenceRoster, queue: "presence", hear: func(m *nats.Msg) {
			var req query.RosterQuestion
			s.answer(m, &req, func(now time.Time) (any, error) {
				if err := subject.Room(req.Room); err != nil {
					return nil, err
				}
				return s.watch.Roster(req, now), nil
			})
		}},
	}
}

func (s *Service) answer(m *nats.Msg, req any, give func(time.Time) (any, error)) {
	end := s.tracer.answer(m)
	defer end()
	answer, err := s.reply(m.Data, req, give)
	if err != nil {
		err = query.Refuse(m, http.StatusBadRequest, err.Error())
	} else {
		var body []byte
		if body, err = json.Marshal(answer); err == nil {
			err = m.Respond(body)
		}
	}
	if err != nil { // who asked hears nothing and asks again
		s.logger.Warn("answer of presence lost", "subject", m.Subject, "error", err)
	}
}

func (s *Service) reply(data []byte, req any, give func(time.Time) (any, error)) (any, error) {
	if len(data) > 0 {
		if err := strict.Decode(data, 2, req); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return give(time.Now())
}
