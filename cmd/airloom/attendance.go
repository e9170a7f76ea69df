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
	return "Counted from the room's events: one row per stay, also for those who are still there.\n\nExample:  airloom room attendance town-hall"
}

// stay is one session's time in the room.
type stay struct {
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
	fold := attendance{state: room.NewState(string(c.Room), room.Settings{}), stays: map[string]*stay{}}
	err := at.eachLine(p, "v1/rooms/"+string(c.Room)+"/events", nil, fold.line)
	if err != nil {
		return fmt.Errorf("attendance of room %s: %w", c.Room, err)
	}
	stays := fold.result(time.Now())
	if c.JSON {
		return p.json(map[string]any{"room": c.Room, "stays": stays, "position": fold.state.Position})
	}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHO\tNAME\tJOINED\tLEFT\tREASON\tSECONDS")
	for _, s := range stays {
		left := "still there"
		if s.Left != nil {
			left = clockTime(*s.Left)
		}
		fmt.Fprintf(table, "%q\t%q\t%s\t%s\t%s\t%.0f\n", s.Identity, s.Name, clockTime(s.Joined), left, s.Reason, s.Seconds)
	}
	return table.Flush()
}

// attendance folds a room's events into stays.
type attendance struct {
	state *room.State
	stays map[string]*stay
	order []*stay
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
		s := &stay{Session: f.Session, Identity: f.Identity, Name: f.Name, Joined: e.At}
		a.stays[f.Session] = s
		a.order = append(a.order, s)
	case room.Left:
		if s := a.stays[f.Session]; s != nil && s.Left == nil {
			left := e.At
			s.Left, s.Reason = &left, f.Reason
		}
	}
	return nil
}

func (a *attendance) result(now time.Time) []*stay {
	for _, s := range a.order {
		end := now
		if s.Left != nil {
			end = *s.Left
		}
		s.Seconds = end.Sub(s.Joined).Seconds()
	}
	if a.order == nil {
		return []*stay{}
	}
	return a.order
}
