package main

import (
	"strings"
	"testing"
	"time"
)

func TestAtIsReadInThisPlaceAndTime(t *testing.T) {
	local := time.Local
	t.Cleanup(func() { time.Local = local })
	time.Local = time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) // 13:00 here
	for text, want := range map[string]string{
		"2026-11-20T11:03:00Z":      "2026-11-20T11:03:00Z",
		"2026-11-20T11:03:00.25Z":   "2026-11-20T11:03:00.25Z",
		"2026-11-20T12:03:00+02:00": "2026-11-20T10:03:00Z",
		"2026-11-20 12:03":          "2026-11-20T11:03:00Z",
		"2026-11-20 12:03:04":       "2026-11-20T11:03:04Z",
		"2026-11-20T12:03":          "2026-11-20T11:03:00Z",
		"12:03":                     "2026-11-20T11:03:00Z",
		"12:03:04":                  "2026-11-20T11:03:04Z",
		"-10m":                      "2026-11-20T11:50:00Z",
		"0s":                        "2026-11-20T12:00:00Z",
		"1999-01-01T00:00:00Z":      "1999-01-01T00:00:00Z",
	} {
		at, err := parseAt(text, now)
		if err != nil || at.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %v, %v; want %s", text, at.UTC(), err, want)
		}
	}
	for text, words := range map[string]string{
		"2026-11-20T13:03:00Z": "still to come", "13:30": "still to come", "10m": "still to come",
		"": "not a time", "yesterday": "not a time", "2026-13-20T12:03:00Z": "not a time", "12.03": "not a time", "2026-11-20": "not a time", "1e999": "not a time",
	} {
		if at, err := parseAt(text, now); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v, %v; want %q", text, at, err, words)
		}
	}
}
