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

// wornLog answers direct reads of an audio log whose packs are those of one track, a position each, in the form of nats-server's. No real
// server loses a message on demand, nor has few enough: drops says which message of which answer (from 1 on) is lost on its way, most
// how many an answer holds.
func wornLog(t *testing.T, packs [][]byte, most int, drops func(try int64, at int) bool) (tp *tape, asked *atomic.Int64) {
	t.Helper()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
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
	asked = &atomic.Int64{}
	_, err = b.Conn().Subscribe("$JS.API.DIRECT.GET."+subject.LogStream(region), func(m *nats.Msg) {
		var ask struct{ Seq, Batch int }
		_ = json.Unmarshal(m.Data, &ask)
		try, before := asked.Add(1), 0
		for at := ask.Seq; at <= len(packs) && at < ask.Seq+min(ask.Batch, most); at++ {
			if !drops(try, at) {
				_ = m.RespondMsg(&nats.Msg{Data: packs[at-1], Header: nats.Header{
					"Nats-Stream": {subject.LogStream(region)}, "Nats-Subject": {subject.Log(region, "hall", frame.TrackID(7))}, "Nats-Sequence": {fmt.Sprint(at)},
					"Nats-Time-Stamp":  {time.Now().UTC().Format(time.RFC3339Nano)},
					"Nats-Num-Pending": {fmt.Sprint(len(packs) - at)}, "Nats-Last-Sequence": {fmt.Sprint(before)},
				}})
			}
			before = at
		}
		if ask.Seq > len(packs) {
			_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}})
			return
		}
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"204"}, "Description": {"EOB"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return newTape(t.Context(), b, region, &metrics{}), asked
}

func packsOf(t *testing.T, count int) (packs [][]byte) {
	for i := range count {
		packs = append(packs, audio(t, 7, 0, uint32(10*i), 10, 0))
	}
	return packs
}

// An answer that lost a message on its way ends before it, and the rest is read again: the tape never has a hole that the log has not.
func TestTapeOfAnAnswerThatLostAMessage(t *testing.T) {
	tape, asked := wornLog(t, packsOf(t, 50), 1000, func(try int64, at int) bool { return try == 1 && at == 20 || try == 2 && at == 20 })
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
