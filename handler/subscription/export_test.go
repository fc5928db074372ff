package subscription

// Remembered is how many keys the directory holds.
func (d *Directory) Remembered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.entries)
}
