package edge

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
	"airloom/internal/frame"
	"airloom/internal/subject"
)

// wear is what becomes of a message.
type wear int

const (
	sound   wear = iota
	lost         // on its way
	lacking      // the replica does not have it
)

var wornSince = time.Unix(1_000_000, 0)

// busWithoutLog is a connection to a NATS without JetStream: a test answers in its place.
func busWithoutLog(t *testing.T, cluster server.ClusterOpts) *bus.Bus {
	t.Helper()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	b, err := bus.Connect(t.Context(), bus.Config{URL: ns.ClientURL()}, logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// wornLog answers direct reads of an audio log whose packs are those of one track, a position each, in the form of nats-server's. No real
// server does on demand what worn says of a message in the answer to one of the reads (from 1 on); an answer holds so many at most.
func wornLog(t *testing.T, packs [][]byte, most int, worn func(try int64, at int) wear) (tp *tape, asked *atomic.Int64) {
	t.Helper()
	b := busWithoutLog(t, server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: -1}) // replicas are asked in a cluster only
	asked = &atomic.Int64{}
	_, err := b.Conn().Subscribe("$JS.API.DIRECT.GET."+subject.LogStream(region), func(m *nats.Msg) {
		answerWorn(m, packs, most, worn, asked.Add(1))
	})
	if err != nil {
		t.Fatal(err)
	}
	return newTape(t.Context(), b, region, &metrics{}), asked
}

// standsAs answers what a stream's leader is asked on the same server as a wornLog.
func standsAs(t *testing.T, tp *tape, stand func() bus.Stand) {
	t.Helper()
	_, err := tp.bus.Conn().Subscribe("$JS.API.STREAM.INFO."+subject.LogStream(region), func(m *nats.Msg) {
		s := stand()
		state := fields{"last_seq": s.Last, "subjects": fields{"log": s.Count}, "num_deleted": 1}
		if s.Whole {
			state["num_deleted"] = 0
		}
		answer, _ := json.Marshal(fields{
			"type": "io.nats.jetstream.api.v1.stream_info_response", "total": 1, "config": fields{"name": subject.LogStream(region)}, "state": state,
			"cluster": fields{"name": "c", "leader": "n1", "replicas": []fields{{"name": "n2", "active": time.Second, "current": s.Current, "offline": !s.Current}}},
		})
		_ = m.Respond(answer)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func answerWorn(m *nats.Msg, packs [][]byte, most int, worn func(try int64, at int) wear, try int64) {
	var ask struct {
		Seq, Batch int
		StartTime  time.Time `json:"start_time"` // a position is a second
		Last       string    `json:"last_by_subj"`
	}
	_ = json.Unmarshal(m.Data, &ask)
	if ask.Last != "" {
		ask.Seq, ask.Batch = len(packs), 1
		for worn(try, ask.Seq) == lacking {
			ask.Seq--
		}
	}
	if !ask.StartTime.IsZero() {
		ask.Seq = max(1, int(ask.StartTime.Unix()-wornSince.Unix()))
	}
	var has []int
	for at := ask.Seq; at <= len(packs); at++ {
		if worn(try, at) != lacking {
			has = append(has, at)
		}
	}
	if len(has) == 0 {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}})
		return
	}
	before := 0
	for i, at := range has[:min(len(has), ask.Batch, most)] {
		if worn(try, at) == sound {
			_ = m.RespondMsg(&nats.Msg{Data: packs[at-1], Header: nats.Header{
				"Nats-Stream": {subject.LogStream(region)}, "Nats-Subject": {subject.Log(region, "hall", frame.TrackID(7))}, "Nats-Sequence": {fmt.Sprint(at)},
				"Nats-Time-Stamp":  {wornSince.Add(time.Duration(at) * time.Second).UTC().Format(time.RFC3339Nano)},
				"Nats-Num-Pending": {fmt.Sprint(len(has) - i - 1)}, "Nats-Last-Sequence": {fmt.Sprint(before)},
			}})
		}
		before = at
	}
	_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"204"}, "Description": {"EOB"}}})
}

func packsOf(t *testing.T, count int) (packs [][]byte) {
	for i := range count {
		packs = append(packs, audio(t, 7, 0, uint32(10*i), 10, 0))
	}
	return packs
}

// An answer that lost a message on its way ends before it, and the rest is read again: the tape never has a hole that the log has not.
func TestTapeOfAnAnswerThatLostAMessage(t *testing.T) {
	tape, asked := wornLog(t, packsOf(t, 50), 1000, func(try int64, at int) wear {
		if try <= 2 && at == 20 {
			return lost
		}
		return sound
	})
	r := tape.reel("hall")
	var all []*piece
	from := uint64(1)
	until(t, "all is read", func() bool {
		got, next, err := r.read(t.Context(), from)
		all = append(all, got...)
		torn := err != nil // the second answer has lost its first message: it is asked again after a moment
		done := !torn && next == from
		from = next
		return done
	})
	if len(all) != 50 {
		t.Errorf("%d packs, want 50", len(all))
	}
	for i, p := range all {
		if p.first != uint32(10*i) {
			t.Fatalf("pack %d begins with seq %d", i, p.first)
		}
	}
	if n := asked.Load(); n < 3 {
		t.Errorf("asked %d times: two answers had lost something", n)
	}
}

// A hole is looked for as far as its place, however many packs the track has in between.
func TestMendReadsUpToThePlace(t *testing.T) {
	tape, _ := wornLog(t, packsOf(t, 100), 20, func(int64, int) wear { return sound })
	found, err := tape.reel("hall").mend(hole{frame.TrackID(7), 0, 950, 959}, 1, 100)
	if err != nil || len(found) != 1 || found[0].first != 950 {
		t.Errorf("found %v, %v", found, err)
	}
}

// That no replica has a hole's packs is not believed for long: one may come back that has them.
func TestMendLooksAgain(t *testing.T) {
	var back atomic.Bool
	tape, asked := wornLog(t, packsOf(t, 10), 1000, func(_ int64, at int) wear {
		if at == 5 && !back.Load() {
			return lacking
		}
		return sound
	})
	r, h := tape.reel("hall"), hole{frame.TrackID(7), 0, 40, 49}
	look := func() int {
		t.Helper()
		found, err := r.mend(h, 1, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if look() != 0 {
		t.Fatal("found what no replica has")
	}
	back.Store(true)
	n := asked.Load()
	if look() != 0 || asked.Load() != n {
		t.Error("two who come at once both look")
	}
	tape.mu.Lock()
	known := r.mended[h]
	known.at -= int64(noneFor)
	r.mended[h] = known
	tape.mu.Unlock()
	if look() != 1 {
		t.Error("not found though a replica has it again")
	}
	n = asked.Load()
	if look() != 1 || asked.Load() != n {
		t.Error("what was found is looked for again")
	}
}
