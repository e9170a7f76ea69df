package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"airloom/internal/auth"
	"airloom/internal/participant"
)

// config says what a run does. Seed and Seconds are what a person gives; the rest has defaults.
type config struct {
	Seed      uint64
	Seconds   int // of faults
	Speakers  int
	Listeners int
	Rewinders int
	Visitors  int      // come early and vanish without a word
	Moderator bool     // starts and stops recordings in one room
	Dir       string   // for data and logs
	Faults    []string // kinds; none: all
	Env       []string // for the services
	Programs  programs
	Out       io.Writer
	Verbose   bool // print the timeline as it comes
}

// run is one run: a cluster, those who use it, and what was done to it.
type run struct {
	cfg      config
	began    time.Time
	cluster  *cluster
	calm     chan struct{}   // closed when the faults are over
	restless context.Context // ends when calm is closed
	calmAt   time.Time
	patience time.Duration // for one thing that a participant wishes; the log may be away that long

	speakers  []*speaker
	listeners []*listener
	rewinders []*rewinder
	moderator *moderator // nil: none

	mu       sync.Mutex
	timeline []string
	spans    []span // what faults held when
}

// note writes a line of the timeline.
func (r *run) note(format string, args ...any) {
	line := fmt.Sprintf("%7.2fs  %s", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timeline = append(r.timeline, line)
	if r.cfg.Verbose {
		fmt.Fprintln(r.cfg.Out, line)
	}
}

func (r *run) isCalm() bool {
	select {
	case <-r.calm:
		return true
	default:
		return false
	}
}

// after fires when an actor's next thing is due, from..to seconds from now.
func (r *run) after(dice *rand.Rand, from, to int) <-chan time.Time {
	return time.After(time.Duration(from*1000+dice.IntN((to-from)*1000)) * time.Millisecond)
}

// join tries until an edge takes the participant in.
func (r *run) join(ctx context.Context, cfg participant.Config, identity string) (p *participant.Participant, err error) {
	token, err := r.token(identity)
	if err != nil {
		return nil, err
	}
	cfg.URL, cfg.Token, cfg.Name, cfg.Patience = r.cluster.front.url(), token, identity, 45*time.Second
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		if p, err = participant.Join(ctx, cfg); err == nil {
			return p, nil
		}
		if !pause(ctx, 1100*time.Millisecond) { // an edge takes an identity once a second
			return nil, fmt.Errorf("join %s as %s: %w", cfg.Room, identity, err)
		}
	}
}

func (r *run) token(identity string) (string, error) {
	return r.cluster.keys.Mint(auth.Claims{Identity: identity, Room: auth.AnyRoom, Grants: auth.AllGrants()}, 6*time.Hour)
}

// errBroken says that a promise was broken; what it was has been printed.
var errBroken = errors.New("a promise was broken")

// check is the whole run. It returns errBroken where the product failed, and another error where the check itself did.
func check(ctx context.Context, cfg config) error {
	r := &run{cfg: cfg, began: time.Now(), calm: make(chan struct{}), patience: 40 * time.Second}
	schedule := plan(cfg)
	var err error
	if r.cluster, err = startCluster(ctx, cfg, schedule.sharedBlob); err != nil {
		return fmt.Errorf("start the cluster (its logs are in %s): %w", filepath.Join(cfg.Dir, "logs"), err)
	}
	defer r.cluster.close()
	r.note("everything runs, %d faults to come", len(schedule.faults))
	findings, err := r.live(ctx, schedule)
	if err != nil {
		findings.fail("the run itself", "%v", err)
	}
	return r.report(schedule, findings)
}

// live lets participants live through the faults, heals, waits for quiet and looks at what is left.
func (r *run) live(ctx context.Context, schedule *schedule) (*findings, error) {
	found := &findings{}
	people, peopleCtx := errgroup.WithContext(ctx)
	restless, rest := context.WithCancel(ctx)
	defer rest()
	r.restless = restless
	hush, leave := make(chan struct{}), make(chan struct{})
	var speaking, moderating errgroup.Group
	for i := range r.cfg.Speakers {
		name := fmt.Sprintf("speaker%d", i+1)
		s := &speaker{run: r, name: name, room: roomOf(i), dice: dice(r.cfg.Seed, name)}
		r.speakers = append(r.speakers, s)
		speaking.Go(func() error { return s.speak(peopleCtx, hush) })
	}
	for i := range r.cfg.Listeners {
		name := fmt.Sprintf("listener%d", i+1)
		l := &listener{run: r, name: name, room: roomOf(i), dice: dice(r.cfg.Seed, name)}
		r.listeners = append(r.listeners, l)
		people.Go(func() error { return l.listen(peopleCtx, leave) })
	}
	for i := range r.cfg.Rewinders {
		name := fmt.Sprintf("rewinder%d", i+1)
		w := &rewinder{run: r, name: name, room: roomOf(i), dice: dice(r.cfg.Seed, name)}
		r.rewinders = append(r.rewinders, w)
		people.Go(func() error { return w.rewind(peopleCtx) })
	}
	for i := range r.cfg.Visitors {
		name := fmt.Sprintf("visitor%d", i+1)
		people.Go(func() error { return r.visit(peopleCtx, name, roomOf(i)) })
	}
	if r.cfg.Moderator {
		r.moderator = &moderator{run: r, name: "moderator", dice: dice(r.cfg.Seed, "moderator")}
		moderating.Go(func() error { return r.moderator.moderate(peopleCtx) })
	}
	var once sync.Once
	goHome := func() { once.Do(func() { close(leave) }) }
	defer func() {
		goHome()
		_ = people.Wait() // told below, where it matters
	}()
	err := r.suffer(ctx, schedule)
	r.calmAt = time.Now()
	close(r.calm)
	rest()
	if err == nil {
		err = r.heal(ctx)
	}
	if err == nil {
		err = r.rewindCalmly(ctx)
	}
	close(hush)
	for _, work := range []*errgroup.Group{&speaking, &moderating} {
		if done := work.Wait(); err == nil {
			err = done
		}
	}
	if err == nil && r.moderator != nil {
		err = r.moderator.settle(ctx)
	}
	if err != nil {
		return found, err
	}
	r.note("all is said")
	return found, r.examine(ctx, found, func() error { goHome(); return people.Wait() })
}

// visit comes and vanishes: somebody else must say that it has left.
func (r *run) visit(ctx context.Context, name, room string) error {
	p, err := r.join(ctx, participant.Config{Room: room, Listen: true}, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer p.Close()
	select {
	case <-r.after(dice(r.cfg.Seed, name), 1, 4):
	case <-ctx.Done():
	}
	return nil
}

// rewindCalmly has everybody who rewinds come from the start and from a while ago to the live edge, now that nothing is in the way.
func (r *run) rewindCalmly(ctx context.Context) error {
	if !pause(ctx, time.Second) { // the sockets of before have left
		return ctx.Err()
	}
	var all errgroup.Group
	for i, w := range r.rewinders {
		all.Go(func() error {
			from, rate := "start", 16
			if i%2 == 1 {
				from, rate = "-15s", 8
			}
			return w.calmly(ctx, from, rate)
		})
	}
	err := all.Wait()
	r.note("those who rewind are live")
	return err
}

// rooms are where people meet.
var rooms = []string{"hall", "attic"}

func roomOf(i int) string { return rooms[i%len(rooms)] }
