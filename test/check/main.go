// Command check runs airloom as real processes under faults that a seed chooses, heals everything, waits for quiet and holds what is left against
// what docs/guarantees.md says of it: what was acked is recorded, nothing is heard twice, the gap map is exact, rosters are true, recorders agree.
//
//	go run ./test/check -seed 7 -seconds 60
//
// The schedule of faults follows from the seed alone; processes, disks and the network are real, so that two runs of a seed are alike, not equal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, errBroken):
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	}
}

// command reads the flags and runs as many seeds as they say.
func command(ctx context.Context, args []string) error {
	cfg := config{Out: os.Stdout}
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.Uint64Var(&cfg.Seed, "seed", 1, "what decides which faults come when, how long and to whom")
	flags.IntVar(&cfg.Seconds, "seconds", 60, "how long faults are made")
	flags.IntVar(&cfg.Speakers, "speakers", 4, "how many speak")
	flags.IntVar(&cfg.Listeners, "listeners", 6, "how many listen live")
	flags.IntVar(&cfg.Rewinders, "rewinders", 2, "how many listen to the past")
	flags.IntVar(&cfg.Visitors, "visitors", 2, "how many come early and vanish, to be ended 30 s later")
	flags.BoolVar(&cfg.Moderator, "moderator", true, "whether somebody starts and stops recordings in the "+moderated+" while people speak")
	runs := flags.Int("runs", 1, "how many seeds in a row, from -seed on")
	faults := flags.String("faults", "", "only these kinds of faults, with commas; \"none\" for none (default: all)")
	bin := flags.String("bin", "bin/airloom", "the airloom to be checked")
	tools := flags.String("tools", "bin/tools", "where toxiproxy-server is (scripts/setup tools builds it)")
	dir := flags.String("dir", "", "where data and logs go; they stay there (default: a temporary folder, which stays when a seed fails)")
	flags.BoolVar(&cfg.Verbose, "v", false, "print what happens as it happens")
	show := flags.Bool("plan", false, "only print what would be done to the cluster")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || cfg.Seconds < 1 || *runs < 1 {
		return fmt.Errorf("give flags alone, with at least one second and one run: check -h tells them")
	}
	if *faults != "" {
		cfg.Faults = strings.Split(*faults, ",")
	}
	if err := known(cfg.Faults); err != nil {
		return err
	}
	if *show {
		cfg.print()
		return nil
	}
	made, err := prepare(ctx, *bin, *tools)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(made.nats))
	cfg.Programs = made
	var failed []string
	for i := range *runs {
		one := cfg
		one.Seed += uint64(i)
		err := checkIn(ctx, one, *dir)
		if err != nil && !errors.Is(err, errBroken) {
			return err
		}
		if err != nil {
			failed = append(failed, fmt.Sprintf("seed %d: %v", one.Seed, err))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%w in %d of %d runs:\n  %s", errBroken, len(failed), *runs, strings.Join(failed, "\n  "))
	}
	return nil
}

// checkIn runs a seed in a folder, which stays where the seed fails or somebody named it.
func checkIn(ctx context.Context, cfg config, dir string) (err error) {
	named := dir != ""
	if named {
		cfg.Dir = filepath.Join(dir, fmt.Sprintf("seed%d", cfg.Seed))
		err = os.MkdirAll(cfg.Dir, 0o755)
	} else {
		cfg.Dir, err = os.MkdirTemp("", "airloom-check-")
	}
	if err != nil {
		return err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(cfg.Out, "== seed %d, %d s of faults\n", cfg.Seed, cfg.Seconds)
	err = check(ctx, cfg)
	fmt.Fprintf(cfg.Out, "== seed %d took %.0f s\n", cfg.Seed, time.Since(began).Seconds())
	if err == nil && !named {
		return os.RemoveAll(cfg.Dir)
	}
	return err
}

// prepare finds the binaries and builds nats-server of the version in go.mod.
func prepare(ctx context.Context, airloom, tools string) (p programs, err error) {
	if p.airloom, err = filepath.Abs(airloom); err != nil {
		return p, err
	}
	if p.toxiproxy, err = filepath.Abs(filepath.Join(tools, "toxiproxy-server")); err != nil {
		return p, err
	}
	for what, path := range map[string]string{"./task build": p.airloom, "scripts/setup tools": p.toxiproxy} {
		if _, err := os.Stat(path); err != nil {
			return p, fmt.Errorf("%s is missing: run %s", path, what)
		}
	}
	dir, err := os.MkdirTemp("", "airloom-check-bin-")
	if err != nil {
		return p, err
	}
	p.nats = filepath.Join(dir, "nats-server")
	out, err := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", p.nats, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return p, fmt.Errorf("build nats-server (this wants to be run in the checkout, as ./task check does): %w: %s", err, out)
	}
	return p, nil
}

// known refuses names of faults that there are not.
func known(names []string) error {
	have := map[string]bool{"none": true}
	var all []string
	for _, k := range kinds {
		have[k.name] = true
		all = append(all, k.name)
	}
	for _, name := range names {
		if !have[name] {
			return fmt.Errorf("there is no fault %q: use %s, or none", name, strings.Join(all, ", "))
		}
	}
	return nil
}

func (c config) print() {
	s := plan(c)
	fmt.Fprintf(c.Out, "seed %d, %d s; recorders share a folder: %v\n", c.Seed, c.Seconds, s.sharedBlob)
	for _, f := range s.faults {
		fmt.Fprintln(c.Out, f)
	}
}

// again is the command that runs the same seed once more.
func (c config) again() string {
	cmd := fmt.Sprintf("./task check --seed %d --seconds %d --speakers %d --listeners %d --rewinders %d --visitors %d", c.Seed, c.Seconds, c.Speakers, c.Listeners, c.Rewinders, c.Visitors)
	if !c.Moderator {
		cmd += " --moderator=false"
	}
	if len(c.Faults) > 0 {
		cmd += " --faults " + strings.Join(c.Faults, ",")
	}
	return cmd
}
