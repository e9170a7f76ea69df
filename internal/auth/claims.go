package auth

import (
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"airloom/internal/room"
	"airloom/internal/subject"
)

// AnyRoom as the room of a token stands for every room.
const AnyRoom = "*"

// Grants are the rights of a token, deny by default: those of a session, and the right to make tokens.
type Grants struct {
	room.Grants
	// Mint allows POST /v1/tokens: tokens for any identity, never wider than this one.
	Mint bool `json:"mint"`
}

// AllGrants are all rights in a room, without Mint.
func AllGrants() Grants {
	return Grants{Grants: room.Grants{Listen: true, Speak: true, Record: true, Moderate: true}}
}

// Any says whether at least one right is granted.
func (g Grants) Any() bool { return g != Grants{} }

// Within says whether limit grants all that g grants.
func (g Grants) Within(limit Grants) bool {
	return (!g.Listen || limit.Listen) && (!g.Speak || limit.Speak) && (!g.Record || limit.Record) &&
		(!g.Moderate || limit.Moderate) && (!g.Mint || limit.Mint)
}

// Claims is what a token says.
type Claims struct {
	Identity string // who: 1–128 bytes, unique within the cluster
	Name     string // display name as the token's maker chose it; see internal/name
	Room     string // a room name, or AnyRoom
	Grants   Grants

	// Set by Mint and Verify, in whole seconds.
	ID      string // unique id of the token
	Issued  time.Time
	Expires time.Time
}

// For returns ErrRoom where the token does not open the room.
func (c Claims) For(roomName string) error {
	if c.Room == AnyRoom || (c.Room == roomName && roomName != "") {
		return nil
	}
	return fmt.Errorf("%w: it opens %q", ErrRoom, c.Room)
}

// Refreshes returns nil where c may follow older in one socket: the same identity, and no room or right that older did not
// have. It returns ErrIdentity or ErrWider. Whether c still opens the session's room is for For to say.
func (c Claims) Refreshes(older Claims) error {
	switch {
	case c.Identity != older.Identity:
		return ErrIdentity
	case older.Room != AnyRoom && c.Room != older.Room:
		return fmt.Errorf("%w: room %q after %q", ErrWider, c.Room, older.Room)
	case !c.Grants.Within(older.Grants):
		return fmt.Errorf("%w: it adds rights", ErrWider)
	}
	return nil
}

// validate checks what the maker of a token chose; it reports all problems at once.
func (c Claims) validate() error {
	var problems []error
	if err := identity(c.Identity); err != nil {
		problems = append(problems, err)
	}
	if c.Room != AnyRoom {
		if err := subject.Room(c.Room); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// identity checks 1–128 bytes of visible text: it stands in rosters, events and logs.
func identity(s string) error {
	if s == "" || len(s) > 128 || !utf8.ValidString(s) {
		return errors.New("identity: must be 1–128 bytes of UTF-8")
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) {
			return fmt.Errorf("identity: %U is not a visible character", r)
		}
	}
	return nil
}
