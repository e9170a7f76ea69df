package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"airloom/internal/frame"
)

// Stream is what the servers to compare with send: one track, as a speaker in a room would send it.
type Stream struct {
	Size      int // of a frame, in bytes
	PerSecond int // 50 or 10
}

// packets gives the next packet when it is due, until ctx ends. Late ones follow at once: who is behind stays behind and is seen to be.
func (s Stream) packets(ctx context.Context, send func(packet []byte)) error {
	unit, ok := Unit(s.PerSecond)
	if !ok {
		return fmt.Errorf("%d messages a second: 50 or 10", s.PerSecond)
	}
	every := time.Second / time.Duration(s.PerSecond)
	begin := time.Now()
	var sound []byte
	for seq := uint32(0); ; seq++ {
		timer := time.NewTimer(time.Until(begin.Add(time.Duration(seq) * every)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		sound = Sound(sound, s.Size, unit)
		h := frame.Header{Handle: 1, Seq: seq, Timestamp: seq * uint32(unit) * frame.UnitSamples}
		packet, err := frame.AppendAudio(nil, h, sound)
		if err != nil {
			return fmt.Errorf("make a packet: %w", err)
		}
		send(packet)
	}
}

// Bare is the limit: every message goes to every socket by one write(2) of its own, and nothing else is done.
type Bare struct {
	mu  sync.Mutex
	fds []int
}

// ServeHTTP takes a listener in.
func (b *Bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := (&websocket.Upgrader{ReadBufferSize: 128, WriteBufferSize: 128}).Upgrade(w, r, nil)
	if err != nil {
		return // it has been told
	}
	defer ws.Close()
	fd, err := bare(ws.NetConn().(*net.TCPConn))
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fds = append(b.fds, fd)
}

// Send sends until ctx ends, with so many threads, each with its share of the sockets.
func (b *Bare) Send(ctx context.Context, s Stream, threads int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fd := range b.fds { // a full socket holds the loop up, as it would any that neither skips nor queues
		if err := unix.SetNonblock(fd, false); err != nil {
			return fmt.Errorf("make a socket blocking: %w", err)
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	var queues []chan []byte
	for i := range threads {
		queue := make(chan []byte, 1<<16)
		defer close(queue)
		queues = append(queues, queue)
		share := b.fds[i*len(b.fds)/threads : (i+1)*len(b.fds)/threads]
		wg.Go(func() {
			for message := range queue {
				for _, fd := range share {
					_, _ = unix.Write(fd, message) // who has left costs a failed call
				}
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	return s.packets(ctx, func(packet []byte) {
		message := appendMessage(nil, packet)
		for _, queue := range queues {
			select {
			case queue <- message:
			default: // more than 20 minutes behind
			}
		}
	})
}

// Hub is the usual way: gorilla/websocket, and for every listener a goroutine with a channel.
type Hub struct {
	mu      sync.Mutex
	clients map[chan []byte]struct{}
}

// ServeHTTP takes a listener in and writes to it until it leaves.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	queue := make(chan []byte, 256)
	h.mu.Lock()
	if h.clients == nil {
		h.clients = map[chan []byte]struct{}{}
	}
	h.clients[queue] = struct{}{}
	h.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, _, err := ws.NextReader(); err != nil {
				return
			}
		}
	}()
	defer func() {
		h.mu.Lock()
		delete(h.clients, queue)
		h.mu.Unlock()
	}()
	for {
		select {
		case packet := <-queue:
			if ws.WriteMessage(websocket.BinaryMessage, packet) != nil {
				return
			}
		case <-gone:
			return
		}
	}
}

// Send sends until ctx ends. A listener whose channel is full misses the message.
func (h *Hub) Send(ctx context.Context, s Stream) error {
	return s.packets(ctx, func(packet []byte) {
		h.mu.Lock()
		defer h.mu.Unlock()
		for queue := range h.clients {
			select {
			case queue <- packet:
			default:
			}
		}
	})
}
