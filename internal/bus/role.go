package bus

import (
	"fmt"
	"strings"
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

// readLog is what reading the streams needs: direct reads, the leader's word, ordered consumers.
var readLog = []string{
	"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.*", "$JS.API.DIRECT.GET.*.>",
	"$JS.API.CONSUMER.CREATE.*.>", "$JS.API.CONSUMER.INFO.*.>", "$JS.API.CONSUMER.MSG.NEXT.*.>", "$JS.API.CONSUMER.DELETE.*.>",
}

// PermissionsOf gives the permissions of a role.
func PermissionsOf(r Role) Permissions {
	inbox := r.InboxPrefix() + ".>"
	switch r {
	case Edge:
		return Permissions{
			// Frames and speaking; not live.….ev.…, where the stream alone republishes what it has committed.
			Publish:   append([]string{"live.*.*.*.*", "live.*.*.*.sp.*", "log.>", "ev.>", "hb.*.*", "svc.>"}, readLog...),
			Subscribe: []string{"live.>", inbox},
		}
	case Presence:
		return Permissions{
			Publish:   append([]string{"ev.*.*.*.session.*"}, readLog...),
			Subscribe: []string{"hb.>", "live.*.*.*.sp.*", "live.*.*.*.ev.>", "svc.presence.*", inbox},
			Respond:   true,
		}
	case Recorder:
		return Permissions{
			Publish:   append([]string{"ev.*.*.*.gap.*", "ev.*.*.*.recording.*"}, readLog...),
			Subscribe: []string{"live.*.*.*.ev.>", "svc.recorder.*", inbox},
			Respond:   true,
		}
	default:
		return Permissions{Publish: []string{"$JS.API.>", "$JS.SNAPSHOT.ACK.>", "$JS.SNAPSHOT.RESTORE.>"}, Subscribe: []string{inbox}}
	}
}

// AuthorizationConf renders the authorization block of nats-server.conf: one user for each role, its password taken
// from the environment of nats-server (EDGE_PASSWORD and so on).
func AuthorizationConf() string {
	var b strings.Builder
	b.WriteString("authorization {\n  users = [\n")
	for _, role := range Roles {
		p := PermissionsOf(role)
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
