package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"airloom/internal/recording"
	"airloom/internal/room"
)

// Row 87: the first segment of a recording that begins within it is damaged, and the log has forgotten part of it. What lies before the beginning
// is no part of the recording still, whether the recorder that makes it again remembers or has begun anew; and both say the same.
func TestRow87DamagedSegmentWithinWhichARecordingBegins(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted %v", restarts), func(t *testing.T) {
			r, forget := newForgetfulRegion(t)
			dir := t.TempDir()
			store := newFaulty(openStore(t, dir))
			store.fail(func(op, key string) bool { return op == "create" && strings.HasSuffix(key, ".opus") })
			rec, stop := r.recorderThatMayFail(killable(), store)
			r.rewind("den")
			voice := speech(t, 1500)
			s := r.speaker("den")
			s.say(0, 0, voice[:730])
			r.recordOn("den", "r1", 0)
			s.say(0, 730, voice[730:760])
			s.say(0, 780, voice[780:])
			s.givesUp(700, 760) // though most of it is there, until it is damaged
			r.recordOff("den")
			path := filepath.Join(dir, recording.SegmentKey("r1", s.track, 0, 1))
			until(t, "rendering", func() bool {
				data, err := os.ReadFile(filepath.Join(dir, checkpointKey("eu")))
				return err == nil && strings.Contains(string(data), `"low": 730`) && rec.failing.Load()
			})
			forget(89) // frames up to 899
			breakages["truncated"](t, path)
			if restarts {
				_ = stop() // it says that it could not finish
				rec, _ = r.recorder(quick(), store)
			}
			store.fail(nil)
			track := closed(t, dir, 1)[0].Tracks[0]
			gaps := []recording.Gap{
				{SeqRange: recording.SeqRange{From: 730, To: 760}, Reason: room.PublisherDropped},
				{SeqRange: recording.SeqRange{From: 761, To: 899}, Reason: room.StorageCorrupt},
			}
			if !slices.Equal(track.Gaps, gaps) || track.SHA256 != digest(voice[900:]...) || track.Epochs[0].First != 730 {
				t.Errorf("%+v", track)
			}
			if rec.metrics.damaged.Load() != 1 || rec.metrics.divergences.Load() != 0 {
				t.Errorf("%d damaged, %d divergences", rec.metrics.damaged.Load(), rec.metrics.divergences.Load())
			}
			data, err := os.ReadFile(path)
			change(t, err)
			if s, err := recording.ParseSegment(data); err != nil || len(s.Items) != 103 || s.Items[0].Reason != room.NotRecorded || s.Items[0].Span != 200 ||
				s.Items[1].Reason != room.PublisherDropped || s.Items[1].Span != 61 || s.Items[2].Reason != room.StorageCorrupt {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}
