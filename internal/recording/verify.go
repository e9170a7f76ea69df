package recording

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"airloom/internal/auth"
	"airloom/internal/frame"
)

// Files is where a recording's files are.
type Files interface {
	// Open opens one by its name (see IsFile). Errors match fs.ErrNotExist where there is none of that name.
	Open(ctx context.Context, file string) (io.ReadCloser, error)
	// List names the files there are; other names are passed over.
	List(ctx context.Context) ([]string, error)
}

// Options of Verify.
type Options struct {
	Recording string              // the id it must be of; "": whichever the manifest names
	Keys      []ed25519.PublicKey // one of them must have signed; none: whoever did
	Segments  bool                // the files of segments are there and are checked, too
}

// Verify holds a recording's files against its manifest, and the manifest against its signatures: that it is what a recorder signed,
// that each file is whole, that it has every published frame unaltered and nothing else but the fill the manifest tells of,
// that segments lie where they belong, none missing and none too many, that the track's chain holds, and that present, silent and missing
// seqs add up exactly. What is wrong with a segment is told of it by name. The error is ctx's, or that the files cannot be
// listed; all else that goes wrong is in the report.
func Verify(ctx context.Context, manifest []byte, files Files, o Options) (*Report, error) {
	r := &Report{Problems: []Problem{}, Signed: []string{}, Proof: ProofNone}
	listed, err := files.List(ctx)
	if err != nil {
		return r, fmt.Errorf("list the files: %w", err)
	}
	var m Manifest
	readable := r.read(manifest, &m)
	if err := r.signatures(ctx, manifest, &m, files, listed, o.Keys); err != nil || !readable {
		return r, err
	}
	if o.Recording != "" && m.Recording != o.Recording {
		r.problem("", "this is another recording: the manifest is that of %.80q, not of %s", m.Recording, o.Recording)
	}
	if m.State != Closed {
		r.problem("", "the recording is still %s: only finished tracks can be checked", m.State)
	}
	v := &verifier{report: r, m: &m, files: files, segments: o.Segments, proof: m.HasProof(), known: map[string]bool{}}
	if err := v.tracks(ctx); err != nil {
		return r, err
	}
	v.strangers(listed)
	return r, ctx.Err()
}

// verifier goes through a manifest.
type verifier struct {
	report   *Report
	m        *Manifest
	files    Files
	segments bool
	proof    bool
	known    map[string]bool // files that the manifest names
	order    []string        // track ids
}

func (v *verifier) tracks(ctx context.Context) error {
	r, seen := v.report, map[string]bool{}
	for i := range v.m.Tracks {
		t := &v.m.Tracks[i]
		handle, ok := frame.ParseTrackID(t.Track)
		v.order = append(v.order, t.Track)
		if !ok || seen[t.Track] {
			r.problem("", "%.40q is not a track's id, or is there twice", t.Track)
			continue
		}
		seen[t.Track] = true
		c := &trackCheck{verifier: v, t: t, at: i, handle: handle}
		c.know()
		if t.State != Closed {
			if v.m.State == Closed {
				r.problem(t.Track, "it is %s in a closed recording", t.State)
			}
			continue
		}
		r.Tracks++
		r.Missing += t.Missing()
		if err := c.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// strangers tells of files that look like the recording's and that the manifest does not know.
func (v *verifier) strangers(listed []string) {
	slices.Sort(listed)
	for _, name := range listed {
		f, ok := parseFile(name)
		switch {
		case v.known[name] || f.keyID != "":
		case !ok && v.segments && strings.HasPrefix(name, SegmentsDir):
			v.report.problem("", "%.80q lies among the segments and is none", name)
		case !ok || f.track == "" || f.segment && !v.segments:
		default:
			at := slices.Index(v.order, f.track)
			if at >= 0 && f.segment {
				v.report.broken(at, f.track, v.m.Tracks[at].place(f.epoch, f.n), "there is a file of it, but the manifest does not know such a segment")
				continue
			}
			v.report.problem(f.track, "%s is there, but the manifest does not know it", name)
		}
	}
}

// signatures looks who signed the manifest.
func (r *Report) signatures(ctx context.Context, manifest []byte, m *Manifest, files Files, listed []string, keys []ed25519.PublicKey) error {
	trusted := false
	for _, name := range listed {
		keyID, ok := SignedBy(name)
		if !ok {
			continue
		}
		data, err := readAll(ctx, files, name, LongestSignature)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var public ed25519.PublicKey
		if err == nil {
			public, err = CheckSignature(data, manifest, m.Recording, keyID)
		}
		if err != nil {
			r.problem("", "%s: %v", name, err)
			continue
		}
		r.Signed = append(r.Signed, keyID)
		trusted = trusted || slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return k.Equal(public) })
	}
	slices.Sort(r.Signed)
	switch {
	case trusted:
		r.Proof = ProofTrusted
	case len(r.Signed) > 0:
		r.Proof = ProofSigned
	case m.HasProof():
		r.Proof = ProofUnsigned
	}
	if len(keys) > 0 && !trusted {
		r.problem("", "%s", foreign(keys, r.Signed))
	}
	return nil
}

// foreign says whose signature is missing and whose are there.
func foreign(keys []ed25519.PublicKey, by []string) string {
	var want []string
	for _, k := range keys {
		want = append(want, auth.KeyID(k))
	}
	missing := "key " + strings.Join(want, " or ")
	if len(by) == 0 {
		return missing + " did not sign the manifest, and no valid signature is there"
	}
	return fmt.Sprintf("foreign key: %s did not sign the manifest; who signed is %s", missing, strings.Join(by, ", "))
}

var errTooLong = errors.New("it is too long")

// readAll reads a file of at most that many bytes.
func readAll(ctx context.Context, files Files, name string, most int64) ([]byte, error) {
	in, err := files.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it is missing: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(data)) > most {
		err = errTooLong
	}
	return data, err
}
