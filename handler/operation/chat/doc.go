// Package chat reads chat completions: the call's body, the answer's usage and text, and
// the events of a streamed answer. It also reads the answers of completions, which differ
// in one field.
//
// It is pure. It doesn't decode or encode whole bodies: it walks the bytes once, notes
// the positions of the few fields that matter, and changes a request by splicing, so that
// everything else passes unchanged. It reads requests strictly and answers leniently.
//
// Start reading at [Parse], [ReadAnswer] and [Stream.Inspect].
package chat
