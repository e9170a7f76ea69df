package participant

import (
	"airloom/internal/frame"
	"airloom/internal/room"
)

// Incoming is one track as it is heard.
type Incoming struct {
	Handle   uint32
	Info     room.TrackInfo // zero until the roster names the track
	Identity string         // of the speaker
	Name     string
	Known    bool // the roster has named it
	Ended    bool
	Whole    bool // it began after this listener had joined, so its first seq is 0

	Frames, Duplicates, Bytes uint64
	Silent                    uint64 // seqs declared silent
	Past                      uint64 // of Frames, those that were heard from the past
	Late                      uint64 // frames whose place had been passed already
	Latency                   Histogram

	digest *frame.Digest
	early  []moment
	over   bool   // it has ended, and more of it is to be heard from the past
	past   uint64 // missing seqs that epoch no longer tells: of finished epochs and forgotten holes
	epoch  numbering
}

type moment struct {
	timestamp uint32
	unixMicro int64
}

// numbering is the epoch that is being heard.
type numbering struct {
	begun   bool
	number  uint8
	samples int
	first   uint32
	next    int64 // seq to be delivered next
	have    frame.Ranges
	held    []held // frames after a hole, by seq
}

type held struct {
	seq, timestamp uint32
	samples        int
	span           int
	payload        []byte
}

// measure counts the delay from the capture of a frame's first sample to its arrival, as soon as the clock is known.
func (t *Incoming) measure(m moment) {
	clock := t.Info.Clock
	if clock == nil {
		if !t.Known && len(t.early) < maxEarly {
			t.early = append(t.early, m)
		}
		return
	}
	captured := clock.UnixMicro + int64(frame.Elapsed(clock.Timestamp, m.timestamp))*1_000_000/frame.SampleRate
	t.Latency.Add(m.unixMicro - captured)
}

// Missing counts the seqs that were neither heard nor declared silent, from the first heard (or 0, see Whole) up to
// the last heard.
func (t *Incoming) Missing() uint64 {
	if !t.epoch.begun || t.epoch.have.Count() == 0 {
		return t.past
	}
	last := t.epoch.have.Last()
	return t.past + uint64(last-int64(t.epoch.first)+1) - t.epoch.have.Count()
}

func (t *Incoming) closeOldestHole() {
	e := &t.epoch
	for gap := range e.have.Gaps(e.first, uint32(e.have.Last())) {
		t.past += gap.Len()
		e.have.Add(gap.From, gap.To)
		return
	}
}

// Digest is the frame.Digest of all frames delivered so far.
func (t *Incoming) Digest() string { return t.digest.Sum() }

// Seconds is the length of the frames and silence heard.
func (t *Incoming) Seconds() float64 {
	return float64(t.Frames+t.Silent) * float64(t.epoch.samples) / frame.SampleRate
}
