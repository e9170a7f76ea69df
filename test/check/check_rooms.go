package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"airloom/internal/bus"
	"airloom/internal/query"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// checkRosters waits until only those who are there are in the log's rosters, and asks everybody else who answers for rosters.
func (r *run) checkRosters(ctx context.Context, admin *bus.Bus, p *promise) error {
	want := map[string][]string{} // sessions, by room
	for _, l := range r.listeners {
		l.mu.Lock()
		if l.stays != nil {
			want[l.room] = append(want[l.room], l.stays.Session().Session)
		}
		l.mu.Unlock()
	}
	waiting, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	err := until(waiting, "only those who are there are in the rosters", func() error {
		histories, err := r.histories(waiting, admin)
		if err != nil {
			return err
		}
		for name, h := range histories {
			if who := sessions(h.state); !slices.Equal(who, sorted(want[name])) || away(h.state) > 0 {
				return fmt.Errorf("room %s: the log has %v (%d of them away), there are %v", name, who, away(h.state), sorted(want[name]))
			}
		}
		return nil
	})
	if err != nil {
		p.breaks("%v", err)
		return ctx.Err()
	}
	r.note("the log's rosters are true")
	asked, err := r.askRosters(ctx, admin, p)
	if err != nil {
		return err
	}
	total := 0
	for _, who := range want {
		total += len(who)
	}
	p.saw("%d there, %d answers of presences, edges and participants are the log's", total, asked)
	return nil
}

func sessions(s *room.State) (ids []string) {
	for _, p := range s.Roster() {
		ids = append(ids, p.Session)
	}
	return sorted(ids)
}

func sorted(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}

func away(s *room.State) (n int) {
	for _, p := range s.Roster() {
		if p.Away {
			n++
		}
	}
	return n
}

// askRosters asks through each nats-server (a server prefers those presences that are connected to it), at each edge, and those who stay.
func (r *run) askRosters(ctx context.Context, admin *bus.Bus, p *promise) (asked int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // for all: one wrong answer is enough
	defer cancel()
	token, err := r.token("looker")
	if err != nil {
		return 0, err
	}
	for _, n := range r.cluster.nodes {
		b, err := r.cluster.connect(ctx, bus.Edge, n.url())
		if err != nil {
			return asked, err
		}
		for _, name := range rooms {
			for range 4 {
				asked++
				r.sameRoster(ctx, admin, p, "a presence, asked at "+n.name, name, func(got *query.Roster) error {
					ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
					defer cancel()
					return query.Ask(ctx, b.Conn(), subject.PresenceRoster, query.RosterQuestion{Room: name}, got)
				})
			}
		}
		b.Close()
	}
	for _, e := range r.cluster.edges {
		for _, name := range rooms {
			asked++
			r.sameRoster(ctx, admin, p, e.name, name, func(got *query.Roster) error {
				return get(ctx, "http://"+e.addr+"/v1/rooms/"+name, token, got)
			})
		}
	}
	for _, l := range r.listeners {
		l.mu.Lock()
		stays := l.stays
		l.mu.Unlock()
		if stays == nil {
			continue
		}
		asked++
		err := until(ctx, l.name+" was told the log's roster of "+l.room, func() error {
			state, err := r.fold(ctx, admin, l.room)
			if err != nil {
				return err
			}
			var told []string
			for _, one := range stays.Participants() {
				told = append(told, one.Session)
			}
			if want := sessions(state); !slices.Equal(sorted(told), want) {
				return fmt.Errorf("told of %v, the log has %v", sorted(told), want)
			}
			return nil
		})
		if err != nil {
			p.breaks("%v", err)
		}
	}
	return asked, nil
}

// sameRoster holds an answer against the log, for a while: either may be of a moment before.
func (r *run) sameRoster(ctx context.Context, admin *bus.Bus, p *promise, who, name string, ask func(*query.Roster) error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := until(ctx, who+" tells the log's roster of "+name, func() error {
		s, err := r.fold(ctx, admin, name)
		if err != nil {
			return err
		}
		want := s.Roster()
		var got query.Roster
		if err := ask(&got); err != nil {
			return err
		}
		var people []room.Participant
		for _, one := range got.Participants {
			one.Participant.Tracks = []room.TrackInfo{}
			for _, t := range one.Tracks {
				one.Participant.Tracks = append(one.Participant.Tracks, t.TrackInfo)
			}
			people = append(people, one.Participant)
		}
		if len(got.Away) > 0 || got.Position != s.Position || !equal(people, want) {
			return fmt.Errorf("it tells of %d there and %d away at position %d; the log has %d there at position %d", len(people), len(got.Away), got.Position, len(want), s.Position)
		}
		return nil
	})
	if err != nil {
		p.breaks("%v", err)
	}
}

func (r *run) fold(ctx context.Context, admin *bus.Bus, name string) (*room.State, error) {
	h, err := r.history(ctx, admin, name)
	if err != nil {
		return nil, err
	}
	return h.state, nil
}

// equal compares as JSON: times lose their location on the way.
func equal(a, b []room.Participant) bool {
	if len(a) == 0 && len(b) == 0 {
		return true
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// untilLeft waits until everybody who ever joined has left: sessions that were replaced while nobody held them are ended later. Nobody joins or leaves twice.
func (r *run) untilLeft(ctx context.Context, admin *bus.Bus, p *promise) (histories map[string]*history, err error) {
	waiting, cancel := context.WithTimeout(ctx, 50*time.Second)
	defer cancel()
	var joined int
	var there, twice []string
	err = until(waiting, "everybody has left", func() (err error) {
		if histories, err = r.histories(waiting, admin); err != nil {
			return err
		}
		if joined, there, twice = leaves(histories); len(there) > 0 {
			return errors.New(strings.Join(there, ", "))
		}
		return nil
	})
	if histories == nil {
		return nil, err
	}
	if err != nil {
		p.breaks("%v", err)
	}
	for _, what := range twice {
		p.breaks("%s", what)
	}
	p.numbers += fmt.Sprintf(", %d joins with one leave each", joined)
	return histories, nil
}

// leaves counts who joined, and names those who have not left, and those who joined or left twice or left without having joined.
func leaves(histories map[string]*history) (joined int, there, twice []string) {
	for name, h := range histories {
		joins, left := map[string]int{}, map[string]int{}
		for _, e := range h.events {
			switch f := e.Fact.(type) {
			case room.Joined:
				joined++
				if joins[f.Session]++; joins[f.Session] > 1 {
					twice = append(twice, fmt.Sprintf("room %s: session %s joined at %d for the %dth time", name, f.Session, e.Position, joins[f.Session]))
				}
			case room.Left:
				if joins[f.Session] == 0 {
					twice = append(twice, fmt.Sprintf("room %s: session %s left at %d without having joined", name, f.Session, e.Position))
				}
				left[f.Session]++
			}
		}
		for session := range joins {
			switch times := left[session]; {
			case times == 0:
				there = append(there, fmt.Sprintf("room %s: session %s has not left", name, session))
			case times > 1:
				twice = append(twice, fmt.Sprintf("room %s: session %s left %d times", name, session, times))
			}
		}
	}
	return joined, there, twice
}

// checkOrder gathers what the listeners had to complain of.
func (r *run) checkOrder(p *promise) {
	heard, sessions, plain := 0, 0, 0
	for _, l := range r.listeners {
		l.mu.Lock()
		for _, what := range l.wrong {
			p.breaks("%s", what)
		}
		for _, s := range l.past {
			if r.mayDouble(s) {
				continue
			}
			plain++
			for _, what := range s.wrong(r.disturbed(s.from, s.to)) {
				p.breaks("%s: %s", l.name, what)
			}
		}
		heard, sessions = heard+l.heard, sessions+len(l.past)
		l.mu.Unlock()
	}
	if heard == 0 {
		p.breaks("nobody heard anything")
	}
	p.saw("%d frames heard live in %d sessions, in %d of them nothing may come twice", heard, sessions, plain)
}
