package edge

import (
	"errors"

	"airloom/internal/frame"
)

const maxNotOpus = 50

// packets takes a binary message: packets one after the other.
func (s *socket) packets(b []byte) {
	session := s.session.Load()
	switch {
	case session == nil:
		s.fail(refuse("bad_message", closePolicy, "packets before hello"), 0)
		return
	case !session.allowed.Load().speaks:
		s.unheard(session)
		return
	}
	now := nanotime()
	s.edge.metrics.packetsIn.Add(1)
	for p := &s.packet; len(b) > 0 && !s.conn.isClosing(); {
		rest, err := frame.Parse(b, p)
		b = rest
		if err != nil {
			s.badPacket(session, err, p)
			continue
		}
		s.notOpus = 0
		if r := session.take(p, now); r != nil {
			s.refusePacket(r)
		}
	}
}

// take brings a packet to its track.
func (s *session) take(p *frame.Packet, now int64) *refusal {
	if t := s.trackByHandle(p.Handle); t != nil {
		return t.take(p, now)
	}
	switch owner := s.hub.ownerOf(p.Handle); {
	case owner != "" && owner != s.id:
		return refuse("forbidden", closeForbidden, "the track with handle %d is somebody else's", p.Handle)
	case owner == s.id && p.Flags&frame.Backlog != 0: // it has ended, and its speaker does not know yet that it need not send again
		s.edge.metrics.drop("track_over")
		return nil
	}
	return strike("unknown_track", "this session has no track with handle %d", p.Handle)
}

// ownerOf gives the session whose track has, or had, a handle; "" for none.
func (h *hub) ownerOf(handle uint32) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.state.Tracks[frame.TrackID(handle)]; t != nil {
		return t.Session
	}
	return ""
}

func (s *socket) refusePacket(r *refusal) {
	if r.close != 0 {
		s.edge.metrics.drop(r.code)
		s.fail(r, 0)
		return
	}
	s.strike(r, closePolicy, 0)
}

// badPacket answers what cannot be parsed, or is not Opus. A run of packets that are not Opus is one strike; a run of
// fifty says that this is no audio at all.
func (s *socket) badPacket(session *session, err error, p *frame.Packet) {
	switch {
	case errors.Is(err, frame.ErrVersion):
		s.edge.metrics.drop("bad_packet")
		s.fail(refuse("bad_packet", closeUnsupported, "%v", err), 0)
	case errors.Is(err, frame.ErrOpus):
		if t := session.trackByHandle(p.Handle); t != nil {
			t.reject(p)
		}
		switch s.notOpus++; {
		case s.notOpus >= maxNotOpus:
			s.edge.metrics.drop("bad_opus")
			s.fail(refuse("bad_opus", closeUnsupported, "%d packets in a row were not Opus", s.notOpus), 0)
		case s.notOpus > 1:
			s.edge.metrics.drop("bad_opus")
		default:
			s.strike(strike("bad_opus", "%v", err), closePolicy, 0)
		}
	case errors.Is(err, frame.ErrSeq):
		s.strike(strike("bad_seq", "%v", err), closePolicy, 0)
	default:
		s.strike(strike("bad_packet", "%v", err), closePolicy, 0)
	}
}
