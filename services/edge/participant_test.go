package edge

import (
	"bytes"
	"context"
	"testing"
	"time"

	"airloom/internal/participant"
)

// A real participant speaks while its sockets are cut again and again: all that it sent is acked and in the log, once and
// unaltered, and who listens through it all hears nothing twice.
func TestParticipantWhoseSocketsAreCut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, e := h.edge(nil), h.edge(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	listener, err := participant.Join(ctx, participant.Config{URL: "http://" + e.addr, Room: "hall", Listen: true, Token: h.token("listener", nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p, err := participant.Join(ctx, participant.Config{URL: "http://" + d.addr, Room: "hall", Token: h.token("speaker", nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	speaker, err := p.StartTrack(ctx, participant.TrackConfig{Name: "mic", Channels: 1, FrameMS: 20})
	if err != nil {
		t.Fatal(err)
	}
	const frames = 200
	for seq := range uint32(frames) {
		if err := speaker.Send(ctx, opus(seq, 60), false); err != nil {
			t.Fatal(err)
		}
		if seq%60 == 30 {
			until(t, "frames of this socket have come", func() bool { return d.metrics.framesIn.Load() > int64(seq)/2 })
			for _, s := range d.socketsNow() {
				s.conn.cut()
			}
		}
	}
	if err := speaker.End(ctx); err != nil {
		t.Fatal(err)
	}
	logged := d.packs(t, "hall", speaker.Track())
	for seq := range uint32(frames) {
		if !bytes.Equal(logged[seq], opus(seq, 60)) {
			t.Fatalf("seq %d in the log: % x", seq, logged[seq])
		}
	}
	if got := d.state("hall").Tracks[speaker.Track()]; !got.EndKnown || got.Last != frames-1 || len(got.Gaps) != 0 {
		t.Errorf("track %+v", got)
	}
	listener.Received(func(r *participant.Receiver) {
		for _, in := range r.Tracks() {
			if in.Duplicates != 0 {
				t.Errorf("%d frames are heard twice", in.Duplicates)
			}
		}
	})
}
