package recorder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"airloom/internal/blob"
	"airloom/internal/query"
	"airloom/internal/recording"
	"airloom/internal/subject"
)

const (
	page     = 500    // recordings in one answer
	named    = 100    // damaged ones that are named in one answer: the next ones are when these are rebuilt
	ahead    = 128    // recordings read at a time: at most so many in vain when an answer is full
	maxKnown = 50_000 // recordings and tracks of them that are remembered: some 15 MB
)

// damagedManifest is the state of a recording whose manifest cannot be read. It is not remembered: it may be made anew.
const damagedManifest = "damaged"

// list gives recordings, the newest first.
func (a *answers) list(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	var q query.RecordingsQuestion
	if err := question(msg, &q); err != nil {
		return nil, err
	}
	ids, err := a.ids(ctx)
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return q.After != "" && id >= q.After })
	out := query.Recordings{Recordings: []query.Recording{}}
	size := 0
	for some := range slices.Chunk(ids, ahead) {
		read, err := a.summaries(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, one := range read {
			if one == nil || q.Room != "" && one.Room != q.Room {
				continue
			}
			if one.State == damagedManifest { // whose it is, nobody can tell
				if len(out.Damaged) < named {
					out.Damaged = append(out.Damaged, one.Recording)
				}
				continue
			}
			size += 300 + 250*len(one.Tracks)
			if len(out.Recordings) == page || size > maxWhole && len(out.Recordings) > 0 {
				out.More = true
				return answered(out)
			}
			out.Recordings = append(out.Recordings, *one)
		}
	}
	return answered(out)
}

// ids are those of all recordings in the store, the newest first: ids begin with the time.
func (a *answers) ids(ctx context.Context) (ids []string, err error) {
	for o, err := range a.r.store.List(ctx, recording.Root) {
		if err != nil {
			return nil, err
		}
		id, isDir := strings.CutSuffix(strings.TrimPrefix(o.Key, recording.Root), "/")
		if isDir && subject.ID(id) == nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(x, y string) int { return cmp.Compare(y, x) })
	return ids, nil
}

// summaries reads some recordings side by side; nil stands for one that is begun and not told of yet.
func (a *answers) summaries(ctx context.Context, ids []string) ([]*query.Recording, error) {
	out := make([]*query.Recording, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	for i, id := range ids {
		if out[i] = a.known.get(id); out[i] != nil {
			continue
		}
		group.Go(func() (err error) {
			out[i], err = a.summary(ctx, id)
			if errors.Is(err, blob.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	return out, group.Wait()
}

func (a *answers) summary(ctx context.Context, id string) (*query.Recording, error) {
	select {
	case a.reading <- struct{}{}:
		defer func() { <-a.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	data, err := a.manifest(ctx, id)
	if err != nil {
		return nil, err
	}
	var m recording.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		a.r.logger.WarnContext(ctx, "a manifest is damaged", "recording", id, "error", err)
		return &query.Recording{Recording: id, State: damagedManifest}, nil
	}
	one := summary(&m)
	if m.State == recording.Closed {
		a.known.put(id, &one)
	}
	return &one, nil
}

func summary(m *recording.Manifest) query.Recording {
	one := query.Recording{
		Recording: m.Recording, Room: m.Room, State: string(m.State), Started: m.Started, Stopped: m.Stopped, Tracks: []query.RecordedTrack{},
	}
	for i := range m.Tracks {
		t := &m.Tracks[i]
		one.Seconds = max(one.Seconds, t.Seconds)
		one.Tracks = append(one.Tracks, query.RecordedTrack{
			Track: t.Track, Identity: t.Identity, Name: t.Name, Label: t.Label, Frames: t.Frames, Missing: t.Missing(),
			Seconds: t.Seconds, File: t.File, Bytes: t.Bytes,
		})
	}
	return one
}

// summaries remembers closed recordings, which never change. When it is full it forgets any: a list goes through all of them in one
// order, and to forget the one that was used least recently would always be to forget the one that is asked for next.
type summaries struct {
	most int

	mu   sync.Mutex
	by   map[string]*query.Recording
	size int // recordings and tracks
}

func newSummaries(most int) *summaries {
	return &summaries{most: most, by: map[string]*query.Recording{}}
}

func (s *summaries) get(id string) *query.Recording {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[id]
}

func (s *summaries) put(id string, one *query.Recording) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(id)
	for other := range s.by {
		if s.size+1+len(one.Tracks) <= s.most {
			break
		}
		s.drop(other)
	}
	s.by[id] = one
	s.size += 1 + len(one.Tracks)
}

// drop forgets one. The caller holds mu.
func (s *summaries) drop(id string) {
	if one := s.by[id]; one != nil {
		s.size -= 1 + len(one.Tracks)
		delete(s.by, id)
	}
}
