package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// moderated is the room in which somebody starts and stops recordings while people speak.
const moderated = "attic"

// moderator starts and stops recordings by REST, through whichever edge answers. In a fault it is refused, and tries again.
type moderator struct {
	run  *run
	name string
	dice *rand.Rand

	asked, refused int      // read when moderate has returned
	wrong          []string // answers that no fault explains
}

// moderate goes on until the faults are over.
func (m *moderator) moderate(ctx context.Context) error {
	on := false
	for {
		select {
		case <-m.run.after(m.dice, 1, 6):
			if err := m.ask(ctx, on); err == nil {
				on = !on
			}
		case <-m.run.calm:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle ends what is recorded, now that all is said: a recording that somebody started ends by nothing else.
func (m *moderator) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return until(ctx, "no recording of "+moderated+" goes on", func() error { return m.ask(ctx, false) })
}

// ask wishes that the room is recorded, or is not. Refusals are 503 while the log is away, and 409 while another stop is under way.
func (m *moderator) ask(ctx context.Context, on bool) error {
	m.asked++
	err := m.put(ctx, on)
	if err == nil {
		m.run.note("recording of %s: %v", moderated, on)
		return nil
	}
	m.refused++
	var said *refusal
	if errors.As(err, &said) && said.status != http.StatusServiceUnavailable && said.status != http.StatusConflict && len(m.wrong) < 10 {
		m.wrong = append(m.wrong, fmt.Sprintf("recording of %s, on %v: %v", moderated, on, err))
	}
	return err
}

// refusal is an answer that is not 200.
type refusal struct {
	status int
	words  string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d: %s", r.status, r.words) }

func (m *moderator) put(ctx context.Context, on bool) error {
	token, err := m.run.token(m.name)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]bool{"on": on})
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, m.run.cluster.front.url()+"/v1/rooms/"+moderated+"/recording", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask for a recording: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := web.Do(request)
	if err != nil {
		return fmt.Errorf("ask for a recording: %w", err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("ask for a recording: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return &refusal{answer.StatusCode, string(said)}
	}
	return nil
}

// checkModerated tells what the moderator had done, and that its recordings hold what was said between: of that the gap map and the stores told.
func (r *run) checkModerated(histories map[string]*history, p *promise) {
	if r.moderator == nil {
		return
	}
	for _, what := range r.moderator.wrong {
		p.breaks("%s", what)
	}
	byHand, stopped, clipped := 0, 0, 0
	for _, rec := range histories[moderated].clips.recordings {
		if rec.by == r.moderator.name {
			byHand++
		}
		cut := 0
		for _, one := range rec.clips {
			if one.from > 0 || one.through > 0 {
				cut++
			}
		}
		if clipped += cut; rec.cut {
			stopped++
		}
	}
	p.numbers += fmt.Sprintf(", %d recordings started and %d stopped by hand (%d tracks of them in part), %d of %d wishes refused",
		byHand, stopped, clipped, r.moderator.refused, r.moderator.asked)
}
