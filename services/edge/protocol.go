package edge

import (
	"encoding/json"
	"time"

	"airloom/internal/room"
)

// The control messages of docs/wire.md section 3. Requests are decoded strictly, one struct each.
type (
	helloRequest struct {
		Type        string        `json:"type"`
		ID          uint64        `json:"id"`
		Protocol    int           `json:"protocol"`
		Token       string        `json:"token"`
		Room        string        `json:"room"`
		Listen      bool          `json:"listen"`
		Name        string        `json:"name"`
		Resume      string        `json:"resume"`
		Traceparent string        `json:"traceparent"`
		Agent       string        `json:"agent"`
		From        string        `json:"from"`
		Rate        float64       `json:"rate"`
		Tracks      []resumeTrack `json:"tracks"`
	}
	resumeTrack struct {
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		Acked int64  `json:"acked"`
	}
	trackStartRequest struct {
		Type     string      `json:"type"`
		ID       uint64      `json:"id"`
		Name     string      `json:"name"`
		Label    string      `json:"label"`
		Channels int         `json:"channels"`
		FrameMS  float64     `json:"frame_ms"`
		Epoch    uint8       `json:"epoch"`
		Clock    *room.Clock `json:"clock"`
	}
	trackMuteRequest struct {
		Type  string `json:"type"`
		ID    uint64 `json:"id"`
		Track string `json:"track"`
		Muted bool   `json:"muted"`
	}
	trackEndRequest struct {
		Type  string `json:"type"`
		ID    uint64 `json:"id"`
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		Last  int64  `json:"last"`
	}
	gapRequest struct {
		Type  string `json:"type"`
		ID    uint64 `json:"id"`
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		From  uint32 `json:"from"`
		To    uint32 `json:"to"`
	}
	listenRequest struct {
		Type string  `json:"type"`
		ID   uint64  `json:"id"`
		On   bool    `json:"on"`
		From string  `json:"from"`
		Rate float64 `json:"rate"`
	}
	windowRequest struct {
		Type string `json:"type"`
		ID   uint64 `json:"id"`
	}
	refreshRequest struct {
		Type  string `json:"type"`
		ID    uint64 `json:"id"`
		Token string `json:"token"`
	}
	leaveRequest struct {
		Type string `json:"type"`
		ID   uint64 `json:"id"`
	}
	pingRequest struct {
		Type string  `json:"type"`
		ID   uint64  `json:"id"`
		T    float64 `json:"t"`
	}
)

type (
	welcomeMessage struct {
		Type     string        `json:"type"`
		Re       uint64        `json:"re"`
		Protocol int           `json:"protocol"`
		Session  string        `json:"session"`
		Identity string        `json:"identity"`
		Name     string        `json:"name"`
		Resume   string        `json:"resume"`
		Resumed  bool          `json:"resumed"`
		Grants   room.Grants   `json:"grants"`
		Expires  int64         `json:"expires_unix"`
		Edge     string        `json:"edge"`
		Region   string        `json:"region"`
		UnixUS   int64         `json:"unix_us"`
		Room     room.Info     `json:"room"`
		Roster   rosterMessage `json:"roster"`
		Tracks   []ownTrack    `json:"tracks"`
		Over     []string      `json:"over,omitempty"`
	}
	ownTrack struct {
		Track  string `json:"track"`
		Handle uint32 `json:"handle"`
		Name   string `json:"name"`
		Epoch  uint8  `json:"epoch"`
		Acked  int64  `json:"acked"`
		Muted  bool   `json:"muted"`
	}
	trackMessage struct {
		Type   string `json:"type"`
		Re     uint64 `json:"re"`
		Track  string `json:"track"`
		Handle uint32 `json:"handle"`
		Epoch  uint8  `json:"epoch"`
	}
	okMessage struct {
		Type string `json:"type"`
		Re   uint64 `json:"re"`
	}
	pongMessage struct {
		Type   string  `json:"type"`
		Re     uint64  `json:"re"`
		T      float64 `json:"t"`
		UnixUS int64   `json:"unix_us"`
	}
	ackMessage struct {
		Type  string `json:"type"`
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		Seq   uint32 `json:"seq"`
	}
	closedMessage struct {
		Type  string `json:"type"`
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		Acked int64  `json:"acked"`
		Kept  uint64 `json:"kept"`
	}
	resendMessage struct {
		Type  string `json:"type"`
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		From  uint32 `json:"from"`
	}
	logMessage struct {
		Type  string `json:"type"`
		State string `json:"state"`
	}
	roomMessage struct {
		Type string    `json:"type"`
		Room room.Info `json:"room"`
	}
	rosterMessage struct {
		Type         string            `json:"type"`
		Position     uint64            `json:"position"`
		Full         bool              `json:"full"`
		Participants []json.RawMessage `json:"participants"`
		Gone         []string          `json:"gone"`
	}
	speakingMessage struct {
		Type   string          `json:"type"`
		Tracks map[string]bool `json:"tracks"`
	}
	skippedMessage struct {
		Type   string         `json:"type"`
		Reason string         `json:"reason"`
		Tracks []skippedTrack `json:"tracks"`
	}
	skippedTrack struct {
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		From  uint32 `json:"from"`
		To    uint32 `json:"to"`
	}
	playbackMessage struct {
		Type    string      `json:"type"`
		Re      uint64      `json:"re,omitempty"`
		State   string      `json:"state"`
		At      time.Time   `json:"at"`
		Window  window      `json:"window"`
		Rate    float64     `json:"rate"`
		Clamped string      `json:"clamped,omitempty"`
		Tracks  []pastTrack `json:"tracks,omitempty"`
	}
	windowMessage struct {
		Type string `json:"type"`
		Re   uint64 `json:"re,omitempty"`
		window
	}
	tokenMessage struct {
		Type    string `json:"type"`
		Expires int64  `json:"expires_unix"`
	}
	moveMessage struct {
		Type     string `json:"type"`
		WithinMS int64  `json:"within_ms"`
	}
	errorMessage struct {
		Type      string `json:"type"`
		Re        uint64 `json:"re,omitempty"`
		Code      string `json:"code"`
		Message   string `json:"message"`
		Fatal     bool   `json:"fatal"`
		Supported []int  `json:"supported,omitempty"`
	}
)

// text encodes a control message as a WebSocket text message.
func text(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // the structs above always encode
	}
	return message(opText, body)
}

// skipNotice names the seqs in a ring from cursor to head that session misses, and counts the packets.
func skipNotice(r *ring, session string, cursor, head uint64) (notice []byte, missed uint64) {
	var tracks []skippedTrack
	for i := max(cursor, r.oldest()); i < head; i++ {
		s := r.get(i)
		if s == nil || s.session == session {
			continue
		}
		missed++
		tracks = mergeSkipped(tracks, s)
	}
	return text(skippedMessage{Type: "skipped", Reason: "slow", Tracks: tracks}), missed
}

func mergeSkipped(tracks []skippedTrack, s *slot) []skippedTrack {
	for i := range tracks {
		if t := &tracks[i]; t.Track == s.track && t.Epoch == s.epoch {
			t.From, t.To = min(t.From, s.first), max(t.To, s.last)
			return tracks
		}
	}
	return append(tracks, skippedTrack{Track: s.track, Epoch: s.epoch, From: s.first, To: s.last})
}
