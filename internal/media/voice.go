package media

import (
	"math"

	"airloom/internal/frame"

	"github.com/pion/opus"
)

const (
	voiceRate  = 16000
	voiceLevel = 0.0056 // RMS of full scale, −45 dB: above the noise of a room, below a quiet voice
	hangover   = 0.3    // seconds for which a voice goes on counting after it fell silent
)

// Voice tells by its level whether somebody is heard in a frame. It is a hint for people who watch a room, no more. One
// goroutine owns it.
type Voice struct {
	decoder opus.Decoder
	pcm     []float32
	left    float64 // seconds of hangover
}

// NewVoice makes a detector.
func NewVoice() (*Voice, error) {
	decoder, err := opus.NewDecoderWithOutput(voiceRate, 1)
	if err != nil {
		return nil, err
	}
	return &Voice{decoder: decoder, pcm: make([]float32, voiceRate*120/1000)}, nil
}

// Heard takes the next frame; nil is silence. What does not decode counts as silence too.
func (v *Voice) Heard(payload []byte) bool {
	samples, err := frame.Duration(payload)
	v.left = max(0, v.left-float64(samples)/frame.SampleRate)
	if err != nil {
		return false
	}
	n, err := v.decoder.DecodeToFloat32(payload, v.pcm)
	if err == nil && level(v.pcm[:min(n, len(v.pcm))]) > voiceLevel {
		v.left = hangover
	}
	return v.left > 0
}

// level is the root of the mean square.
func level(pcm []float32) float64 {
	var sum float64
	for _, x := range pcm {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum / float64(max(1, len(pcm))))
}
