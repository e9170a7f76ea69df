package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"airloom/internal/name"
	"airloom/internal/strict"
)

const (
	// Issuer is the iss of every token.
	Issuer = "airloom"
	// MaxToken is the longest token in bytes.
	MaxToken = 4 << 10
	// MaxLife is the longest time from iat to exp.
	MaxLife = 24 * time.Hour
	// Skew is how far the clocks of a token's maker and an edge may be apart.
	Skew = 60 * time.Second

	maxDepth = 8 // of the JSON in header and claims
)

// wire is the form of Claims in a token.
type wire struct {
	jwt.RegisteredClaims
	Name   string `json:"name,omitempty"`
	Room   string `json:"room"`
	Grants Grants `json:"grants"`
}

// Mint signs a token that lives for ttl, in whole seconds, from now on. It returns ErrNoPrivateKey, or ErrClaims or ErrLifetime
// for claims that Verify would refuse.
func (k *Keys) Mint(c Claims, ttl time.Duration) (string, error) {
	if k.private == nil {
		return "", fmt.Errorf("mint token: %w", ErrNoPrivateKey)
	}
	if err := c.validate(); err != nil {
		return "", fmt.Errorf("mint token: %w: %w", ErrClaims, err)
	}
	if ttl < time.Second || ttl > MaxLife {
		return "", fmt.Errorf("mint token: %w: %v", ErrLifetime, ttl)
	}
	now := time.Now().Truncate(time.Second)
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, wire{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Audience: jwt.ClaimStrings{k.cluster()}, Subject: c.Identity, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl.Truncate(time.Second))),
		},
		Name: name.Clean(c.Name), Room: c.Room, Grants: c.Grants,
	})
	token.Header["kid"] = KeyID(k.private.Public().(ed25519.PublicKey))
	signed, err := token.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	return signed, nil
}

// Verify checks a token at a time and gives what it says, the name cleaned. Every refusal wraps ErrToken and one of the errors
// below it.
func (k *Keys) Verify(token string, now time.Time) (Claims, error) {
	if len(token) > MaxToken {
		return Claims{}, ErrTooLong
	}
	if err := wellFormed(token); err != nil {
		return Claims{}, err
	}
	var w wire
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation(),
	)
	if _, err := parser.ParseWithClaims(token, &w, k.find); err != nil {
		return Claims{}, refusal(err)
	}
	if w.Issuer != Issuer || !slices.Contains(w.Audience, k.cluster()) {
		return Claims{}, ErrCluster
	}
	if err := w.valid(now); err != nil {
		return Claims{}, err
	}
	return w.claims()
}

// wellFormed refuses what two readers could read differently: it looks at the JSON itself, before anything is decoded.
func wellFormed(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%w: %d parts, not 3", ErrMalformed, len(parts))
	}
	header, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	if err != nil {
		return fmt.Errorf("%w: its header is not base64url", ErrMalformed)
	}
	// Nothing but these three: no embedded or linked key (jwk, jku, x5c, x5u), no extension that must be understood (crit).
	var h struct {
		Alg string `json:"alg"`
		Typ string `json:"typ"`
		Kid string `json:"kid"`
	}
	if err := strict.Decode(header, maxDepth, &h); err != nil {
		return fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	switch {
	case h.Alg != jwt.SigningMethodEdDSA.Alg():
		return ErrAlgorithm
	case h.Typ != "JWT":
		return fmt.Errorf("%w: typ is not JWT", ErrMalformed)
	case h.Kid == "":
		return fmt.Errorf("%w: it has no kid", ErrUnknownKey)
	}
	claims, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return fmt.Errorf("%w: its claims are not base64url", ErrMalformed)
	}
	if err := strict.Check(claims, maxDepth); err != nil {
		return fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}
	return nil
}

// find looks a key up in the pinned set and nowhere else, so a kid that is a path or a URL is just an unknown one.
func (k *Keys) find(token *jwt.Token) (any, error) {
	kid, _ := token.Header["kid"].(string)
	public, ok := k.public[kid]
	if !ok {
		return nil, ErrUnknownKey
	}
	return public, nil
}

// valid says whether now lies within the token's life, and whether that life is a bounded one.
func (w wire) valid(now time.Time) error {
	iat, exp := unix(w.IssuedAt), unix(w.ExpiresAt)
	switch life := exp.Sub(iat); {
	case iat.IsZero() || exp.IsZero() || life <= 0 || life > MaxLife:
		return ErrLifetime
	case !now.Before(exp.Add(Skew)):
		return ErrExpired
	case now.Before(iat.Add(-Skew)):
		return ErrNotYet
	case w.NotBefore != nil && now.Before(unix(w.NotBefore).Add(-Skew)):
		return ErrNotYet
	}
	return nil
}

// unix gives the zero time for a date that is missing or beyond what arithmetic with it can bear.
func unix(date *jwt.NumericDate) time.Time {
	if date == nil || date.Unix() <= 0 || date.Unix() > 1<<40 {
		return time.Time{}
	}
	return date.Time
}

// claims checks the rest.
func (w wire) claims() (Claims, error) {
	c := Claims{
		Identity: w.Subject, Name: name.Clean(w.Name), Room: w.Room, Grants: w.Grants,
		ID: w.ID, Issued: w.IssuedAt.Time, Expires: w.ExpiresAt.Time,
	}
	if c.ID == "" || len(c.ID) > 128 {
		return Claims{}, fmt.Errorf("%w: jti must be 1–128 bytes", ErrClaims)
	}
	if err := c.validate(); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	return c, nil
}

// refusal says in our errors what the jwt package found. It is not wrapped: its text quotes the token.
func refusal(err error) error {
	switch {
	case errors.Is(err, ErrUnknownKey):
		return ErrUnknownKey
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ErrSignature
	}
	return ErrMalformed
}
