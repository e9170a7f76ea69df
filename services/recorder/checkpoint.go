package recorder

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"airloom/internal/frame"
)

const checkpointVersion = 1

// checkpoint says how far a region is recorded: everything up to these positions is in the store, but for what the
// open segments hold, which is read again from the log. It says nothing about the recorder that wrote it: whoever reads
// it finds all it speaks of in the store. So all recorders of a region share one, and the one that writes last at worst
// sets it back to another true one.
type checkpoint struct {
	Version    int              `json:"version"`
	Region     string           `json:"region"`
	Events     streamPoint      `json:"events"`
	Log        streamPoint      `json:"log"`
	Recordings []recordingPoint `json:"recordings"` // not finished
	Tracks     []trackPoint     `json:"tracks"`     // followed
	SHA256     string           `json:"sha256"`     // of the object's bytes with 64 zeros in this place; "": from before there was one
}

type (
	// streamPoint is a position in a stream. A stream that was made anew counts from 1 again.
	streamPoint struct {
		Created  time.Time `json:"created"`
		Position uint64    `json:"position"`
	}
	recordingPoint struct {
		Room      string `json:"room"`
		Recording string `json:"recording"`
	}
	trackPoint struct {
		Room       string       `json:"room"`
		Track      string       `json:"track"`
		Recordings []string     `json:"recordings"`
		Frames     int64        `json:"frames"`
		After      uint64       `json:"after"` // log position behind which its open segments lie
		Epochs     []epochPoint `json:"epochs"`
	}
	epochPoint struct {
		Epoch  uint8         `json:"epoch"`
		Unit   uint8         `json:"unit"`
		High   int64         `json:"high"`
		Low    int64         `json:"low"`    // of what is there in closed segments; old checkpoints have clipped no track
		Closed []frame.Range `json:"closed"` // segments

		Sums    []byte        `json:"sums,omitempty"`    // of those in order, 8 bytes each, the beginning of their SHA-256; zero: not known
		Corrupt []frame.Range `json:"corrupt,omitempty"` // segments that were closed, and damaged in the store
	}
)

func checkpointKey(region string) string { return "checkpoint/" + region + ".json" }

// store writes what is due: manifests of open recordings, and the checkpoint.
func (f *fold) store(ctx context.Context) error {
	if time.Since(f.liveAt) >= f.r.cfg.Live {
		f.publishOpen(ctx)
	}
	if time.Since(f.storedAt) >= f.r.cfg.Checkpoint {
		return f.checkpoint(ctx)
	}
	return nil
}

// checkpoint stores how far the fold is, once all that it has closed is stored.
func (f *fold) checkpoint(ctx context.Context) error {
	f.storedAt = time.Now()
	if !f.writes.wait() {
		return errors.New("a segment was not stored")
	}
	data, err := f.point().encode()
	if err != nil || bytes.Equal(data, f.stored) {
		return err
	}
	if err := f.keeper.put(ctx, checkpointKey(f.r.cfg.Region), data); err != nil {
		return err
	}
	f.stored = data
	return nil
}

func (f *fold) point() checkpoint {
	c := checkpoint{
		Version: checkpointVersion, Region: f.r.cfg.Region,
		Events: streamPoint{f.eventsAt.created, f.folded}, Log: streamPoint{f.logAt.created, f.read},
	}
	for _, rm := range f.rooms {
		for _, rec := range rm.recordings {
			if !rec.finished {
				c.Recordings = append(c.Recordings, recordingPoint{rm.name, rec.id})
			}
		}
	}
	for fo := range f.followed() {
		c.Tracks = append(c.Tracks, fo.point(fo.key(), f.read))
	}
	slices.SortFunc(c.Recordings, func(a, b recordingPoint) int { return cmp.Compare(a.Recording, b.Recording) })
	slices.SortFunc(c.Tracks, func(a, b trackPoint) int {
		return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Track, b.Track), slices.Compare(a.Recordings, b.Recordings))
	})
	return c
}

func (fo *follow) point(key trackKey, read uint64) trackPoint {
	p := trackPoint{Room: key.room, Track: key.track, Recordings: []string{fo.recording}, Frames: fo.frames, After: read}
	if fo.anewFrom > 0 {
		p.After = min(p.After, fo.anewFrom-1)
	}
	for id, e := range fo.epochs {
		if oldest := e.oldest(); oldest > 0 {
			p.After = min(p.After, oldest-1)
		}
		p.Epochs = append(p.Epochs, epochPoint{Epoch: id, Unit: e.unit, High: e.doneHigh, Low: e.doneLow, Closed: slices.Collect(e.done.All()), Corrupt: slices.Collect(e.corrupt.All()), Sums: fo.sums(id, e)})
	}
	slices.SortFunc(p.Epochs, func(a, b epochPoint) int { return cmp.Compare(a.Epoch, b.Epoch) })
	return p
}

// sums gives what is known of the bytes of an epoch's closed segments. All of them have been written.
func (fo *follow) sums(id uint8, e *epoch) (out []byte) {
	for r := range e.done.All() {
		for n := uint64(r.From); n <= uint64(r.To); n++ {
			sum := e.sums[uint32(n)]
			if _, foreign := fo.foreign.Load(segmentID{id, uint32(n)}); foreign {
				sum = fingerprint{}
			}
			out = append(out, sum[:]...)
		}
	}
	return out
}

func (e *epoch) takeSums(sums []byte) {
	for r := range e.done.All() {
		for n := uint64(r.From); n <= uint64(r.To) && len(sums) >= len(fingerprint{}); n++ {
			e.sums[uint32(n)], sums = fingerprint(sums[:len(fingerprint{})]), sums[len(fingerprint{}):]
		}
	}
}

// resume takes up what a checkpoint says of the track; the packs behind p.After are to be added again.
func (fo *follow) resume(p trackPoint) {
	fo.frames = p.Frames
	for _, e := range p.Epochs {
		back := newEpoch(e.Unit)
		back.doneHigh, back.doneLow = e.High, e.Low
		for _, r := range e.Closed {
			back.done.Add(r.From, r.To)
		}
		back.takeSums(e.Sums)
		for _, r := range e.Corrupt {
			back.corrupt.Add(r.From, r.To)
		}
		fo.epochs[e.Epoch] = back
	}
}

// resume brings the fold to where the checkpoint says, or to the beginning of the log.
func (f *fold) resume(ctx, work context.Context) (err error) {
	if f.eventsAt, err = f.stand(ctx, f.events); err != nil {
		return err
	}
	if f.logAt, err = f.stand(ctx, f.packs); err != nil {
		return err
	}
	c, err := f.lastCheckpoint(ctx)
	if err != nil {
		return err
	}
	if c == nil {
		f.read = max(f.logAt.first, 1) - 1
		return nil
	}
	f.folded, f.read = c.Events.Position, c.Log.Position
	if f.logAt.first > f.read+1 {
		f.r.metrics.skipped.Add(int64(f.logAt.first - f.read - 1))
		f.r.logger.Error("ALARM: the audio log has forgotten what was not recorded yet", "from", f.read+1, "to", f.logAt.first-1)
		f.read = f.logAt.first - 1
	}
	if err := f.resumeRecordings(ctx, c); err != nil {
		return err
	}
	return f.resumeTracks(ctx, work, c)
}

func (f *fold) resumeRecordings(ctx context.Context, c *checkpoint) error {
	for _, p := range c.Recordings {
		rm, err := f.room(ctx, p.Room, f.folded+1)
		if err != nil {
			return err
		}
		rec := rm.recording(p.Recording)
		if rec == nil {
			return fmt.Errorf("resume recording %s: its events are not in the log", p.Recording)
		}
		rec.finished = false
	}
	return nil
}

func (f *fold) resumeTracks(ctx, work context.Context, c *checkpoint) error {
	for _, p := range c.Tracks {
		rm := f.rooms[p.Room]
		if rm == nil || rm.tracks[p.Track] == nil {
			return fmt.Errorf("resume track %s: its events are not in the log", p.Track)
		}
		for _, id := range p.Recordings { // builds that clipped nothing wrote one point for all that hold the track
			rec := rm.recording(id)
			if rec == nil {
				return fmt.Errorf("resume track %s: recording %s is not in the log", p.Track, id)
			}
			fo := f.follow(rm, rec, p.Track)
			fo.resume(p)
			if err := f.readAgain(ctx, work, fo, max(p.After, fo.from), f.read); err != nil {
				return err
			}
		}
	}
	for _, rm := range f.rooms {
		if err := f.sync(work, rm); err != nil { // tracks that were stored whole, and those that are still to be followed
			return err
		}
		if err := f.propose(work, rm, ""); err != nil { // what follows from events that no other one may come behind
			return err
		}
	}
	return nil
}
