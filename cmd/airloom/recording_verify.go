package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"airloom/internal/auth"
	"airloom/internal/recording"
)

type recordingVerifyCmd struct {
	What     string   `arg:"" name:"DIR|ID" help:"Folder with a manifest.json, or the id of a recording."`
	Key      []string `env:"-" type:"path" placeholder:"FILE.pub" help:"Public key of the recorder: one of those given must have signed the manifest."`
	Segments bool     `env:"-" help:"Read the segments that the edge has, too; a folder that has them is always checked whole."`
	JSON     bool     `name:"json" help:"Print what was found as one object."`
}

// Help is printed below the flags.
func (recordingVerifyCmd) Help() string {
	return "It exits with 0 only if everything is as the manifest says and, with --key, one of these keys signed that. For a folder it needs\n" +
		"nothing but the files. Without --key it checks all but who signed. `airloom up` makes its recorder's key itself: the public one is\n" +
		"recorder.key.pub in its data folder (it prints where that is); other recorders sign with their --key FILE, and FILE.pub checks.\n\n" +
		"Examples:\n  airloom recording get 20261120-120300123-local-000042 -o town-hall --segments\n" +
		"  airloom recording verify town-hall --key ~/.local/share/airloom/recorder.key.pub"
}

// errNotVerified ends a check that found something; what it was has been printed.
var errNotVerified = errors.New("the recording is not proven")

// Run checks a recording and names what is wrong.
func (c *recordingVerifyCmd) Run(p *program, at *RecordingCmd) error {
	keys, err := publicKeys(c.Key)
	if err != nil {
		return err
	}
	from, err := at.source(p, c.What)
	if err != nil {
		return err
	}
	manifest, err := from.read()
	if errors.Is(err, fs.ErrNotExist) {
		err = hint(err, "A folder needs at least a manifest.json; `airloom recording get ID -o DIR` fetches one. While a recording goes on there is none.")
	}
	if err != nil {
		return fmt.Errorf("verify %s: %w", c.What, err)
	}
	line := p.progress(c.JSON)
	o := recording.Options{Recording: from.id, Keys: keys, Segments: c.Segments || from.hasSegments()}
	var m recording.Manifest
	if json.Unmarshal(manifest, &m) == nil {
		from.watch(line, &m, o.Segments)
	}
	report, err := recording.Verify(p.ctx, manifest, from, o)
	line.done()
	if err != nil {
		return fmt.Errorf("verify %s: %w", c.What, err)
	}
	if c.JSON {
		err = p.json(report)
	} else {
		tellReport(p, report, len(keys) > 0)
	}
	if n := report.Count(); n > 0 {
		return fmt.Errorf("verify %s: %w (%d problems)", c.What, errNotVerified, n)
	}
	return err
}

func publicKeys(paths []string) (keys []ed25519.PublicKey, err error) {
	for _, path := range paths {
		key, err := auth.LoadPublicKey(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = hint(err, "`airloom up` keeps recorder.key.pub in its data folder; other recorders have the .pub file beside their --key.")
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func tellReport(p *program, r *recording.Report, keys bool) {
	for _, problem := range r.Problems {
		fmt.Fprintf(p.out, "WRONG  %s\n", problem)
	}
	if r.More > 0 {
		fmt.Fprintf(p.out, "WRONG  and %d more\n", r.More)
	}
	if r.FirstBroken != nil {
		fmt.Fprintf(p.out, "FIRST BROKEN  %s\n", r.FirstBroken)
	}
	segments := ""
	if r.Segments > 0 {
		segments = fmt.Sprintf("%d segments, ", r.Segments)
	}
	fmt.Fprintf(p.out, "%s: %d tracks, %d frames, %s%d known to be missing, %s, %s\n", r.Recording, r.Tracks, r.Frames, segments, r.Missing,
		length(r.Seconds), size(r.Bytes))
	by := strings.Join(r.Signed, ", ")
	switch r.Proof {
	case recording.ProofTrusted:
		fmt.Fprintf(p.out, "signed by %s\n", by)
	case recording.ProofSigned:
		fmt.Fprintf(p.out, "signed by %s", by)
		if !keys {
			fmt.Fprint(p.out, "; who that is was not checked: give --key the recorder's public key")
		}
		fmt.Fprintln(p.out)
	case recording.ProofUnsigned:
		fmt.Fprintln(p.out, "nobody signed the manifest: it was held against its files, and anybody may have made both")
	case recording.ProofNone:
		fmt.Fprintln(p.out, "the manifest carries no proof (it is from before there were digests of segments): whole files were held against it")
	}
	if r.Count() == 0 {
		fmt.Fprintln(p.out, "verified: every published frame is there, unaltered, and nothing else")
	}
}
