package recorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"airloom/internal/blob"
	"airloom/internal/recording"
)

// errDamagedCheckpoint says that an object is not the checkpoint that was stored.
var errDamagedCheckpoint = errors.New("the checkpoint is damaged")

var noSum = strings.Repeat("0", 2*sha256.Size)

// encode gives the object, with the SHA-256 of all its bytes but those of the SHA-256. What it is of are bytes and not fields: a build that knows fewer
// fields can check it too.
func (c checkpoint) encode() ([]byte, error) {
	c.SHA256 = noSum
	data, err := recording.Encode(c)
	if err != nil {
		return nil, fmt.Errorf("encode the checkpoint: %w", err)
	}
	sum := sha256.Sum256(data)
	at := bytes.LastIndex(data, []byte(noSum)) // it is the last field
	copy(data[at:], hex.EncodeToString(sum[:]))
	return data, nil
}

// parseCheckpoint reads what encode made. Errors: errDamagedCheckpoint, or words about another version.
func parseCheckpoint(data []byte) (*checkpoint, error) {
	c := new(checkpoint)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamagedCheckpoint, err)
	}
	if c.SHA256 != "" {
		at := bytes.LastIndex(data, []byte(c.SHA256))
		if at < 0 || len(c.SHA256) != len(noSum) {
			return nil, fmt.Errorf("%w: its SHA-256 is none", errDamagedCheckpoint)
		}
		bare := bytes.Clone(data)
		copy(bare[at:], noSum)
		if sum := sha256.Sum256(bare); hex.EncodeToString(sum[:]) != c.SHA256 {
			return nil, fmt.Errorf("%w: its SHA-256 is not that of its bytes", errDamagedCheckpoint)
		}
	}
	switch c.Version {
	case checkpointVersion:
		return c, nil
	case 0: // null, a list or an empty object
		return nil, fmt.Errorf("%w: it has no version", errDamagedCheckpoint)
	}
	return nil, fmt.Errorf("it is of version %d, this build reads version %d: run the build that wrote it, or remove it to have the log recorded from its beginning", c.Version, checkpointVersion)
}

// lastCheckpoint gives the region's checkpoint; nil where there is none to go on from. One that is damaged would make the recorder skip what is not
// recorded, so it is moved away.
func (f *fold) lastCheckpoint(ctx context.Context) (*checkpoint, error) {
	key := checkpointKey(f.r.cfg.Region)
	data, err := f.keeper.get(ctx, key)
	if errors.Is(err, blob.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := parseCheckpoint(data)
	if errors.Is(err, errDamagedCheckpoint) {
		f.r.metrics.damaged.Add(1)
		f.r.logger.Error("ALARM: the checkpoint is damaged: it is moved to quarantine/, and the log recorded from its beginning", "object", key, "error", err)
		f.unpointed = true
		return nil, f.keeper.quarantine(ctx, key)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if !c.Events.Created.Equal(f.eventsAt.created) || !c.Log.Created.Equal(f.logAt.created) {
		f.r.logger.Error("ALARM: the log was made anew since the checkpoint: recording it from its beginning", "checkpoint", key)
		return nil, nil
	}
	return c, nil
}
