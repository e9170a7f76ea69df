package bus

import (
	"fmt"
	"slices"
	"strings"

	"airloom/internal/subject"
)

// Role is a kind of NATS user, with just what it needs.
type Role string

// The roles. Admin makes the streams and nothing else uses it.
const (
	Edge     Role = "edge"
	Presence Role = "presence"
	Recorder Role = "recorder"
	Admin    Role = "admin"
)

// Roles lists all roles in the order of the configuration file.
var Roles = []Role{Edge, Presence, Recorder, Admin}

// InboxPrefix keeps the replies to one service from the eyes of the others.
func (r Role) InboxPrefix() string {
	if r == "" {
		return "_INBOX"
	}
	return "_INBOX_" + string(r)
}

// Permissions are what a role may publish and subscribe to. Nobody but Admin can make, change, purge or delete a stream.
type Permissions struct {
	Publish   []string
	Subscribe []string
	Respond   bool // may answer requests it received
}

// loadRooms is what folding rooms from a region's events needs: the leader's word, and direct reads of events and snapshots. That
// the streams are there everybody may ask.
func loadRooms(region string) []string {
	events, log, snapshots := subject.EventStream(region), subject.LogStream(region), subject.SnapshotStream(region)
	return []string{
		"$JS.API.STREAM.INFO." + events, "$JS.API.STREAM.INFO." + log, "$JS.API.STREAM.INFO." + snapshots,
		"$JS.API.STREAM.MSG.GET." + events, "$JS.API.DIRECT.GET." + events, "$JS.API.DIRECT.GET." + snapshots,
	}
}

// follow is what OpenTail needs on a stream. A wildcard stands for a whole token, so the stream's name stands here as it is.
func follow(stream string) []string {
	return []string{"$JS.API.CONSUMER.CREATE." + stream + ".>", "$JS.API.CONSUMER.MSG.NEXT." + stream + ".*"}
}

// replicas is what Recover needs on a stream: the leader's word and direct reads, which any replica answers.
func replicas(stream string) []string {
	return []string{"$JS.API.STREAM.MSG.GET." + stream, "$JS.API.DIRECT.GET." + stream}
}

// PermissionsOf gives the permissions of a role in a region. Sound that was kept is for recorders, and for edges, which let people
// rewind: these may read it, and make no consumer.
func PermissionsOf(r Role, region string) Permissions {
	inbox := r.InboxPrefix() + ".>"
	switch r {
	case Edge:
		return Permissions{
			// Frames and speaking; not live.….ev.…, where the stream alone republishes what it has committed.
			Publish: slices.Concat([]string{"live.*.*.*.*", "live.*.*.*.sp.*", "log.>", "ev.>", "hb.*.*", "svc.>"}, loadRooms(region),
				[]string{"$JS.API.DIRECT.GET." + subject.LogStream(region)}),
			Subscribe: []string{"live.>", inbox},
		}
	case Presence:
		return Permissions{
			Publish:   slices.Concat([]string{"ev.*.*.*.session.*", "snap.*.>"}, loadRooms(region), follow(subject.EventStream(region))),
			Subscribe: []string{"hb.>", "live.*.*.*.sp.*", "live.*.*.*.ev.>", "svc.presence.*", inbox},
			Respond:   true,
		}
	case Recorder:
		return Permissions{
			Publish: slices.Concat([]string{"ev.*.*.*.gap.*", "ev.*.*.*.recording.*"}, loadRooms(region),
				follow(subject.EventStream(region)), follow(subject.LogStream(region)), replicas(subject.LogStream(region))),
			Subscribe: []string{"live.*.*.*.ev.>", "svc.recorder.*", inbox},
			Respond:   true,
		}
	default:
		return Permissions{Publish: []string{"$JS.API.>", "$JS.SNAPSHOT.ACK.>", "$JS.SNAPSHOT.RESTORE.>"}, Subscribe: []string{inbox}}
	}
}

// AuthorizationConf renders the authorization block of nats-server.conf: one user for each role, its password taken
// from the environment of nats-server (EDGE_PASSWORD and so on). The region's name must have been checked.
func AuthorizationConf(region string) string {
	var b strings.Builder
	b.WriteString("authorization {\n  users = [\n")
	for _, role := range Roles {
		p := PermissionsOf(role, region)
		fmt.Fprintf(&b, "    {\n      user: %s, password: $%s_PASSWORD\n      permissions: {\n", role, strings.ToUpper(string(role)))
		fmt.Fprintf(&b, "        publish: {allow: [%s]}\n", quoted(p.Publish))
		fmt.Fprintf(&b, "        subscribe: {allow: [%s]}\n", quoted(p.Subscribe))
		if p.Respond {
			b.WriteString("        allow_responses: true\n")
		}
		b.WriteString("      }\n    }\n")
	}
	b.WriteString("  ]\n}\n")
	return b.String()
}

func quoted(subjects []string) string {
	out := make([]string, len(subjects))
	for i, s := range subjects {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}
