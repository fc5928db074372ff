package counter

// Window is the minute that the reservation is charged to, and whether it is
// charged to any limit yet.
func (r *Reservation) Window() (minute int64, charged bool) {
	return r.charge.Window, r.charge.Tokens > 0
}

// Remembered is how many counters this instance remembers.
func (c *Counter) Remembered() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.replicas)
}
