package edge

import (
	"fmt"
	"io"
	"sync"
	"testing"

	"airloom/internal/subject"
)

// BenchmarkFanout is one packet for n listeners over real TCP sockets on loopback, by the workers' own pass: ns and
// allocations are for each delivery, the far ends' reading (in the same process) included.
func BenchmarkFanout(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("listeners=%d", n), func(b *testing.B) {
			w := newBench(b)
			var reading sync.WaitGroup
			b.Cleanup(reading.Wait) // runs after those below have closed the far ends
			for range n {
				c, far := w.pair("listener", false)
				w.tune(c)
				reading.Go(func() {
					buf := make([]byte, 64<<10)
					for {
						if _, err := far.Read(buf); err != nil {
							return
						}
					}
				})
				b.Cleanup(func() { far.Close() })
			}
			index := uint64(0)
			round := func() {
				w.put(index, "speaker", 120)
				index++
				for _, worker := range w.writers.workers { // what worker.run does when woken
					worker.mu.Lock()
					shares := worker.shares
					worker.shares = nil
					worker.mu.Unlock()
					worker.pass(nil, shares)
				}
			}
			round()
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += n {
				round()
			}
			b.StopTimer()
			if got := w.metrics.delivered.Load() + w.metrics.skipped.Load(); got < int64(b.N) {
				b.Fatalf("%d of %d deliveries", got, b.N)
			}
		})
	}
}

// BenchmarkSpeakerFrame is one 20 ms frame from the bytes of its WebSocket message to the live subject and the pack, with the
// log's acks. The allocations are those of the embedded NATS server, of its client, and of the room hearing its own frame
// (BenchmarkHubPacket): the speaker's path itself has one for each pack.
func BenchmarkSpeakerFrame(b *testing.B) {
	for _, keep := range []bool{true, false} {
		b.Run(fmt.Sprintf("kept=%v", keep), func(b *testing.B) {
			d := newHouse(b).edge(nil)
			p, w := d.join("hall", "speaker", fields{"listen": false})
			track := p.track()
			d.refill(p)
			session := d.session("hall", w.Session)
			session.setKept(keep)
			s := &socket{edge: d.Edge, conn: &conn{worker: d.writers.workers[0]}}
			s.session.Store(session)
			payload := audio(b, track.Handle, 0, 0, 1, 0)
			wire := masked(0x80|opBinary, payload)
			source := &repeated{message: wire}
			s.in = framesIn{conn: quietConn{}, r: newReaderOf(source), maxText: maxControlText}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				source.seq = uint32(i)
				_, body, err := s.in.next()
				if err != nil {
					b.Fatal(err)
				}
				setSeq(body, uint32(i))
				s.packets(body)
				if keep && i%2000 == 1999 { // the outbox is bounded: let the log follow
					b.StopTimer()
					until(b, "the log has all", d.outbox.empty)
					b.StartTimer()
				}
			}
			b.StopTimer()
			if got := d.metrics.framesIn.Load(); got != int64(b.N) {
				b.Fatalf("%d of %d frames were taken", got, b.N)
			}
		})
	}
}

// BenchmarkHubPacket is one live packet heard: encoded once, put into the ring, workers woken.
func BenchmarkHubPacket(b *testing.B) {
	d := newHouse(b).edge(nil)
	p, _ := d.join("hall", "speaker", fields{"listen": false})
	track := p.track()
	h := d.hub("hall")
	packet, on := audio(b, track.Handle, 0, 0, 1, 0), subject.Parse(subject.Live(region, "hall", track.Track))
	b.ReportAllocs()
	for b.Loop() {
		h.packet(on, packet)
	}
}

// session is one as the edge has it; nil when it has not.
func (d *door) session(name, id string) *session {
	h := d.hub(name)
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[id]
}

// repeated is a stream of one message, again and again.
type repeated struct {
	message []byte
	rest    []byte
	seq     uint32
}

func (r *repeated) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, io.ErrShortBuffer
	}
	if len(r.rest) == 0 {
		r.rest = r.message
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// setSeq gives a packet of 20 ms frames another place.
func setSeq(packet []byte, seq uint32) {
	for i := range 4 {
		packet[6+i] = byte(seq >> (24 - 8*i))
		packet[10+i] = byte(seq * frameSamples >> (24 - 8*i))
	}
}
