// Package subject builds and parses every NATS subject, stream and queue name of airloom, here and nowhere else.
//
// A token that comes from outside (room, region, track, session, edge) is checked against a fixed alphabet before it
// enters a subject, so no name can reach another room, a wildcard or a NATS API. The package does no I/O.
package subject

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Shards is the fixed number of virtual shards; streams may capture ranges of them.
const Shards = 64

// MaxRoom is the longest room name in bytes.
const MaxRoom = 64

// ErrName is wrapped by every refusal of a name.
var ErrName = errors.New("not a valid name")

// Room checks a room name: 1–64 of a–z, 0–9, "-" and "_", beginning with a letter or digit.
func Room(name string) error {
	if err := token(name, MaxRoom); err != nil {
		return fmt.Errorf("room name %.80q: %w (use 1–%d of a–z, 0–9, - and _, beginning with a letter or digit)", name, err, MaxRoom)
	}
	return nil
}

// Region checks a region name by the same rules, at most 32 bytes.
func Region(name string) error {
	if err := token(name, 32); err != nil {
		return fmt.Errorf("region %.40q: %w (use 1–32 of a–z, 0–9, - and _, beginning with a letter or digit)", name, err)
	}
	return nil
}

// ID checks an id made by airloom itself (session, track, edge, recording) that came back from outside.
func ID(id string) error {
	if err := token(id, 64); err != nil {
		return fmt.Errorf("id %.80q: %w", id, err)
	}
	return nil
}

func token(s string, limit int) error {
	if len(s) == 0 || len(s) > limit || s[0] == '-' || s[0] == '_' {
		return ErrName
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return ErrName
		}
	}
	return nil
}

// Shard is the virtual shard of a room: FNV-1a, 32 bits, modulo Shards.
func Shard(room string) int {
	h := fnv.New32a()
	h.Write([]byte(room))
	return int(h.Sum32() % Shards)
}

func path(head, region, room string, rest ...string) string {
	parts := append([]string{head, region, strconv.Itoa(Shard(room)), room}, rest...)
	return strings.Join(parts, ".")
}

// Live is where a track's frames travel at once; no stream captures it.
func Live(region, room, track string) string { return path("live", region, room, track) }

// Log is where a track's packs are appended to the audio log.
func Log(region, room, track string) string { return path("log", region, room, track) }

// LogRoom matches the packs of one room, from every region, as filter of a read.
func LogRoom(room string) string { return path("log", "*", room, ">") }

// LogTrack matches the packs of one track, from every region.
func LogTrack(room, track string) string { return path("log", "*", room, track) }

// Event is where events of one entity of a room are appended.
func Event(region, room, kind, id string) string { return path("ev", region, room, kind, id) }

// RoomEvents matches all events of one room, as filter of a consumer.
func RoomEvents(region, room string) string { return path("ev", region, room, ">") }

// Snapshot is where presence keeps the newest snapshot of a room's fold; what does not fit into one message is on
// SnapshotPart 1, 2, ....
func Snapshot(region, room string) string { return path("snap", region, room) }

// SnapshotPart is where a further part of a large snapshot is kept.
func SnapshotPart(region, room string, n int) string {
	return path("snap", region, room, strconv.Itoa(n))
}

// SnapshotParts matches all further parts of one room's snapshot.
func SnapshotParts(region, room string) string { return path("snap", region, room, "*") }

// SnapshotMark is where presence says up to where the snapshots of a region hold everything. No shard is called so.
func SnapshotMark(region string) string { return "snap." + region + ".mark" }

// Speaking is where the speaker's edge says that somebody began or ceased to speak.
func Speaking(region, room, track string) string { return path("live", region, room, "sp", track) }

// AllSpeaking matches Speaking of every room.
func AllSpeaking() string { return "live.*.*.*.sp.*" }

// LiveRoom matches all an edge must hear of a room, from every region: frames, committed events, speaking.
func LiveRoom(room string) string { return path("live", "*", room, ">") }

// LiveRoomEvents matches the committed events of one room, from every region, as republished.
func LiveRoomEvents(room string) string { return path("live", "*", room, "ev", ">") }

// LiveEvents matches the committed events of every room, as republished by the event stream.
func LiveEvents() string { return "live.*.*.*.ev.*.*" }

// Heartbeat is where an edge incarnation says once a second that it lives.
func Heartbeat(region, edge string) string { return "hb." + region + "." + edge }

// AllHeartbeats matches Heartbeat of every edge of a region.
func AllHeartbeats(region string) string { return "hb." + region + ".*" }

// Service request subjects (core request/reply, answered by a queue group of that service).
const (
	PresenceRooms  = "svc.presence.rooms"  // all rooms with counts
	PresenceRoster = "svc.presence.roster" // one room's roster
	RecorderList   = "svc.recorder.list"   // all recordings
	RecorderGet    = "svc.recorder.get"    // one recording's manifest
	RecorderRead   = "svc.recorder.read"   // a range of one of its files
	RecorderFiles  = "svc.recorder.files"  // the names of its files
)

// RecorderRebuild starts the making anew of a recording; RecorderRebuildAt asks the recorder that is at it how far it is.
const RecorderRebuild = "svc.recorder.rebuild"

// RecorderRebuildAt is where one recorder answers for its own rebuilds; the id has been checked with ID.
func RecorderRebuildAt(recorder string) string { return RecorderRebuild + "-" + recorder }

// AllRecordingEvents matches the events that start and stop recordings, of every room.
func AllRecordingEvents(region string) string { return "ev." + region + ".*.*.recording.*" }

// EventStream names the stream of a region's events.
func EventStream(region string) string { return "EV_" + region }

// LogStream names the stream of a region's audio log.
func LogStream(region string) string { return "LOG_" + region }

// SnapshotStream names the stream of a region's snapshots.
func SnapshotStream(region string) string { return "SNAP_" + region }

// SnapshotCapture is what the stream of snapshots captures.
func SnapshotCapture(region string) string { return "snap." + region + ".>" }

// EventCapture and LogCapture are what the two streams capture; Republish is where committed events are sent.
func EventCapture(region string) string { return "ev." + region + ".>" }

// LogCapture is what the audio log captures.
func LogCapture(region string) string { return "log." + region + ".>" }

// Republish gives source and destination of the event stream's republishing.
func Republish(region string) (source, destination string) {
	return "ev." + region + ".*.*.*.*", "live." + region + ".{{wildcard(1)}}.{{wildcard(2)}}.ev.{{wildcard(3)}}.{{wildcard(4)}}"
}

// Kind says what a message heard on a live subject is.
type Kind uint8

// What a live subject can carry.
const (
	Unknown  Kind = iota
	Frames        // packets of Parsed.Track
	Fact          // a committed event
	Speaks        // a change of speaking of Parsed.Track
	LogPacks      // packets in the audio log
	Snap          // a room's snapshot; Parsed.ID is "" or the number of a further part
)

// Parsed is a subject taken apart; its strings alias the subject.
type Parsed struct {
	Kind   Kind
	Region string
	Room   string
	Track  string // Frames, Speaks, LogPacks
	Entity string // Fact: the event's kind token, as "session"
	ID     string // Fact: the event's id token; Snap: the part
}

// Parse takes a subject apart; Kind is Unknown where it is none of ours. It does not allocate.
func Parse(s string) Parsed {
	head, rest, _ := strings.Cut(s, ".")
	var p Parsed
	var ok bool
	if p.Region, rest, ok = strings.Cut(rest, "."); !ok {
		return Parsed{}
	}
	if _, rest, ok = strings.Cut(rest, "."); !ok { // the shard follows from the room
		return Parsed{}
	}
	if p.Room, rest, ok = strings.Cut(rest, "."); !ok && head != "snap" {
		return Parsed{}
	}
	switch head {
	case "snap":
		p.Kind, p.ID = Snap, rest
		return p
	case "live":
		return parseLive(p, rest)
	case "log":
		p.Kind, p.Track = LogPacks, rest
		return p
	case "ev":
		return parseFact(p, rest)
	}
	return Parsed{}
}

func parseLive(p Parsed, rest string) Parsed {
	first, more, deeper := strings.Cut(rest, ".")
	switch {
	case !deeper:
		p.Kind, p.Track = Frames, first
		return p
	case first == "sp":
		p.Kind, p.Track = Speaks, more
		return p
	case first == "ev":
		return parseFact(p, more)
	}
	return Parsed{}
}

func parseFact(p Parsed, rest string) Parsed {
	kind, id, ok := strings.Cut(rest, ".")
	if !ok {
		return Parsed{}
	}
	p.Kind, p.Entity, p.ID = Fact, kind, id
	return p
}
