package lease

import "time"

// A Moment is the time of an event, with what is known of the store by then.
type Moment struct {
	Time   time.Time     // the store's clock, as far as it is known; it may be set back
	Uptime time.Duration // of this process: monotonic, for pauses and ages
	Store  StoreState
}

// A StoreState is the state of the store, as all counters of an instance see it.
type StoreState struct {
	Down      bool          // operations fail, or take too long
	Untried   bool          // no operation has tried the store lately although it is Down: the next call tries it
	Operation time.Duration // the mean time of an operation
}

// farAway is a time that never comes.
var farAway = time.Unix(1<<40, 0)

// Never is the length of a rest that only an event ends.
const Never = time.Duration(1<<63 - 1)
