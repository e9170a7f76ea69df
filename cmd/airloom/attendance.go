package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"airloom/internal/room"
)

type roomAttendanceCmd struct {
	Room roomName `arg:"" help:"Room."`
	JSON bool     `name:"json" help:"Print one object."`
}

// Help is printed below the flags.
func (roomAttendanceCmd) Help() string {
	return "Counted from the room's events: one row per session, also for those who are still there.\n\nExample:  airloom room attendance town-hall"
}

// attended is one session's time in the room.
type attended struct {
	Session  string      `json:"session"`
	Identity string      `json:"identity"`
	Name     string      `json:"name"`
	Joined   time.Time   `json:"joined"`
	Left     *time.Time  `json:"left"` // null: still there
	Reason   room.Reason `json:"reason,omitempty"`
	Seconds  float64     `json:"seconds"`
}

// Run counts.
func (c *roomAttendanceCmd) Run(p *program, at *roomCmd) error {
	fold := attendance{state: room.NewState(string(c.Room), room.Settings{}), sessions: map[string]*attended{}}
	err := at.eachLine(p, "v1/rooms/"+string(c.Room)+"/events", nil, fold.line)
	if err != nil {
		return fmt.Errorf("attendance of room %s: %w", c.Room, err)
	}
	sessions := fold.result(time.Now())
	if c.JSON {
		return p.json(map[string]any{"room": c.Room, "sessions": sessions, "position": fold.state.Position})
	}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHO\tNAME\tJOINED\tLEFT\tREASON\tSECONDS")
	for _, s := range sessions {
		left := "still there"
		if s.Left != nil {
			left = clockTime(*s.Left)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%.0f\n", cell(s.Identity), cell(s.Name), clockTime(s.Joined), left, s.Reason, s.Seconds)
	}
	return table.Flush()
}

// attendance folds a room's events into sessions.
type attendance struct {
	state    *room.State
	sessions map[string]*attended
	order    []*attended
}

func (a *attendance) line(b []byte) error {
	e := &room.Event{}
	if err := json.Unmarshal(b, e); err != nil {
		if errors.Is(err, room.ErrUnknownType) {
			return nil // of a newer version
		}
		return err
	}
	a.state.Apply(e)
	switch f := e.Fact.(type) {
	case room.Joined:
		if a.state.Admission(f.Session) != nil {
			return nil // it was never in the room
		}
		s := &attended{Session: f.Session, Identity: f.Identity, Name: f.Name, Joined: e.At}
		a.sessions[f.Session] = s
		a.order = append(a.order, s)
	case room.Left:
		if s := a.sessions[f.Session]; s != nil && s.Left == nil {
			left := e.At
			s.Left, s.Reason = &left, f.Reason
		}
	}
	return nil
}

func (a *attendance) result(now time.Time) []*attended {
	for _, s := range a.order {
		end := now
		if s.Left != nil {
			end = *s.Left
		}
		s.Seconds = end.Sub(s.Joined).Seconds()
	}
	if a.order == nil {
		return []*attended{}
	}
	return a.order
}
