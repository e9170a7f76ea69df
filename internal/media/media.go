// Package media reads audio files and pipes as Opus frames: Ogg Opus as it is, byte for byte, everything else through
// an ffmpeg process that encodes it. It also tells which frames have a voice in them.
//
// It knows no room and no network, and keeps no more of a file than the packet it hands out.
package media

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"airloom/internal/frame"
	"airloom/internal/ogg"
)

// Why something cannot be read.
var (
	ErrNoFFmpeg = errors.New("this needs ffmpeg, and there is none")
	ErrNotAudio = errors.New("there is no sound in it that can be read")
	ErrMixed    = errors.New("its frames last unequally long, which a track's frames may not")
)

// Stdin as a path is the standard input.
const Stdin = "-"

// headSpan is how far into a file an Opus stream must have begun to be taken as it is: beside it there may be the
// beginnings of a few other streams.
const headSpan = 4 << 10

// Options say how to encode what is not Ogg Opus yet.
type Options struct {
	Bitrate   int    // bits per second; 0: 32,000 for a voice, 128,000 for music
	Channels  int    // 1 or 2; 0: 1 for a voice, 2 for music
	Music     bool   // encode for music
	Transcode bool   // encode Ogg Opus anew too
	FFmpeg    string // path of ffmpeg; "": the one in PATH
}

// Frame is one Opus packet, or a silent time where the encoder sent none.
type Frame struct {
	Payload []byte // nil for silence; valid until the next call of Next
	Samples int    // duration at 48 kHz
}

// Source hands out the frames of one file or pipe, all of the same duration. One goroutine owns it.
type Source struct {
	reader  *ogg.Reader
	encoder *encoder // nil for Ogg Opus as it is
	file    io.Closer
	first   ogg.Packet // read ahead to know the duration
	ahead   bool
	packets int
}

// Open opens the file at path, or stdin where path is Stdin. ctx bounds the Source's whole life: when it ends, an encoder
// is killed. Errors match ErrNoFFmpeg, ErrNotAudio, fs.ErrNotExist and the like.
func Open(ctx context.Context, path string, stdin io.Reader, o Options) (*Source, error) {
	s := &Source{}
	from := input{label: "the standard input", in: bufio.NewReaderSize(stdin, headSpan)}
	if path != Stdin {
		f, err := openFile(path)
		if err != nil {
			return nil, err
		}
		s.file = f
		from = input{label: path, in: bufio.NewReaderSize(f, headSpan)}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			from.path = path
		}
	}
	if err := s.begin(ctx, from, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// input is where bytes come from. path is empty for a pipe, which can be read only once.
type input struct {
	label, path string
	in          *bufio.Reader
}

func openFile(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("open %s: it is a directory: %w", path, ErrNotAudio)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (s *Source) begin(ctx context.Context, from input, o Options) error {
	asIs, err := isOggOpus(from.in)
	if err != nil {
		return fmt.Errorf("read %s: %w", from.label, err)
	}
	stream := io.Reader(from.in)
	if !asIs || o.Transcode {
		if s.encoder, err = startEncoder(ctx, from, o); err != nil {
			return err
		}
		stream = s.encoder.out
	}
	s.reader, err = ogg.NewReader(stream)
	if err == nil {
		s.first, err = s.reader.Next()
	}
	if err != nil {
		return s.explain(from, err)
	}
	s.ahead = true
	return nil
}

// isOggOpus looks at the beginning without using it up.
func isOggOpus(in *bufio.Reader) (bool, error) {
	start, err := in.Peek(4) // little, so that a slow pipe is not waited for
	if err != nil && err != io.EOF {
		return false, err
	}
	if len(start) == 0 {
		return false, fmt.Errorf("it is empty: %w", ErrNotAudio)
	}
	if string(start) != "OggS" {
		return false, nil
	}
	for n := 64; n <= headSpan; n *= 2 {
		b, err := in.Peek(n)
		if bytes.Contains(b, []byte("OpusHead")) || err != nil {
			return bytes.Contains(b, []byte("OpusHead")), nil // what is wrong with the rest, the reader finds
		}
	}
	return false, nil
}

// explain turns what the Ogg reader found into what is wrong with the input.
func (s *Source) explain(from input, err error) error {
	if s.encoder != nil {
		return s.encoder.explain(from, err)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("there is not a single packet in it")
	}
	return fmt.Errorf("read %s: %w: %w", from.label, ErrNotAudio, err)
}

// Channels is 1 or 2.
func (s *Source) Channels() int { return s.reader.Head().Channels }

// FrameMS is how long each frame lasts, in milliseconds.
func (s *Source) FrameMS() float64 { return float64(s.first.Samples) / 48 }

// Encoded tells whether ffmpeg encodes it.
func (s *Source) Encoded() bool { return s.encoder != nil }

// Next gives the next frame, io.EOF after the last one. Other errors are final: ErrMixed, and those of reading.
func (s *Source) Next() (Frame, error) {
	packet := s.first
	if s.ahead {
		s.ahead = false
	} else {
		var err error
		packet, err = s.reader.Next()
		if err == io.EOF && s.encoder != nil {
			return Frame{}, s.encoder.finish()
		}
		if err != nil {
			return Frame{}, err
		}
	}
	if packet.Samples != s.first.Samples {
		return Frame{}, fmt.Errorf("frame %d lasts %g ms, those before %g ms: %w", s.packets, float64(packet.Samples)/48, s.FrameMS(), ErrMixed)
	}
	s.packets++
	if len(packet.Payload) < frame.MinFrame {
		return Frame{Samples: packet.Samples}, nil
	}
	return Frame{Payload: packet.Payload, Samples: packet.Samples}, nil
}

// Close ends an encoder and closes the file.
func (s *Source) Close() {
	if s.encoder != nil {
		s.encoder.stop()
	}
	if s.file != nil {
		_ = s.file.Close() // it was only read
	}
}
