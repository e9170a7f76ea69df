package edge

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"airloom/internal/auth"
	"airloom/internal/bus"
	"airloom/internal/frame"
	"airloom/internal/room"
	"airloom/services/edge/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const region = "local"

var defaults = room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted}

// logger is silent, unless AIRLOOM_TEST_LOG is set.
func logger() *slog.Logger {
	if os.Getenv("AIRLOOM_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}

// house is a running NATS with the streams of one region, and the key that opens its edges.
type house struct {
	t    testing.TB
	nats *bus.Server
	keys *auth.Keys
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := newBareHouse(t)
	if err := h.connect(bus.Admin).EnsureStreams(h.ctx(), bus.Streams{Region: region}); err != nil {
		t.Fatal(err)
	}
	return h
}

// newBareHouse has no streams yet.
func newBareHouse(t testing.TB) *house {
	t.Helper()
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir(), Region: region, Lazy: true}, logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	private, err := auth.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return &house{t: t, nats: server, keys: auth.NewKeys(private)}
}

func (h *house) ctx() context.Context { return context.Background() }

func (h *house) connect(role bus.Role) *bus.Bus {
	h.t.Helper()
	b, err := bus.Connect(h.ctx(), h.nats.Config(role), logger())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(b.Close)
	return b
}

// door is a running edge with its HTTP server.
type door struct {
	*Edge
	h    *house
	bus  *bus.Bus
	addr string
	stop func() // drains and waits; safe to call twice
}

// edge runs one; change may amend it before it runs.
func (h *house) edge(change func(*Edge)) *door { return h.edgeOn(h.connect(bus.Edge), change) }

func (h *house) edgeOn(b *bus.Bus, change func(*Edge)) *door {
	h.t.Helper()
	e, err := New(Config{Listen: "127.0.0.1:0", Region: region, Keys: h.keys, Defaults: defaults}, b, logger())
	if err != nil {
		h.t.Fatal(err)
	}
	if change != nil {
		change(e)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	handler, err := rest.New(rest.Config{Listen: l.Addr().String(), Keys: h.keys, HandshakesPerSecond: 10_000},
		rest.Deps{Bus: b, Log: e.Log(), Logger: logger(), Ready: e.Ready, Socket: e.Socket()})
	if err != nil {
		h.t.Fatal(err)
	}
	server := rest.Server(handler, logger())
	ctx, cancel := context.WithCancel(h.ctx())
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	go func() { ran <- e.Run(ctx) }()
	d := &door{Edge: e, h: h, bus: b, addr: l.Addr().String()}
	d.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ran:
			if err != nil {
				h.t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			h.t.Error("Run does not end")
		}
		server.Close()
		if err := <-served; err != http.ErrServerClosed {
			h.t.Errorf("Serve: %v", err)
		}
	})
	h.t.Cleanup(d.stop)
	return d
}

// token of an identity with all rights but moderation in every room; change may amend it.
func (h *house) token(identity string, change func(*auth.Claims)) string {
	return h.tokenFor(identity, 10*time.Minute, change)
}

func (h *house) tokenFor(identity string, life time.Duration, change func(*auth.Claims)) string {
	h.t.Helper()
	c := auth.Claims{Identity: identity, Room: auth.AnyRoom, Grants: auth.Grants{Grants: room.Grants{Listen: true, Speak: true}}}
	if change != nil {
		change(&c)
	}
	token, err := h.keys.Mint(c, life)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// decide appends an event as somebody else would.
func (d *door) decide(name string, f func(*room.State) (room.Draft, error)) {
	d.h.t.Helper()
	if _, _, err := d.log.Decide(d.h.ctx(), name, "", f); err != nil {
		d.h.t.Fatal(err)
	}
}

func (d *door) set(name string, settings room.Settings) {
	d.h.t.Helper()
	d.decide(name, func(s *room.State) (room.Draft, error) { return s.Set(settings) })
}

// state is the room as the log has it.
func (d *door) state(name string) *room.State {
	d.h.t.Helper()
	state, err := d.log.Load(d.h.ctx(), name)
	if err != nil {
		d.h.t.Fatal(err)
	}
	return state
}

// hub is the room as the edge has it; nil while it is not open.
func (d *door) hub(name string) *hub {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hubs[name]
}

// until waits for a condition.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	within(t, 8*time.Second, what, met)
}

func within(t testing.TB, patience time.Duration, what string, met func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(patience); !met(); {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// dialSmall connects with small kernel buffers, so that a socket that is not read fills soon.
func dialSmall(t testing.TB, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		_ = c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
		return err
	}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// opus is the n-th frame of a made-up speaker: a valid 20 ms frame (RFC 6716 §3.1) whose bytes tell which it is.
func opus(n uint32, size int) []byte {
	b := make([]byte, size)
	b[0] = 9 << 3 // SILK wideband, 20 ms, one frame
	for i := 1; i < size; i++ {
		b[i] = byte(n>>(8*(uint(i-1)&3))) ^ byte(i)
	}
	return b
}

const frameSamples = 960

// audio is one packet with the frames seq, seq+1, … of 20 ms.
func audio(t testing.TB, handle uint32, epoch uint8, seq uint32, count int, flags frame.Flags) []byte {
	t.Helper()
	frames := make([][]byte, count)
	for i := range frames {
		frames[i] = opus(seq+uint32(i), 40)
	}
	b, err := frame.AppendAudio(nil, frame.Header{Flags: flags, Handle: handle, Epoch: epoch, Seq: seq, Timestamp: seq * frameSamples}, frames...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
