package room

// Grants are the rights of a session, deny by default.
type Grants struct {
	Listen   bool `json:"listen"`
	Speak    bool `json:"speak"`
	Record   bool `json:"record"`
	Moderate bool `json:"moderate"`
}

// Without gives the rights of g that other does not have.
func (g Grants) Without(other Grants) Grants {
	return Grants{
		Listen: g.Listen && !other.Listen, Speak: g.Speak && !other.Speak,
		Record: g.Record && !other.Record, Moderate: g.Moderate && !other.Moderate,
	}
}

// With gives the rights of g and those of other.
func (g Grants) With(other Grants) Grants {
	return Grants{
		Listen: g.Listen || other.Listen, Speak: g.Speak || other.Speak,
		Record: g.Record || other.Record, Moderate: g.Moderate || other.Moderate,
	}
}

// MaySpeak says whether a session with these rights may publish tracks under the settings.
func (s Settings) MaySpeak(g Grants) bool {
	return g.Speak && (s.Speak != SpeakModerators || g.Moderate)
}

// Rights are those that a present session has when its newest token carries token: what the log says, less what that
// token has given up and the log was not told yet. ok is false where the session is not present.
func (s *State) Rights(session string, token Grants) (g Grants, ok bool) {
	known := s.Sessions[session]
	if known == nil || !known.Present() {
		return Grants{}, false
	}
	return known.Grants.Without(known.Token.Without(token)), true
}

// SessionOf is the present session of an identity, or nil.
func (s *State) SessionOf(identity string) *Session { return s.Sessions[s.byIdentity[identity]] }

// Grant decides on a session's rights: by is the identity of the moderator.
func (s *State) Grant(session string, grants Grants, by string) (Draft, error) {
	switch known := s.Sessions[session]; {
	case known == nil || !known.Present():
		return Draft{}, ErrUnknownSession
	case known.Grants == grants:
		return Draft{}, ErrNothingToDo
	default:
		return s.draft(Granted{Session: session, Grants: grants, By: by}), nil
	}
}

// Narrow decides that a session loses what its newer token no longer carries. What that token has more does not count,
// nor does it take away what a moderator gave.
func (s *State) Narrow(session string, token Grants) (Draft, error) {
	known := s.Sessions[session]
	if known == nil || !known.Present() {
		return Draft{}, ErrUnknownSession
	}
	gone := known.Token.Without(token)
	if gone == (Grants{}) {
		return Draft{}, ErrNothingToDo
	}
	return s.draft(Granted{Session: session, Grants: known.Grants.Without(gone), By: ByToken}), nil
}

func (f Granted) apply(s *State, _ *Event) {
	session := s.Sessions[f.Session]
	if session == nil {
		return
	}
	if f.By == ByToken { // what a moderator took stays taken, also where the token loses it, too
		session.Token = session.Token.Without(session.Token.Without(f.Grants))
	} else {
		session.Taken = session.Taken.With(session.Grants).Without(f.Grants)
	}
	session.Grants = f.Grants
}
