package presence

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"airloom/internal/query"
	"airloom/internal/room"
)

// Page is the most rooms or participants in one answer: what fits well below the largest message of NATS (1 MiB).
const Page = 500

// Rooms answers subject.PresenceRooms.
func (w *watch) Rooms(req query.RoomsQuestion) query.Rooms {
	names := make([]string, 0, len(w.rooms))
	for name := range w.rooms {
		if name > req.After {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	answer := query.Rooms{Rooms: []query.RoomCount{}, More: len(names) > Page}
	for _, name := range names[:min(len(names), Page)] {
		rm := w.rooms[name]
		info := rm.state.Info()
		answer.Rooms = append(answer.Rooms, query.RoomCount{
			Room: name, Keep: info.Keep, Capacity: info.Capacity, Closed: info.Closed, Recording: info.Recording,
			Present: rm.count[present], Away: rm.count[away], Tracks: rm.state.OpenTracks(),
		})
	}
	return answer
}

// Roster answers subject.PresenceRoster: those with open tracks first, then in the order of their joining.
func (w *watch) Roster(req query.RosterQuestion, now time.Time) query.Roster {
	state := room.NewState(req.Room, w.defaults)
	if rm := w.rooms[req.Room]; rm != nil {
		state = rm.state
	}
	all := []room.Participant{}
	if !state.Closed { // who is still in it is being shown out
		all = state.Roster()
	}
	slices.SortStableFunc(all, func(a, b room.Participant) int { return cmp.Compare(len(b.Tracks), len(a.Tracks)) })
	answer := query.Roster{
		Room: state.Info(), Participants: []query.Participant{}, Away: []query.Participant{},
		Total: len(all), Tracks: state.OpenTracks(), Position: state.Position,
	}
	from := min(max(req.Offset, 0), len(all))
	for _, p := range all[from:min(from+Page, len(all))] {
		if listed := w.participant(req.Room, p, now); p.Away {
			answer.Away = append(answer.Away, listed)
		} else {
			answer.Participants = append(answer.Participants, listed)
		}
	}
	return answer
}

func (w *watch) participant(roomName string, p room.Participant, now time.Time) query.Participant {
	listed := query.Participant{Participant: p, Tracks: []query.Track{}}
	for _, t := range p.Tracks {
		listed.Tracks = append(listed.Tracks, query.Track{TrackInfo: t, Speaking: !t.Muted && w.isSpeaking(roomName, t.Track, now)})
	}
	slices.SortFunc(listed.Tracks, func(a, b query.Track) int { return strings.Compare(a.Track, b.Track) })
	return listed
}
