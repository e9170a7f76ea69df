package recorder

import (
	"bytes"
	"context"
	"crypto/ed25519"

	"airloom/internal/auth"
	"airloom/internal/recording"
)

// sign stores this recorder's signature of a manifest that it has just made out of the log and stored, or found there with the
// same bytes. A recording counts as finished only behind this, so a recorder that dies between the two does it after its restart.
//
// What lies in the store and is not what it made itself, it never signs: else whoever can write into the store would get
// it signed. So of two recorders with keys of their own each signs what it has made.
func (f *fold) sign(ctx context.Context, id string, manifest []byte) error {
	key, data, err := f.r.signature(id, manifest)
	if key == "" || err != nil {
		return err
	}
	there, err := f.keeper.get(ctx, recording.ManifestKey(id))
	if err != nil {
		return err
	}
	if !bytes.Equal(there, manifest) {
		f.r.logger.Error("the manifest in the store is not the one this recorder made: it is not signed", "recording", id)
		return nil
	}
	return f.keeper.putNew(ctx, key, data)
}

// signature gives the object that says that this recorder made a manifest; key is "" where it has no key to sign with.
func (r *Recorder) signature(id string, manifest []byte) (key string, data []byte, err error) {
	if r.cfg.Key == nil {
		return "", nil, nil
	}
	data, err = recording.Sign(id, manifest, r.cfg.Key)
	return recording.SignatureKey(id, auth.KeyID(r.cfg.Key.Public().(ed25519.PublicKey))), data, err
}
