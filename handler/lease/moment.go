package lease

import "time"

// A Moment is when an event happens, and what is known of the store by then.
type Moment struct {
	Time   time.Time     // the store's, as far as it is known; it may be set back
	Uptime time.Duration // of this process: monotonic, for pauses and ages
	Store  StoreState
}

// A Condition is the state of the store, as all counters of an instance see it.
type StoreState struct {
	Down      bool
	Untried   bool          // it was down, and nothing has tried it lately: the next call finds out
	Operation time.Duration // the mean time of an operation
}

// farAway is a time that doesn't come.
var farAway = time.Unix(1<<40, 0)

// Never is a rest that only an event ends.
const Never = time.Duration(1<<63 - 1)
