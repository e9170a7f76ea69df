package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
)

var defaults = room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}

// history is a room's events, and what they come to.
type history struct {
	events []*room.Event
	state  *room.State
	clips  *clips
}

// history reads a room's events from the first on: no snapshot and no service is believed.
func (r *run) history(ctx context.Context, admin *bus.Bus, name string) (*history, error) {
	log := eventlog.New(admin, region, "check", defaults, slog.New(slog.DiscardHandler))
	h := &history{state: log.NewState(name), clips: newClips()}
	h.state.KeepOver = true
	err := log.Events(ctx, name, 0, func(e *room.Event) error {
		h.events = append(h.events, e)
		h.clips.apply(e, h.state, h.state.Apply)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the events of %s: %w", name, err)
	}
	return h, nil
}

func (r *run) histories(ctx context.Context, admin *bus.Bus) (map[string]*history, error) {
	all := map[string]*history{}
	for _, name := range rooms {
		h, err := r.history(ctx, admin, name)
		if err != nil {
			return nil, err
		}
		all[name] = h
	}
	return all, nil
}

// place is where a frame belongs.
type place struct {
	track string
	epoch uint8
	seq   uint32
}

// copyOf is what the log has for a place at a position: a frame's bytes, nil for silence.
type copyOf struct {
	position uint64
	payload  []byte
}

// audioLog is every copy of everything in the audio log, in the order of positions.
type audioLog map[place][]copyOf

// first gives the copy that counts for a clip.
func (l audioLog) first(at place, within clip) (copyOf, bool) {
	for _, one := range l[at] {
		if within.holds(one.position) {
			return one, true
		}
	}
	return copyOf{}, false
}

func readLog(ctx context.Context, admin *bus.Bus) (log audioLog, packs int, err error) {
	stream, err := admin.JetStream().Stream(ctx, subject.LogStream(region))
	if err != nil {
		return nil, 0, fmt.Errorf("open the audio log: %w", err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("ask for the audio log's end: %w", err)
	}
	log = audioLog{}
	if info.State.Msgs == 0 {
		return log, 0, nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return nil, 0, fmt.Errorf("read the audio log: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, 0, fmt.Errorf("read the audio log: %w", err)
	}
	defer messages.Stop()
	for position := uint64(0); position < info.State.LastSeq; {
		m, err := messages.Next(jetstream.NextMaxWait(20 * time.Second))
		if err != nil {
			return nil, 0, fmt.Errorf("read the audio log behind %d of %d: %w", position, info.State.LastSeq, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, 0, fmt.Errorf("read the audio log: %w", err)
		}
		for position++; position < meta.Sequence.Stream; position++ { // the replica that is read may be the damaged one
			lost, err := getAnywhere(ctx, stream, position)
			if err == nil {
				err = log.add(lost.Subject, lost.Data, position)
			}
			if err != nil {
				return nil, 0, fmt.Errorf("read what one replica of the audio log skips: %w", err)
			}
			packs++
		}
		packs++
		if err := log.add(m.Subject(), m.Data(), position); err != nil {
			return nil, 0, err
		}
	}
	return log, packs, nil
}

// getAnywhere asks for one message until the replica that answers has it.
func getAnywhere(ctx context.Context, stream jetstream.Stream, position uint64) (m *jetstream.RawStreamMsg, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = until(ctx, fmt.Sprintf("some replica gives message %d", position), func() (err error) {
		m, err = stream.GetMsg(ctx, position)
		return err
	})
	return m, err
}

func (l audioLog) add(on string, data []byte, position uint64) error {
	track := subject.Parse(on).Track
	var p frame.Packet
	for len(data) > 0 {
		rest, err := frame.Parse(data, &p)
		if err != nil {
			return fmt.Errorf("the audio log has a pack at %d that does not parse: %w", position, err)
		}
		data = rest
		if p.Kind == frame.Silence {
			for seq := uint64(p.Seq); seq <= uint64(p.Last()); seq++ {
				at := place{track, p.Epoch, uint32(seq)}
				l[at] = append(l[at], copyOf{position: position})
			}
			continue
		}
		for f := range p.Frames {
			at := place{track, p.Epoch, f.Seq}
			l[at] = append(l[at], copyOf{position, append([]byte{}, f.Payload...)})
		}
	}
	return nil
}

// archive is what a recorder has stored.
type archive struct {
	recorder  string
	dir       string
	manifests map[string]*recording.Manifest // by recording
	segments  map[string]map[place]recording.Item
}

// readArchive reads every closed recording below a recorder's folder. Whatever does not read is told to p.
func readArchive(recorder, dir string, p *promise) *archive {
	a := &archive{recorder: recorder, dir: dir, manifests: map[string]*recording.Manifest{}, segments: map[string]map[place]recording.Item{}}
	folders, _ := filepath.Glob(filepath.Join(dir, recording.Root, "*"))
	for _, folder := range folders {
		id := filepath.Base(folder)
		data, err := os.ReadFile(filepath.Join(folder, recording.ManifestFile))
		m := new(recording.Manifest)
		if err == nil {
			err = json.Unmarshal(data, m)
		}
		if err != nil {
			p.breaks("%s has no readable manifest of %s: %v", recorder, id, err)
			continue
		}
		a.manifests[id] = m
		for i := range m.Tracks {
			a.readTrack(id, m.Tracks[i].Track, p)
		}
	}
	return a
}

// readTrack reads a track's segments into one map of all its seqs.
func (a *archive) readTrack(id, track string, p *promise) {
	all := map[place]recording.Item{}
	a.segments[id+" "+track] = all
	files, _ := filepath.Glob(filepath.Join(a.dir, recording.Root, id, "segments", track, "*.seg"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			p.breaks("%s: %v", a.recorder, err)
			continue
		}
		s, err := recording.ParseSegment(data)
		if err != nil {
			p.breaks("%s: %s: %v", a.recorder, strings.TrimPrefix(file, a.dir), err)
			continue
		}
		for _, it := range s.Items {
			for i := range it.Span {
				one := it
				one.Seq, one.Span = it.Seq+uint32(i), 1
				all[place{track, s.Epoch, one.Seq}] = one
			}
		}
	}
}

// holding gives what the archive has of a track, by recording.
func (a *archive) holding(track string) map[string]map[place]recording.Item {
	parts := map[string]map[place]recording.Item{}
	for id, m := range a.manifests {
		for i := range m.Tracks {
			if m.Tracks[i].Track == track {
				parts[id] = a.segments[id+" "+track]
			}
		}
	}
	return parts
}
