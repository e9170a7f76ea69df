package main

import (
	"errors"
	"time"

	"airloom/internal/frame"
	"airloom/internal/media"
)

const (
	// lead is the time between announcing a track and its first frame: the log has to take the announcement first.
	lead = 400 * time.Millisecond
	// lastAcks is how long to wait for acks once the last frame is sent.
	lastAcks = 30 * time.Second
)

type publishCmd struct {
	remote
	Room  roomName      `required:"" help:"Room to publish in."`
	Name  string        `help:"Name to show in the room."`
	Track string        `default:"main" help:"Name of the track, as mic or music."`
	Rate  string        `enum:"realtime,max" default:"realtime" help:"realtime: heard live. max: into the log only, as fast as acks come back; nobody hears it live."`
	For   time.Duration `env:"-" help:"Stop after so much sound."`
	Loop  bool          `help:"Begin again at the end of the file."`

	Bitrate   int    `help:"Bits per second when ffmpeg encodes (default 32000, music 128000)."`
	Channels  int    `enum:"0,1,2" default:"0" help:"Channels when ffmpeg encodes (default 1, music 2)."`
	Music     bool   `help:"Encode for music."`
	Transcode bool   `help:"Have ffmpeg encode Ogg Opus anew, too."`
	FFmpeg    string `name:"ffmpeg" default:"ffmpeg" help:"Program that encodes."`

	JSON bool   `name:"json" help:"Print one object at the end, and nothing else."`
	File string `arg:"" help:"Sound file, or - for the standard input."`
}

// Help is printed below the flags.
func (publishCmd) Help() string {
	return "Ogg Opus is sent as it is, anything else goes through ffmpeg. Exits 0 only when every frame is acked, that is durable " +
		"in the log (a room that keeps nothing acks nothing). Ctrl-C ends the track cleanly; a second one quits at once.\n\n" +
		"Examples:\n  airloom publish --room town-hall --name Ada speech.opus\n" +
		"  arecord -f cd | airloom publish --room town-hall -"
}

// Validate is called by the parser.
func (c *publishCmd) Validate() error {
	switch {
	case c.Loop && c.File == media.Stdin:
		return errors.New("--loop: the standard input cannot be read twice")
	case c.For < 0:
		return errors.New("--for: must not be negative")
	case c.Bitrate < 0 || c.Bitrate > 0 && (c.Bitrate < 6000 || c.Bitrate > 510000):
		return errors.New("--bitrate: Opus takes 6000 to 510000")
	}
	return c.Room.check()
}

// Run publishes.
func (c *publishCmd) Run(p *program) error {
	source, err := c.open(p)
	if err != nil {
		return err
	}
	defer func() { source.Close() }()
	pub := &publication{c: c, p: p, source: &source, digest: frame.NewDigest(), bar: p.progress(c.JSON)}
	cfg := c.participant(p, string(c.Room), c.Name)
	cfg.Notice = pub.notice
	if pub.joined, err = join(p, cfg); err != nil {
		return err
	}
	defer pub.joined.Close()
	err = pub.run()
	pub.bar.done()
	if pub.speaker == nil {
		return err
	}
	return errors.Join(err, pub.report(err))
}

func (c *publishCmd) open(p *program) (*media.Source, error) {
	return media.Open(p.ctx, c.File, until(p.ctx, p.in), media.Options{
		Bitrate: c.Bitrate, Channels: c.Channels, Music: c.Music, Transcode: c.Transcode, FFmpeg: c.FFmpeg,
	})
}
