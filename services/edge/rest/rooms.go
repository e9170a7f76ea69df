package rest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"airloom/internal/auth"
	"airloom/internal/problem"
	"airloom/internal/query"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// listRooms gives all rooms to a token for all rooms, else the one it opens.
func (d *door) listRooms(w http.ResponseWriter, r *http.Request) error {
	claims, err := d.caller(r, anyRight)
	if err != nil {
		return err
	}
	if claims.Room != auth.AnyRoom {
		return d.listOneRoom(w, r, claims.Room)
	}
	var rooms query.Rooms
	if err := d.ask(r.Context(), subject.PresenceRooms, query.RoomsQuestion{After: r.URL.Query().Get("after")}, &rooms); err != nil {
		return unanswered(err, "presence")
	}
	if rooms.Rooms == nil {
		rooms.Rooms = []query.RoomCount{}
	}
	return reply(w, http.StatusOK, rooms)
}

// listOneRoom counts a room by its roster, page by page.
func (d *door) listOneRoom(w http.ResponseWriter, r *http.Request, name string) error {
	var counted query.RoomCount
	for offset := 0; ; {
		roster, err := d.roster(r.Context(), query.RosterQuestion{Room: name, Offset: offset})
		if err != nil {
			return err
		}
		if roster.Position == 0 { // nothing ever happened in it
			return reply(w, http.StatusOK, query.Rooms{Rooms: []query.RoomCount{}})
		}
		info, page := roster.Room, len(roster.Participants)+len(roster.Away)
		counted = query.RoomCount{
			Room: info.Room, Keep: info.Keep, Capacity: info.Capacity, Closed: info.Closed, Recording: info.Recording,
			Present: counted.Present + len(roster.Participants), Away: counted.Away + len(roster.Away), Tracks: roster.Tracks,
		}
		if offset += page; offset >= roster.Total || page == 0 {
			return reply(w, http.StatusOK, query.Rooms{Rooms: []query.RoomCount{counted}})
		}
	}
}

// showRoom gives the room as it is now (of presence), or as it was (of the log).
func (d *door) showRoom(w http.ResponseWriter, r *http.Request) error {
	roster, err := d.rosterFor(r)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, roster)
}

func (d *door) participants(w http.ResponseWriter, r *http.Request) error {
	roster, err := d.rosterFor(r)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{
		"participants": roster.Participants, "away": roster.Away, "total": roster.Total, "position": roster.Position,
	})
}

func (d *door) rosterFor(r *http.Request) (query.Roster, error) {
	name := r.PathValue("room")
	if _, err := d.admit(r, name, anyRight); err != nil {
		return query.Roster{}, err
	}
	if at := r.URL.Query().Get("at"); at != "" {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return query.Roster{}, badQuery("at", "a time as 2026-11-20T12:03:00Z")
		}
		return d.rosterAt(r.Context(), name, when)
	}
	question := query.RosterQuestion{Room: name}
	if offset := r.URL.Query().Get("offset"); offset != "" {
		n, err := strconv.ParseUint(offset, 10, 31)
		if err != nil {
			return query.Roster{}, badQuery("offset", "a whole number from 0 on")
		}
		question.Offset = int(n)
	}
	return d.roster(r.Context(), question)
}

func badQuery(name, form string) error {
	return problem.New(http.StatusBadRequest, "bad_query", "The query parameter %s must be %s.", name, form)
}

func (d *door) roster(ctx context.Context, question query.RosterQuestion) (query.Roster, error) {
	var roster query.Roster
	if err := d.ask(ctx, subject.PresenceRoster, question, &roster); err != nil {
		return query.Roster{}, unanswered(err, "presence")
	}
	return roster, nil
}

func (d *door) ask(ctx context.Context, on string, question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Patience)
	defer cancel()
	return query.Ask(ctx, d.deps.Bus.Conn(), on, question, answer)
}

// rosterAt folds the log up to a time. Who spoke just then is not in the log.
func (d *door) rosterAt(ctx context.Context, name string, at time.Time) (query.Roster, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Patience)
	defer cancel()
	state, err := d.deps.Log.LoadAt(ctx, name, at)
	if err != nil {
		return query.Roster{}, refuse(err)
	}
	roster := query.Roster{
		Room: state.Info(), Participants: []query.Participant{}, Away: []query.Participant{},
		Tracks: state.OpenTracks(), Position: state.Position,
	}
	for _, p := range state.Roster() {
		shown := query.Participant{Participant: p, Tracks: []query.Track{}}
		for _, t := range p.Tracks {
			shown.Tracks = append(shown.Tracks, query.Track{TrackInfo: t})
		}
		if roster.Total++; p.Away {
			roster.Away = append(roster.Away, shown)
		} else {
			roster.Participants = append(roster.Participants, shown)
		}
	}
	return roster, nil
}

// roomAnswer is what a command gives back: the room after it, and where in the log that is.
type roomAnswer struct {
	Room     room.Info `json:"room"`
	Position uint64    `json:"position"`
	Opened   bool      `json:"opened,omitempty"` // it was closed before
}
