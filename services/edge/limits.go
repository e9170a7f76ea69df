package edge

import "time"

// limits are the times an edge gives others. They are the promises of docs/wire.md; a test may make them short.
type limits struct {
	hello    time.Duration // for the first message
	message  time.Duration // from a message's first byte to its last
	ping     time.Duration // of silence before the edge asks
	dead     time.Duration // of silence after which nobody is there
	away     time.Duration // without a socket before the roster shows the session as away
	close    time.Duration // for the peer to answer a close frame
	stuck    time.Duration // nothing could be written to a socket
	patience time.Duration // a listener may be behind the live edge
	notice   time.Duration // before a token's end
	grace    time.Duration // after it
	end      time.Duration // for the acks of a track that ends, while the log is there
	speaking time.Duration // a word that somebody speaks holds, unless it is repeated
	audit    time.Duration // between two comparisons of the folds with the log's leader
	linger   time.Duration // an unused hub stays open
	hole     time.Duration // near the log's head a hole is waited for: a speaker or an edge may still send it again
	lease    time.Duration // the leader's word that a track is open is worth; less than room.Grace
	renew    time.Duration // between two questions of the leader about a room whose sound is kept
}

func defaultLimits() limits {
	return limits{
		hello: 5 * time.Second, message: 10 * time.Second, ping: 2 * time.Second, dead: 6 * time.Second, away: 3 * time.Second,
		close: 2 * time.Second, stuck: 10 * time.Second, patience: 2 * time.Second, notice: time.Minute, grace: 30 * time.Second, end: endWithin,
		speaking: 3 * time.Second, audit: 10 * time.Second, linger: 5 * time.Second, hole: 10 * time.Second,
		lease: 4 * time.Second, renew: time.Second,
	}
}
