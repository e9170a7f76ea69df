package room

import "time"

// Grace is how long a recorder waits, by its own clock, from when it saw a track's end until it fixes what counts of it though
// frames are missing. Edges rely on it: what they ack of a track they have known as open less than Grace before. A recorder may
// wait longer and never less.
const Grace = 5 * time.Second
