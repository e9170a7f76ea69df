package bus

import (
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// SentBefore is the position of the message that came before in the same answer to a direct read, 0 for its first one, as the server
// says; ok is false where it does not say. An answer is many messages of core NATS: one of them may be lost on its way (the
// connection went to another server meanwhile, say), and nothing else shows it. A message that has such a header of its own has the server's
// behind it.
func SentBefore(h nats.Header) (position uint64, ok bool) {
	said := h.Values(jetstream.LastSequenceHeader)
	if len(said) == 0 {
		return 0, false
	}
	position, err := strconv.ParseUint(said[len(said)-1], 10, 64)
	return position, err == nil
}
