package subscription

// Remembered returns the number of keys in the directory.
func (d *Directory) Remembered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.entries)
}
