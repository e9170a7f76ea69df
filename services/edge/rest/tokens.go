package rest

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"net/http"
	"strings"
	"time"

	"airloom/internal/auth"
	"airloom/internal/problem"
	"airloom/internal/subject"
)

const (
	mintedLife = 15 * time.Minute // of a token whose asker named no life
	devLife    = 12 * time.Hour
)

type tokenRequest struct {
	Room     string       `json:"room"`
	Identity string       `json:"identity"`
	Name     string       `json:"name"`
	Grants   *auth.Grants `json:"grants"`
	TTL      int64        `json:"ttl_seconds"`
}

type tokenAnswer struct {
	Token    string      `json:"token"`
	Identity string      `json:"identity"`
	Name     string      `json:"name"`
	Room     string      `json:"room"`
	Grants   auth.Grants `json:"grants"`
	Expires  int64       `json:"expires_unix"`
}

// mint makes a token. With a bearer token it is never wider than that one: its room or, of a token for all rooms, any; its
// rights or fewer; and it ends when that one ends, at the latest. Without one it is a dev token or a refusal.
func (d *door) mint(w http.ResponseWriter, r *http.Request) error {
	if !d.bucket.Allow() {
		return overloaded()
	}
	if !d.cfg.Keys.CanMint() {
		return problem.New(http.StatusNotImplemented, "no_private_key",
			"This edge holds public keys only and cannot make tokens: make them where the private key is, with `airloom token`.")
	}
	_, hasBearer := r.Header["Authorization"]
	var limit auth.Claims
	var err error
	if hasBearer {
		limit, err = d.caller(r, mint)
	} else {
		limit, err = d.dev(r)
	}
	if err != nil {
		return err
	}
	var ask tokenRequest
	if err := decode(w, r, &ask, false); err != nil {
		return err
	}
	claims, life, err := ask.within(limit, !hasBearer)
	if err != nil {
		return err
	}
	token, err := d.cfg.Keys.Mint(claims, life)
	if errors.Is(err, auth.ErrClaims) || errors.Is(err, auth.ErrLifetime) {
		return problem.New(http.StatusBadRequest, "bad_token", sentence(err)).Because(err)
	}
	if err != nil {
		return err
	}
	if claims, err = d.cfg.Keys.Verify(token, time.Now()); err != nil { // what its bearer will find in it
		return err
	}
	return reply(w, http.StatusOK, tokenAnswer{
		Token: token, Identity: claims.Identity, Name: claims.Name, Room: claims.Room, Grants: claims.Grants,
		Expires: claims.Expires.Unix(),
	})
}

// dev gives the bounds of dev tokens to callers that may have one.
func (d *door) dev(r *http.Request) (auth.Claims, error) {
	switch {
	case !d.cfg.DevTokens:
		return auth.Claims{}, unauthorized("Send a token with the mint right, or ask whoever runs this edge for a token. " +
			"An edge on your own machine gives tokens to you when it is started with --dev-tokens.")
	case !local(r):
		return auth.Claims{}, problem.New(http.StatusForbidden, "not_local",
			"This edge gives tokens only to callers on its own machine that ask it directly: open http://localhost or http://127.0.0.1 with its port, "+
				"without a proxy. From elsewhere use a token made by `airloom token`.")
	}
	return auth.Claims{Room: auth.AnyRoom, Grants: auth.AllGrants(), Expires: time.Now().Add(devLife)}, nil
}

// within gives the claims asked for, if limit allows them, and their life.
func (ask tokenRequest) within(limit auth.Claims, dev bool) (auth.Claims, time.Duration, error) {
	claims := auth.Claims{Identity: ask.Identity, Name: ask.Name, Room: ask.Room}
	life := mintedLife
	if dev {
		life = devLife
		claims.Grants = limit.Grants
		if claims.Identity == "" {
			claims.Identity = "guest-" + tag()
		}
	}
	if ask.Grants != nil {
		claims.Grants = *ask.Grants
	}
	if ask.TTL != 0 {
		if ask.TTL < 1 || ask.TTL > int64(auth.MaxLife/time.Second) {
			return claims, 0, problem.New(http.StatusBadRequest, "bad_token", "ttl_seconds must be 1 to %d.", int64(auth.MaxLife/time.Second))
		}
		life = time.Duration(ask.TTL) * time.Second
	}
	life = min(life, time.Until(limit.Expires))
	switch {
	case claims.Room != auth.AnyRoom && subject.Room(claims.Room) != nil:
		return claims, 0, problem.New(http.StatusBadRequest, "bad_room", sentence(subject.Room(claims.Room)))
	case !claims.Grants.Any():
		return claims, 0, problem.New(http.StatusBadRequest, "bad_token", "Name at least one right in grants: a token without rights opens nothing.")
	case limit.Room != auth.AnyRoom && claims.Room != limit.Room, !claims.Grants.Within(limit.Grants):
		return claims, 0, problem.New(http.StatusForbidden, "wider", "A token may not open more rooms or hold more rights than the one it is made with.")
	case life < time.Second:
		return claims, 0, unauthorized("Your token is about to end.")
	}
	return claims, life, nil
}

// tag gives 6 random characters that may stand in ids: 30 bits.
func tag() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))[:6]
}

// newRecording makes the id of a recording: ids sort by the time of their start.
func newRecording(at time.Time) string {
	return at.UTC().Format("20060102-150405") + "-" + tag()
}

func overloaded() error {
	return problem.New(http.StatusServiceUnavailable, "overloaded", "Too many ask at once: try again.").With("Retry-After", "2")
}
