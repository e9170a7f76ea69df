package bus

import (
	"testing"

	"github.com/nats-io/nats.go"
)

func TestUnsubscribeHandsOnWhatWasReceived(t *testing.T) {
	server := embed(t)
	asks, b := dial(t, server.Config(Edge)), dial(t, server.Config(Presence))
	const count = 1000
	handled, hold := 0, make(chan struct{})
	sub, err := b.Conn().Subscribe("svc.presence.rooms", func(*nats.Msg) { <-hold; handled++ })
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	for range count {
		if err := asks.Conn().Publish("svc.presence.rooms", nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range []*nats.Conn{asks.Conn(), b.Conn()} { // then all are here
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	close(hold)
	Unsubscribe([]*nats.Subscription{sub})
	if handled != count {
		t.Errorf("%d of %d were handled", handled, count)
	}
	Unsubscribe([]*nats.Subscription{sub}) // a second time there is nothing to do
}
