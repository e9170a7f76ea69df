package recorder

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/recording"
)

func TestSeldom(t *testing.T) {
	var s seldom
	now := time.Unix(1000, 0)
	var said []string
	for i := range 2501 { // a thousand in a second
		if all, speak := s.tell(now.Add(time.Duration(i)*time.Millisecond), 1); speak {
			said = append(said, fmt.Sprint(all))
		}
	}
	if got := strings.Join(said, " "); got != "1 1000 1000" {
		t.Errorf("told of %s", got)
	}
	if all, _ := s.tell(now.Add(time.Hour), 1); all != 501 {
		t.Errorf("told of %d, which leaves out some", all)
	}
}

// forged is one frame with seq 0, each time another one.
func forged(t *testing.T, n uint64) []byte {
	t.Helper()
	data, err := frame.AppendAudio(nil, frame.Header{Handle: 7}, append([]byte{9 << 3}, fmt.Sprint("frame ", n)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Row 63, by somebody who writes into the log himself: a thousand frames with other bytes are a few lines, and each of them counts.
func TestRow63ForgedFramesFillNoLog(t *testing.T) {
	var lines bytes.Buffer
	m, err := newMetrics()
	if err != nil {
		t.Fatal(err)
	}
	f := &fold{r: &Recorder{metrics: m, logger: slog.New(slog.NewTextHandler(&lines, nil))}, touched: map[*follow]bool{}}
	fo := newFollow("hall", recording.Track{Track: frame.TrackID(7), FrameMS: 20}, 7)
	for pos := range uint64(1000) {
		f.packets(&message{pos: pos + 1, data: forged(t, pos)}, []*follow{fo})
	}
	if n := strings.Count(lines.String(), "equivocation"); n < 1 || n > 10 {
		t.Errorf("%d lines of equivocation", n)
	}
	if n := m.equivocations.Load(); n != 999 {
		t.Errorf("%d are counted", n)
	}
}
