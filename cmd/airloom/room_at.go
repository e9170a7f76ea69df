package main

import (
	"fmt"
	"time"
)

// clockSlack is how far this machine's clock may be behind those of the edges.
const clockSlack = time.Minute

// parseAt reads a time in the past: RFC 3339, a local time with or without its date, or a duration back from now.
func parseAt(text string, now time.Time) (time.Time, error) {
	at, err := readAt(text, now)
	if err != nil {
		return time.Time{}, err
	}
	if at.After(now.Add(clockSlack)) {
		return time.Time{}, fmt.Errorf("%q is %s, which is still to come: leave --at out to see the room as it is now", text, at.Local().Format(time.RFC3339))
	}
	return at, nil
}

func readAt(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if back, err := time.ParseDuration(text); err == nil {
		return now.Add(back), nil
	}
	for _, form := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return at, nil
		}
	}
	for _, form := range []string{"15:04:05", "15:04"} {
		if at, err := time.ParseInLocation(form, text, time.Local); err == nil {
			year, month, day := now.Local().Date()
			return time.Date(year, month, day, at.Hour(), at.Minute(), at.Second(), 0, time.Local), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: give one as 2026-11-20T12:03:00Z, or \"2026-11-20 13:03\" and 13:03 in local time, or -10m", text)
}
