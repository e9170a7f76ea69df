package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"airloom/internal/auth"
	"airloom/internal/problem"
	"airloom/internal/query"
	"airloom/internal/subject"
)

// listRecordings gives those of all rooms to a token for all rooms, else those of its room.
func (d *door) listRecordings(w http.ResponseWriter, r *http.Request) error {
	claims, err := d.caller(r, replay)
	if err != nil {
		return err
	}
	question := query.RecordingsQuestion{After: r.URL.Query().Get("after"), Room: r.URL.Query().Get("room")}
	if claims.Room != auth.AnyRoom {
		question.Room = claims.Room
	}
	if question.Room != "" {
		if _, err := d.admit(r, question.Room, replay); err != nil {
			return err
		}
	}
	if question.After != "" && subject.ID(question.After) != nil {
		return badQuery("after", "the id of a recording")
	}
	var recordings query.Recordings
	if err := d.ask(r.Context(), subject.RecorderList, question, &recordings); err != nil {
		return unanswered(err, "recorder")
	}
	shown := []query.Recording{}
	for _, rec := range recordings.Recordings {
		if claims.For(rec.Room) == nil { // the recorder was asked for one room; that this holds is ours to see to
			shown = append(shown, rec)
		}
	}
	if claims.Room != auth.AnyRoom { // of whose room they are, their manifests no longer tell
		recordings.Damaged = nil
	}
	recordings.Recordings = shown
	return reply(w, http.StatusOK, recordings)
}

// showRecording gives a recording's manifest as the recorder wrote it.
func (d *door) showRecording(w http.ResponseWriter, r *http.Request) error {
	manifest, err := d.manifest(r)
	if err != nil {
		return err
	}
	return replyRaw(w, http.StatusOK, manifest)
}

// manifest gives the manifest of the recording in the path to a caller that may have it. A recording of another room is as
// unknown as one that never was.
func (d *door) manifest(r *http.Request) (json.RawMessage, error) {
	claims, err := d.caller(r, replay)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("recording")
	if subject.ID(id) != nil {
		return nil, noRecording()
	}
	manifest, err := d.askManifest(r.Context(), id)
	var of struct {
		Room string `json:"room"`
	}
	switch {
	case err == nil && json.Unmarshal(manifest, &of) != nil:
		err = errDamaged
	case err == nil && claims.For(of.Room) != nil:
		err = noRecording()
	}
	if errors.Is(err, errDamaged) && claims.Room != auth.AnyRoom { // whose room it was, nobody can tell
		err = noRecording()
	}
	return manifest, err
}

// errDamaged says that a manifest cannot be read. Only a token for all rooms gets to know.
var errDamaged = problem.New(http.StatusUnprocessableEntity, "damaged_manifest",
	"The manifest of this recording is damaged; `airloom recording rebuild` makes it anew. Its files can be fetched as they are.")

// mayRead says whether the caller may have the files of the recording in the path.
func (d *door) mayRead(r *http.Request) error {
	_, err := d.manifest(r)
	if errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

// listFiles names a recording's files, but for its segments: the manifest names those.
func (d *door) listFiles(w http.ResponseWriter, r *http.Request) error {
	if err := d.mayRead(r); err != nil {
		return err
	}
	var files query.RecordingFiles
	if err := d.ask(r.Context(), subject.RecorderFiles, query.RecordingQuestion{Recording: r.PathValue("recording")}, &files); err != nil {
		return unanswered(err, "recorder")
	}
	return reply(w, http.StatusOK, files)
}

// maxManifest is the longest manifest that is read in pieces: some 100,000 segments.
const maxManifest = 32 << 20

func (d *door) askManifest(ctx context.Context, id string) (manifest json.RawMessage, err error) {
	err = d.ask(ctx, subject.RecorderGet, query.RecordingQuestion{Recording: id}, &manifest)
	var refused *query.Refused
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return nil, noRecording()
	case errors.As(err, &refused) && refused.Status == http.StatusUnprocessableEntity:
		return nil, errDamaged
	case errors.As(err, &refused) && refused.Status == http.StatusRequestEntityTooLarge: // it fits no message: read it as a file
		return d.readManifest(ctx, id)
	case err != nil:
		return nil, unanswered(err, "recorder")
	}
	return manifest, nil
}

func (d *door) readManifest(ctx context.Context, id string) (json.RawMessage, error) {
	var manifest []byte
	for {
		part, err := d.askFile(ctx, query.FileQuestion{Recording: id, File: "manifest.json", Offset: int64(len(manifest)), Length: query.MaxRead})
		if err != nil {
			return nil, err
		}
		if part.Size > maxManifest {
			return nil, fmt.Errorf("read manifest of %s: %d bytes are too many", id, part.Size)
		}
		if manifest = append(manifest, part.Data...); len(part.Data) == 0 || int64(len(manifest)) >= part.Size {
			return manifest, nil
		}
	}
}

func noRecording() error {
	return problem.New(http.StatusNotFound, "no_such_recording", "There is no such recording, or your token is for another room.")
}
