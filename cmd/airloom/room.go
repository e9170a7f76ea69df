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
	At   string   `placeholder:"TIME" help:"As it was at this time (RFC 3339, as 2026-11-20T12:03:00Z)."`
	JSON bool     `name:"json" help:"Print the answer as one object."`
}

// Help is printed below the flags.
func (roomShowCmd) Help() string {
	return "Example:  airloom room show town-hall --at 2026-11-20T12:03:00Z"
}

// Validate is called by the parser.
func (c *roomShowCmd) Validate() error {
	if _, err := time.Parse(time.RFC3339, c.At); c.At != "" && err != nil {
		return fmt.Errorf("--at %q: not a time as 2026-11-20T12:03:00Z", c.At)
	}
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
			ask.Set("at", c.At) // comes in one page
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

type roomEventsCmd struct {
	Room   roomName `arg:"" help:"Room."`
	Follow bool     `help:"Go on as new events come."`
	After  uint64   `help:"Only events behind this position."`
	JSON   bool     `name:"json" help:"As always: one JSON object per line."`
}

// Run prints events.
func (c *roomEventsCmd) Run(p *program, at *roomCmd) error {
	ask := url.Values{}
	if c.Follow {
		ask.Set("follow", "true")
	}
	if c.After > 0 {
		ask.Set("after", strconv.FormatUint(c.After, 10))
	}
	err := at.eachLine(p, "v1/rooms/"+string(c.Room)+"/events", ask, func(line []byte) error {
		_, err := fmt.Fprintf(p.out, "%s\n", line)
		return err
	})
	if p.ctx.Err() != nil {
		return nil // Ctrl-C is how --follow ends
	}
	return err
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
