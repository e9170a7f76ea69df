package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Acked means fsynced: of packs that are published one after the other, each waiting for its ack, every one has an fsync of the
// audio log's files that returned before its ack was sent.
func TestEveryAckIsBehindAnFsync(t *testing.T) {
	const packs, frames = 30, 10
	p := startTraced(t, "up under strace", "fsync,fdatasync,write,writev,sendto,sendmsg", airloom,
		"up", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0")
	m := newMouth(t, p.ready(t), "hall")
	for n := range packs {
		m.say(n*frames, (n+1)*frames-1)
		m.acked((n+1)*frames - 1)
	}
	track := m.track.Track()
	m.leave()

	ack := regexp.MustCompile(`\\"type\\":\\"ack\\",\\"track\\":\\"` + track + `\\",\\"epoch\\":0,\\"seq\\":(\d+)`)
	synced, acks := 0, 0
	for _, c := range p.end(t) {
		switch {
		case c.syncs() && strings.Contains(c.file, "/LOG_local/msgs/"):
			synced++
		case strings.HasPrefix(c.file, "/"):
		default:
			for _, said := range ack.FindAllStringSubmatch(c.text, -1) {
				seq, err := strconv.Atoi(said[1])
				if err != nil {
					t.Fatal(err)
				}
				acks++
				if acked := (seq + 1) / frames; acked > synced {
					t.Errorf("seq %d was acked after %d fsyncs: %d packs are behind it", seq, synced, acked)
				}
			}
		}
	}
	t.Logf("%d packs, %d fsyncs of the audio log, %d acks", packs, synced, acks)
	if synced < packs || acks < packs {
		t.Errorf("%d packs, but %d fsyncs of the audio log and %d acks were seen", packs, synced, acks)
	}
}

// With `keep: none` no call writes a frame to a file, not to one that is deleted either; in a room that records some do.
func TestKeepNoneWritesNoFile(t *testing.T) {
	const last = 99
	p := startTraced(t, "up under strace", "write,writev,pwrite64,pwritev,pwritev2,sendfile,copy_file_range", airloom,
		"up", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0")
	url := p.ready(t)
	run(t, nil, "room", "--url", url, "create", "off-record", "--keep", "none").ok()
	h := newHearer(t, url, "off-record")
	secret, public := newMouth(t, url, "off-record"), newMouth(t, url, "on-record")
	secret.say(0, last)
	public.say(0, last)
	public.acked(last)
	eventually(t, patience, "all is heard", func() bool { return len(h.frames(secret)) == last+1 })
	secret.leave()
	public.leave()
	closedTrack(t, url, "on-record", public.track.Track())

	sent, kept := 0, 0
	for _, c := range p.end(t) {
		toFile := strings.HasPrefix(c.file, "/")
		switch {
		case strings.Contains(c.text, secret.mark) && toFile:
			t.Errorf("%s writes a frame of a room that keeps nothing into %s", c.name, c.file)
		case strings.Contains(c.text, secret.mark):
			sent++
		case strings.Contains(c.text, public.mark) && toFile:
			kept++
		}
	}
	t.Logf("%d calls with its frames to sockets; %d with the other room's to files", sent, kept)
	if sent == 0 || kept == 0 {
		t.Errorf("%d calls with its frames to sockets and %d with the other room's to files were seen: this test looks at the wrong place", sent, kept)
	}
}

// The same of a nats-server apart, configured as docs/operations.md has it: its own acks follow its fsyncs.
func TestDocumentedNATSSyncsBeforeItAcks(t *testing.T) {
	const packs, frames = 20, 10
	p, addr := documentedNATS(t)
	f := newFabric(t, "nats://"+addr)
	m := newMouth(t, f.edge().url, "hall")
	for n := range packs {
		m.say(n*frames, (n+1)*frames-1)
		m.acked((n+1)*frames - 1)
	}
	m.leave()

	ack := regexp.MustCompile(`\{\\"stream\\":\\"LOG_local\\", ?\\"seq\\":(\d+)`)
	synced, acks := 0, 0
	for _, c := range p.end(t) {
		if c.syncs() && strings.Contains(c.file, "/LOG_local/msgs/") {
			synced++
		}
		if strings.HasPrefix(c.file, "/") {
			continue
		}
		for _, said := range ack.FindAllStringSubmatch(c.text, -1) {
			acks++
			if seq, err := strconv.Atoi(said[1]); err != nil || seq > synced {
				t.Errorf("message %s was acked after %d fsyncs", said[1], synced)
			}
		}
	}
	t.Logf("%d packs, %d fsyncs of the audio log, %d acks", packs, synced, acks)
	if synced < packs || acks < packs {
		t.Errorf("%d packs, but %d fsyncs of the audio log and %d acks were seen", packs, synced, acks)
	}
}

// documentedNATS runs the configuration that docs/operations.md gives, on other ports and another folder.
func documentedNATS(t *testing.T) (p *traced, addr string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(doc), "cat >nats.conf <<'CONF'\n")
	conf, _, ended := strings.Cut(after, "CONF\n")
	if !found || !ended {
		t.Fatal("docs/operations.md has no nats.conf")
	}
	addrs := freeAddrs(t, 2)
	for old, mine := range map[string]string{"127.0.0.1:4222": addrs[0], "127.0.0.1:8222": addrs[1], "/var/lib/nats": filepath.Join(t.TempDir(), "js")} {
		if !strings.Contains(conf, old) {
			t.Fatalf("the nats.conf of docs/operations.md does not say %s:\n%s", old, conf)
		}
		conf = strings.ReplaceAll(conf, old, mine)
	}
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p = startTraced(t, "nats-server under strace", "fsync,fdatasync,write,writev,sendto,sendmsg", natsServer, "-c", path)
	(&natsNode{process: p.process, addr: addrs[0]}).await(t)
	return p, addrs[0]
}
