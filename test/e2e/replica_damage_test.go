package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

// One replica comes up with flipped bits in what it stored, and then leads. Everything that was acked is in the recording all the
// same: a recorder reads from the other replicas what this one passes over. NATS chooses the replica that a recorder reads; so
// recorders with stores of their own are started until one has read the damaged one, and each of them must have all.
func TestRow87OneReplicaIsDamaged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, stream string
		at           int  // in each damaged record
		leads        bool // the damaged replica; what has lost the end of a block is never current again, so it cannot
	}{
		{"frames", subject.LogStream("local"), recordHeader + 60, true},
		{"a length", subject.LogStream("local"), 1, false},
		{"events", subject.EventStream("local"), recordHeader + 60, true},
	} {
		t.Run(c.name, func(t *testing.T) { damagedReplica(t, c.stream, c.at, c.leads) })
	}
}

func damagedReplica(t *testing.T, stream string, at int, leads bool) {
	nodes := startNATS(t, natsConf{nodes: 3, users: true})
	f := newFabric(t, urls(nodes...))
	f.users = true
	f.initLog("--nats-wait", "20s")
	admin := raw(t, f.nats, bus.Admin, nil)
	settled(t, admin, subject.LogStream("local"))
	settled(t, admin, subject.EventStream("local"))
	f.presence()
	edge := f.edge()
	var said published
	play(t, nil, "publish", "--url", edge.url, "--room", "hall", "--name", "speaker", "--rate", "max", speechOpus).end(t, 60*time.Second, &said)
	if said.Acked != said.Frames {
		t.Fatalf("%d of %d frames acked", said.Acked, said.Frames)
	}
	victim := nodes[0]
	victim.interrupt(t) // as an operator does, so that all it has is on disk
	victim.wait(t, 20*time.Second)
	damage(t, filepath.Dir(victim.conf), stream, at)
	victim.start(t)
	victim.await(t)
	recorders := 6
	if leads {
		settled(t, admin, stream)
		lead(t, admin, stream, victim.name)
		recorders = 24
	}
	for range recorders {
		f.blob = t.TempDir()
		recorder := f.recorder()
		recordedWhole(t, edge.url, said)
		found := grep(metricsOf(t, recorder), "airloom_recorder_recovered_total", "airloom_recorder_skipped_total")
		t.Log(strings.Join(found, ", "))
		recorder.kill()
		if t.Failed() || leads && !strings.HasSuffix(found[0], " 0") {
			return
		}
	}
	if !leads {
		return
	}
	t.Error("no recorder has met the damage: this test looks at the wrong place")
}

const recordHeader = 22 // length(4) sequence(8) time(8) subject's length(2), little-endian; then subject, message and checksum(8)

// damage flips a bit in three records of a stream's first block, on a server that does not run.
func damage(t *testing.T, dir, stream string, at int) {
	t.Helper()
	var blocks []string
	for _, path := range files(t, dir) {
		if strings.Contains(path, "/streams/"+stream+"/msgs/") && strings.HasSuffix(path, ".blk") {
			blocks = append(blocks, path)
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("no blocks of %s below %s", stream, dir)
	}
	slices.Sort(blocks)
	content, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	var records []int
	for i := 0; i+recordHeader < len(content); i += int(binary.LittleEndian.Uint32(content[i:]) &^ (1 << 31)) {
		records = append(records, i)
	}
	for _, quarter := range []int{1, 2, 3} {
		n := quarter * len(records) / 4
		content[records[n]+at] ^= 0x10
		t.Logf("flipped a bit in record %d of %d in %s", n+1, len(records), filepath.Base(blocks[0]))
	}
	if err := os.WriteFile(blocks[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// lead makes a server the leader of a stream.
func lead(t *testing.T, admin *nats.Conn, stream, name string) {
	t.Helper()
	eventually(t, 40*time.Second, name+" leads "+stream, func() bool {
		info := settled(t, admin, stream)
		if info.Cluster.Leader == name {
			return true
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, _ = admin.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, []byte(fmt.Sprintf(`{"placement":{"preferred":%q}}`, name)))
		return false
	})
}

func metricsOf(t *testing.T, s *service) string {
	t.Helper()
	answer, err := http.Get("http://" + s.health + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(body))
}

func grep(text string, beginnings ...string) (lines []string) {
	for line := range strings.Lines(text) {
		for _, b := range beginnings {
			if strings.HasPrefix(line, b) {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	return lines
}
