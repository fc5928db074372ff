package counter

// Window returns the minute that the reservation is charged to, and whether
// it is charged to any limit yet.
func (r *Reservation) Window() (minute int64, charged bool) {
	return r.hold.Window, r.hold.Amount > 0
}

// Remembered returns the number of counters that this instance keeps in
// memory.
func (c *Counter) Remembered() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.replicas)
}
