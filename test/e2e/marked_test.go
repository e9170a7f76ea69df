package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"airloom/internal/participant"
)

// mouth speaks frames that can be found again wherever they are written: each says whose it is and which.
type mouth struct {
	t      *testing.T
	mark   string // what all its frames hold, and nothing else in the world
	joined *participant.Participant
	track  *participant.Speaker
}

// newMouth joins and starts a track; without a token it gets a dev token, which has all rights.
func newMouth(t *testing.T, url, room string, token ...string) *mouth {
	t.Helper()
	m := &mouth{t: t, mark: "mouth-" + strings.ToLower(rand.Text())}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var err error
	cfg := participant.Config{URL: url, Room: room, Name: "mouth", Token: strings.Join(token, "")}
	if m.joined, err = participant.Join(ctx, cfg); err != nil {
		t.Fatalf("join %s at %s: %v", room, url, err)
	}
	t.Cleanup(m.joined.Close)
	if m.track, err = m.joined.StartTrack(ctx, participant.TrackConfig{Name: "main", Channels: 1, FrameMS: 20}); err != nil {
		t.Fatal(err)
	}
	return m
}

// frame is the n-th one: valid Opus (RFC 6716 §3.1: SILK wideband, 20 ms, one frame).
func (m *mouth) frame(n int) []byte {
	return append([]byte{9 << 3}, fmt.Sprintf("%s-%06d;", m.mark, n)...)
}

// say sends the frames from..to, four times as fast as they last, which an edge takes as a burst.
func (m *mouth) say(from, to int) {
	m.t.Helper()
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for n := from; n <= to; n++ {
		if err := m.track.Send(m.t.Context(), m.frame(n), true); err != nil {
			m.t.Fatalf("frame %d: %v", n, err)
		}
		<-pace.C
	}
}

// acked waits until all up to seq is durable.
func (m *mouth) acked(seq int) {
	m.t.Helper()
	eventually(m.t, 20*time.Second, fmt.Sprintf("ack %d", seq), func() bool { return m.track.Stats().Acked >= int64(seq) })
}

// leave ends the track and the session.
func (m *mouth) leave() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	if err := m.track.End(ctx); err != nil {
		m.t.Errorf("end the track: %v", err)
	}
	if err := m.joined.Leave(ctx); err != nil {
		m.t.Errorf("leave: %v", err)
	}
}

// found gives the frames of the mouth that some bytes hold, in order.
func (m *mouth) found(body []byte) (frames []int) {
	for rest := body; ; {
		_, after, ok := bytes.Cut(rest, []byte(m.mark+"-"))
		if !ok {
			slices.Sort(frames)
			return slices.Compact(frames)
		}
		n := -1 // the mark without a number is a find, too
		_, _ = fmt.Sscanf(string(after[:min(len(after), 7)]), "%06d;", &n)
		frames, rest = append(frames, n), after
	}
}

// onDisk gives the frames of the mouth that are in any file below the folders, and the files that hold some.
func (m *mouth) onDisk(dirs ...string) (frames []int, where []string) {
	m.t.Helper()
	for _, dir := range dirs {
		for _, path := range files(m.t, dir) {
			body, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				continue // it was one that is written and renamed
			}
			if err != nil {
				m.t.Fatal(err)
			}
			if got := m.found(body); len(got) > 0 {
				frames, where = append(frames, got...), append(where, path)
			}
		}
	}
	slices.Sort(frames)
	return slices.Compact(frames), where
}

// numbers are from..to.
func numbers(from, to int) (all []int) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

// hearer takes what a room sounds like, whole.
type hearer struct {
	mu   sync.Mutex
	body []byte
}

func newHearer(t *testing.T, url, room string) *hearer {
	t.Helper()
	h := &hearer{}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	joined, err := participant.Join(ctx, participant.Config{
		URL: url, Room: room, Name: "ear", Listen: true,
		Hear: func(_ *participant.Incoming, f participant.Heard) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.body = append(h.body, f.Payload...)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(joined.Close)
	return h
}

// frames are those of a mouth that were heard.
func (h *hearer) frames(m *mouth) []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return m.found(h.body)
}
