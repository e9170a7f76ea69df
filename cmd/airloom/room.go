package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"airloom/internal/query"
	"airloom/internal/room"
)

type roomCmd struct {
	remote

	List       roomListCmd       `cmd:"" help:"All rooms."`
	Show       roomShowCmd       `cmd:"" help:"One room and who is in it, now or at a time."`
	Events     roomEventsCmd     `cmd:"" help:"What happened in a room, one JSON object per line."`
	Attendance roomAttendanceCmd `cmd:"" help:"Who was in a room, from when to when."`
	Create     roomCreateCmd     `cmd:"" help:"Make a room, change its settings, or open it again."`
	Close      roomCloseCmd      `cmd:"" help:"Close a room: everybody leaves, nobody may join."`
	Record     roomRecordCmd     `cmd:"" help:"Start or stop the recording of a room."`
	Grant      roomGrantCmd      `cmd:"" help:"Give or take rights of somebody who is in a room."`
	Kick       roomKickCmd       `cmd:"" help:"Remove somebody from a room, for a while."`
}

type roomListCmd struct {
	JSON bool `name:"json" help:"Print the answer as one object."`
}

// Run lists rooms.
func (c *roomListCmd) Run(p *program, at *roomCmd) error {
	rooms, err := c.pages(p, at)
	if err != nil {
		return fmt.Errorf("list rooms: %w", err)
	}
	if c.JSON {
		return p.json(map[string]any{"rooms": rooms})
	}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ROOM\tKEEP\tPRESENT\tAWAY\tTRACKS\tCAPACITY\tSTATE")
	for _, r := range rooms {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", r.Room, r.Keep, r.Present, r.Away, r.Tracks, capacity(r.Capacity), condition(r.Closed, r.Recording))
	}
	return table.Flush()
}

func (c *roomListCmd) pages(p *program, at *roomCmd) ([]query.RoomCount, error) {
	a, err := at.api(p)
	if err != nil {
		return nil, err
	}
	rooms := []query.RoomCount{}
	for after := ""; ; after = rooms[len(rooms)-1].Room {
		var page query.Rooms
		if err := a.call(http.MethodGet, "v1/rooms", url.Values{"after": {after}}, nil, &page); err != nil {
			return nil, err
		}
		rooms = append(rooms, page.Rooms...)
		if !page.More || len(page.Rooms) == 0 {
			return rooms, nil
		}
	}
}

type roomShowCmd struct {
	Room roomName `arg:"" help:"Room."`
	At   string   `placeholder:"TIME" help:"As it was at this time: 2026-11-20T12:03:00Z, or 13:03 and \"2026-11-20 13:03\" in local time, or -10m."`
	JSON bool     `name:"json" help:"Print the answer as one object."`

	at time.Time
}

// Help is printed below the flags.
func (roomShowCmd) Help() string {
	return "A time in the past is by the clocks of the edges, which wrote down what happened.\n\nExample:  airloom room show town-hall --at 2026-11-20T12:03:00Z"
}

// Validate is called by the parser.
func (c *roomShowCmd) Validate() error {
	if c.At == "" {
		return nil
	}
	at, err := parseAt(c.At, time.Now())
	if err != nil {
		return fmt.Errorf("--at: %w", err)
	}
	c.at = at
	return nil
}

// Run shows a room.
func (c *roomShowCmd) Run(p *program, at *roomCmd) error {
	got, err := c.pages(p, at)
	if err != nil {
		return fmt.Errorf("show room %s: %w", c.Room, err)
	}
	if c.JSON {
		return p.json(got)
	}
	if c.At != "" {
		when := c.at.Local().Format("2006-01-02 15:04:05 MST")
		if got.Position == 0 {
			_, err := fmt.Fprintf(p.out, "room %s: nothing had happened there yet at %s\n", c.Room, when)
			return err
		}
		fmt.Fprintf(p.out, "as it was at %s:\n", when)
	}
	fmt.Fprintf(p.out, "room %s: keep %s, capacity %s, %s%s (position %d)\n", got.Room.Room, got.Room.Keep,
		capacity(got.Room.Capacity), speakers(got.Room.Speak), condition(got.Room.Closed, got.Room.Recording), got.Position)
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHO\tNAME\tSINCE\tSTATE\tTRACKS")
	for _, one := range got.Participants {
		fmt.Fprintf(table, "%s\t%s\t%s\tpresent\t%s\n", cell(one.Identity), cell(one.Name), clockTime(one.Joined), trackNames(one.Tracks))
	}
	for _, one := range got.Away {
		fmt.Fprintf(table, "%s\t%s\t%s\taway\t%s\n", cell(one.Identity), cell(one.Name), clockTime(one.Joined), trackNames(one.Tracks))
	}
	return table.Flush()
}

func (c *roomShowCmd) pages(p *program, at *roomCmd) (query.Roster, error) {
	a, err := at.api(p)
	if err != nil {
		return query.Roster{}, err
	}
	all := query.Roster{Participants: []query.Participant{}, Away: []query.Participant{}}
	for offset := 0; ; {
		ask := url.Values{}
		if c.At != "" {
			ask.Set("at", c.at.UTC().Format(time.RFC3339Nano)) // comes in one page
		} else if offset > 0 {
			ask.Set("offset", strconv.Itoa(offset))
		}
		var page query.Roster
		if err := a.call(http.MethodGet, "v1/rooms/"+string(c.Room), ask, nil, &page); err != nil {
			return all, err
		}
		page.Participants = append(all.Participants, page.Participants...)
		page.Away = append(all.Away, page.Away...)
		had := offset
		all, offset = page, len(page.Participants)+len(page.Away)
		if offset >= page.Total || offset == had || c.At != "" {
			return all, nil
		}
	}
}

func capacity(n int) string {
	if n == 0 {
		return "any"
	}
	return strconv.Itoa(n)
}

// speakers tells of the setting where it is not the usual one.
func speakers(speak string) string {
	if speak == room.SpeakModerators {
		return "only moderators speak, "
	}
	return ""
}

func condition(closed bool, recording string) string {
	switch {
	case closed:
		return "closed"
	case recording != "":
		return "recording " + recording
	}
	return "open"
}

func clockTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func trackNames(tracks []query.Track) string {
	names := ""
	for i, t := range tracks {
		if i > 0 {
			names += ", "
		}
		names += cell(t.Name)
		if t.Muted {
			names += " (muted)"
		}
	}
	return names
}
