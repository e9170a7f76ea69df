package load

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What the servers to compare with send is heard by all, once and in order: else their figures would be of something else.
func TestEverybodyHearsEverything(t *testing.T) {
	type server interface {
		http.Handler
		send(ctx context.Context) error
	}
	const listeners, rounds = 40, 20
	for _, perSecond := range []int{50, 10} {
		stream := Stream{Size: 160, PerSecond: perSecond}
		for name, s := range map[string]server{"write": &bareServer{stream: stream}, "hub": &hubServer{stream: stream}} {
			t.Run(name, func(t *testing.T) {
				h := httptest.NewServer(s)
				defer h.Close()
				all, err := NewListeners(2)
				if err != nil {
					t.Fatal(err)
				}
				defer all.Close()
				for range listeners {
					if err := all.Join(t.Context(), "ws"+strings.TrimPrefix(h.URL, "http"), nil); err != nil {
						t.Fatal(err)
					}
				}
				ctx, stop := context.WithCancel(t.Context())
				sent := make(chan error, 1)
				go func() { sent <- s.send(ctx) }()
				var heard Heard
				for deadline := time.Now().Add(20 * time.Second); heard.Frames < listeners*rounds && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
					h := all.Heard()
					heard.Frames, heard.Missing, heard.Doubled, heard.Broken = heard.Frames+h.Frames, heard.Missing+h.Missing, heard.Doubled+h.Doubled, heard.Broken+h.Broken
					heard.Sockets, heard.Latency = h.Sockets, h.Latency
				}
				stop()
				if err := <-sent; err != nil {
					t.Error(err)
				}
				if heard.Frames < listeners*rounds || heard.Missing+heard.Doubled+heard.Broken != 0 || heard.Sockets != listeners {
					t.Errorf("%d frames on %d sockets, %d missing, %d doubled, %d broken", heard.Frames, heard.Sockets, heard.Missing, heard.Doubled, heard.Broken)
				}
			})
		}
	}
}

type bareServer struct {
	Bare
	stream Stream
}

func (s *bareServer) send(ctx context.Context) error { return s.Send(ctx, s.stream, runtime.NumCPU()) }

type hubServer struct {
	Hub
	stream Stream
}

func (s *hubServer) send(ctx context.Context) error { return s.Send(ctx, s.stream) }

// A message may come in any pieces.
func TestMessagesInPieces(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65_535} {
		payload := bytes.Repeat([]byte{7}, size)
		wire := append(appendMessage(nil, payload), 0x89, 0)
		for cut := range min(len(wire)-2, 200) {
			if opcode, _, rest, err := message(wire[:cut]); opcode != 0 || err != nil || len(rest) != cut {
				t.Fatalf("%d bytes of %d: opcode %d, %v", cut, len(wire), opcode, err)
			}
		}
		opcode, got, rest, err := message(wire)
		if opcode != opBinary || err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("%d bytes: opcode %d, %d bytes, %v", size, opcode, len(got), err)
		}
		if opcode, _, rest, err = message(rest); opcode != opPing || err != nil || len(rest) != 0 {
			t.Errorf("behind it: opcode %d, %v", opcode, err)
		}
	}
	for _, wrong := range [][]byte{{0x02, 0}, {0x82, 0x81, 0}, {0xc2, 0}, {0x82, 127, 1, 0, 0, 0, 0, 0, 0, 0}} {
		if _, _, _, err := message(wrong); err == nil {
			t.Errorf("% x is taken", wrong)
		}
	}
}
