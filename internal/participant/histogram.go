package participant

import (
	"math/bits"
	"time"
)

const (
	histogramBits = 5 // 32 steps per doubling: no value is told more than 3 % too high
	histogramSize = (28 - histogramBits) << histogramBits
)

// Histogram counts durations in microseconds up to two minutes, in fixed memory. The zero value is empty; it takes
// no lock. Negative durations, which only clocks that disagree can make, count as 0.
type Histogram struct {
	counts [histogramSize]uint32
	total  uint64
	max    int64
}

// Add counts one duration in microseconds.
func (h *Histogram) Add(us int64) {
	us = max(us, 0)
	h.max = max(h.max, us)
	h.counts[bucket(us)]++
	h.total++
}

// Merge counts everything that other has.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count is the number of durations.
func (h *Histogram) Count() uint64 { return h.total }

// Max is the longest duration.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) * time.Microsecond }

// Quantile is the duration that the share q (0–1) of all does not exceed; 0 when there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(1, uint64(q*float64(h.total)+0.999999))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen >= rank {
			return time.Duration(min(ceiling(i), h.max)) * time.Microsecond
		}
	}
	return h.Max()
}

func bucket(us int64) int {
	exp := max(0, bits.Len64(uint64(us))-histogramBits-1)
	return min(exp<<histogramBits+int(us>>exp), histogramSize-1)
}

// ceiling is the longest duration in a bucket.
func ceiling(i int) int64 {
	exp := max(0, i>>histogramBits-1)
	return int64(i-exp<<histogramBits+1)<<exp - 1
}
