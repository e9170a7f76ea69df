package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"airloom/internal/frame"
)

// rewinder hears the past of a room on bare sockets: the promise is about what an edge sends, so nothing here puts it in order.
type rewinder struct {
	run  *run
	name string
	room string
	dice *rand.Rand

	mu    sync.Mutex
	tapes []*tape
}

// rewind listens again and again until the faults are over.
func (w *rewinder) rewind(ctx context.Context) error {
	for ctx.Err() == nil && !w.run.isCalm() {
		from := "start"
		if w.dice.IntN(3) > 0 {
			from = fmt.Sprintf("-%ds", 2+w.dice.IntN(20))
		}
		t := newTape(w.name, w.room, from, 1+w.dice.IntN(8))
		w.keep(t)
		listening, cancel := context.WithTimeout(ctx, time.Duration(4000+w.dice.IntN(12000))*time.Millisecond)
		calm := context.AfterFunc(w.run.restless, cancel)
		err := w.socket(listening, t, func() bool { return false })
		calm()
		cancel()
		if err != nil && !pause(ctx, 300*time.Millisecond) { // a fault ended it: come again
			break
		}
	}
	return nil
}

// calmly plays the past with nothing in its way: from there to live and two seconds on, every seq is heard or told to be missing. Behind the seam each
// track of the room that goes on is heard live.
func (w *rewinder) calmly(ctx context.Context, from string, rate int) error {
	t := newTape(w.name, w.room, from, rate)
	t.strict = true
	w.keep(t)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var deaf []string
	enough := func() bool {
		since := time.Since(t.liveAt)
		if t.liveAt.IsZero() || since < 2*time.Second {
			return false
		}
		deaf = t.deaf(w.run.goOn(w.room, t.liveAt))
		return len(deaf) == 0 || since > liveWithin
	}
	if err := w.socket(ctx, t, enough); err != nil {
		return fmt.Errorf("%s, from %s at rate %d: %w", w.name, from, rate, err)
	}
	if t.liveAt.IsZero() {
		return fmt.Errorf("%s, from %s at rate %d: did not come to the live edge within a minute", w.name, from, rate)
	}
	for _, track := range deaf {
		t.complain("nothing live of track %s, which goes on, came within %v after live had begun", track, t.ended.Sub(t.liveAt).Round(time.Second))
	}
	return nil
}

// liveWithin is when a track that goes on must have been heard live; its speaker may be on the way back from a fault.
const liveWithin = 20 * time.Second

// goOn are the tracks of a room that had begun by then and are spoken: without end, until all who rewind are live.
func (r *run) goOn(room string, begun time.Time) (tracks []string) {
	for id, one := range r.tracks() {
		if one.room == room && one.began.Before(begun) && !one.spoken.Load() {
			tracks = append(tracks, id)
		}
	}
	return tracks
}

func (w *rewinder) keep(t *tape) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tapes = append(w.tapes, t)
}

// socket plays one socket into a tape, until ctx ends or enough says so.
func (w *rewinder) socket(ctx context.Context, t *tape, enough func() bool) error {
	token, err := w.run.token(w.name)
	if err != nil {
		return err
	}
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(w.run.cluster.front.url(), "http")+"/v1/ws", nil)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer ws.Close()
	stop := context.AfterFunc(ctx, func() { ws.Close() })
	defer stop()
	t.began = time.Now()
	defer t.end()
	err = ws.WriteJSON(map[string]any{
		"type": "hello", "id": 1, "protocol": 1, "token": token, "room": t.room, "listen": true, "from": t.from, "rate": t.rate,
	})
	for err == nil {
		if enough() {
			return errors.Join(ws.WriteJSON(map[string]any{"type": "leave", "id": 2}), t.afterLeave(ws))
		}
		var kind int
		var message []byte
		_ = ws.SetReadDeadline(time.Now().Add(15 * time.Second))
		if kind, message, err = ws.ReadMessage(); err == nil {
			if kind == websocket.BinaryMessage {
				t.packets(message)
			} else if refused := t.text(message); refused != nil {
				return refused
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("listen to the past: %w", err)
}

// afterLeave reads until the edge closes: what it says until then belongs to the tape, too.
func (t *tape) afterLeave(ws *websocket.Conn) error {
	for {
		_ = ws.SetReadDeadline(time.Now().Add(5 * time.Second))
		kind, message, err := ws.ReadMessage()
		if err != nil {
			return nil // closed, as asked
		}
		if kind == websocket.BinaryMessage {
			t.packets(message)
		} else if err := t.text(message); err != nil {
			return err
		}
	}
}

// text takes what is said beside the packets; an error is the edge's refusal.
func (t *tape) text(message []byte) error {
	var said struct {
		Type, State, Code, Message string
		Fatal                      bool
		Tracks                     json.RawMessage
	}
	if err := json.Unmarshal(message, &said); err != nil {
		return fmt.Errorf("decode what the edge says: %w", err)
	}
	switch said.Type {
	case "error":
		return fmt.Errorf("the edge refuses: %s: %s", said.Code, said.Message)
	case "playback":
		if t.liveAt.IsZero() && said.State == "live" {
			t.liveAt = time.Now()
		}
	case "skipped":
		var ranges []struct {
			Track    string
			Epoch    uint8
			From, To int64
		}
		if err := json.Unmarshal(said.Tracks, &ranges); err != nil {
			return fmt.Errorf("decode skipped: %w", err)
		}
		for _, g := range ranges {
			if handle, ok := frame.ParseTrackID(g.Track); ok && g.From >= 0 && g.To >= g.From {
				t.lane(numbered{handle, g.Epoch}).told.Add(uint32(g.From), uint32(g.To))
			}
		}
	}
	return nil
}
